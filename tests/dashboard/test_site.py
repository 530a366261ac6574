"""The dashboard's files as a browser gets them."""

import gzip
import re
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from aiki.dashboard.joining import joined
from aiki.dashboard.site import HEADERS, PAGES, Site, site
from aiki.server.api.access import Access
from tests.http.world import World, served_world
from tools.vendor_dashboard import LIBRARIES, VENDOR, Library, digest

BUDGET_BYTES = 200_000
INDEX = b'<base href="{base}">{assets}'


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served_world() as world:
        yield world


def test_all_of_it_travels_in_200_kilobytes() -> None:
    assert site().size_bytes <= BUDGET_BYTES


@pytest.mark.parametrize("library", LIBRARIES, ids=[library.name for library in LIBRARIES])
def test_a_library_is_what_was_vendored(library: Library) -> None:
    assert digest((VENDOR / library.name).read_bytes()) == library.sha256
    assert (VENDOR / f"LICENSE.{library.package.rpartition('/')[2]}.txt").is_file()


def test_nothing_is_loaded_from_elsewhere_or_written_inline() -> None:
    answer = site().answer("/", {})
    assert answer is not None
    html = answer.body.decode()

    assert "//" not in re.sub(r"<!--.*?-->", "", html)
    assert re.findall(r"<script(?![^>]*src=)", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", html) == []


@pytest.mark.parametrize(
    ("path", "base"),
    [("/", "./"), ("/runs", "./"), ("/runs/1", "../"), ("/runs/", "../"), ("/workflows/a/b", "../../")],
)
def test_a_page_names_its_files_from_where_it_stands(path: str, base: str) -> None:
    answer = Site({"index.html": INDEX}).answer(path, {})

    assert answer is not None
    assert f'<base href="{base}">'.encode() in answer.body


@pytest.mark.parametrize(
    "path", ["", "/v1", "/v1/runs", "/nowhere", "/assets/x.js", "/runs" + "/x" * 20, "/assets/0/app.js"]
)
def test_what_is_not_its_own_it_leaves_alone(path: str) -> None:
    assert site().answer(path, {}) is None


@pytest.mark.parametrize("name", ["../site.py", "..%2fsite.py", "lib/../app.js", "/etc/passwd", ""])
def test_a_file_is_named_exactly_or_not_at_all(name: str) -> None:
    assert site().answer(f"/assets/{site().digest}/{name}", {}) is None


def test_a_file_is_kept_for_ever_and_a_page_is_asked_for_anew() -> None:
    file = site().answer(f"/assets/{site().digest}/app.js", {})
    page = site().answer("/runs", {})
    assert file is not None
    assert page is not None

    assert "immutable" in file.headers["cache-control"]
    assert page.headers["cache-control"] == "no-cache"
    again = site().answer("/runs", {"if-none-match": page.headers["etag"]})
    assert again is not None
    assert (again.status, again.body) == (304, b"")


def test_what_travels_is_gzipped_where_that_is_understood() -> None:
    path = f"/assets/{site().digest}/app.js"
    plain, zipped = site().answer(path, {}), site().answer(path, {"accept-encoding": "br, gzip"})
    assert plain is not None
    assert zipped is not None

    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body


def test_all_modules_travel_as_one() -> None:
    found = site().answer(f"/assets/{site().digest}/app.js", {})
    page = site().answer("/runs", {})
    assert found is not None
    assert page is not None

    assert len(re.findall(rb"^/\* [\w/]+\.js \*/$", found.body, re.MULTILINE)) > 40
    assert re.findall(rb"^(?:import|export)\b", found.body, re.MULTILINE) == []
    assert page.body.count(b"<script") == 2
    assert site().answer(f"/assets/{site().digest}/lib/api.js", {}) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.js": b'import { b } from "./b.js";', "b.js": b'import "./a.js";'}, "in a circle: a.js > b.js > a.js"),
        ({"a.js": b'import { b } from "./lost.js";'}, "a.js imports lost.js, which is not there"),
        ({"a.js": b"export let a = 1;"}, "a.js imports or exports in a form that is not known: 'export let a = 1;"),
        ({"a.js": b'log(1);\nimport { b } from "./b.js";'}, "in a form that is not known"),
        ({}, "the page imports a.js, which is not there"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_its_file(files: dict[str, bytes], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        joined(files, entry="a.js")


def test_a_new_version_has_a_new_address() -> None:
    assert Site({"index.html": INDEX, "a.js": b"1"}).digest != Site({"index.html": INDEX, "a.js": b"2"}).digest


async def test_the_server_serves_it_with_a_strict_policy(world: World) -> None:
    for path in ("/", *(f"/{page}" for page in PAGES)):
        answer = await world.get(path)
        assert answer.status == 200
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert HEADERS.items() <= headers.items()
        assert "unsafe" not in headers["content-security-policy"]


async def test_it_is_read_only_and_leaves_the_rest_to_the_api(world: World) -> None:
    assert (await world.ask("POST", "/runs", {})).json["code"] == "not_found"
    assert (await world.get("/nowhere")).json["code"] == "not_found"
    assert (await world.ask("HEAD", "/")).body == b""


def test_a_person_at_an_address_of_nothing_gets_the_page_and_a_program_does_not() -> None:
    person = {"accept": "text/html,application/xhtml+xml", "if-none-match": "*"}

    found = site().answer("/nope/deeper", person)
    assert found is not None
    assert (found.status, b'<base href="../">' in found.body) == (404, True)
    assert site().answer("/nope", {"accept": "*/*"}) is None
    assert site().answer("/v1/nope", person) is None
    assert site().answer("/assets/nope", person) is None


async def test_a_foreign_host_gets_no_page_either() -> None:
    async with served_world(access=Access()) as world:
        assert (await world.get("/", host="evil.example")).status == 403


async def test_it_is_mounted_at_any_base(world: World) -> None:
    api = world.api
    app = Starlette(routes=[Mount("/ops/aiki", app=api)])
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    for path in ("/ops/aiki/runs/1", "/ops/aiki"):
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
                 "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http", "server": ("localhost", 80)}  # fmt: skip
        await app(scope, receive, send)

    assert (said[0]["status"], b'<base href="../">' in said[1]["body"]) == (200, True)
    assert said[2]["status"] in (307, 200)
