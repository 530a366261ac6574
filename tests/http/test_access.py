"""Who may ask what: pages of others, keys, roles, namespaces."""

import asyncio
import logging
from typing import Any

import pytest
from starlette.requests import Request

from aiki.clock import Chance
from aiki.errors import InvalidInput, Unauthorized
from aiki.server.api.access import Access, check_exposure, is_loopback
from aiki.server.api.routes import ROUTES
from aiki.server.principals import GRANTS, ApiKey, Principal, Role, new_api_key
from tests.http.world import MESSAGE, World, served_world

KEY = "aiki_" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9850", "192.168.1.7", "127.0.0.1.evil.example", "", "a b"]
)
async def test_a_host_that_is_not_loopback_is_refused(world: World, host: str) -> None:
    refused = await world.get("/v1/runs", Host=host)

    assert (refused.status, refused.json["code"], refused.json["path"]) == (403, "forbidden", "Host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "api.localhost", "127.8.9.1:80", "[::1]:9850"])
async def test_a_host_that_is_loopback_is_answered(world: World, host: str) -> None:
    assert (await world.get("/v1/runs", Host=host)).status == 200


async def test_a_probe_may_use_any_name(world: World) -> None:
    assert (await world.get("/healthz", Host="10.0.0.7")).status == 200
    assert (await world.get("/readyz", Host="10.0.0.7")).status == 200


@pytest.mark.parametrize(
    "access", [Access(api_keys=[KEY]), Access(insecure=True), Access(authorize=lambda _: Principal("me"))]
)
async def test_a_server_that_was_given_rules_is_reached_under_any_name(access: Access) -> None:
    async with served_world(access=access) as world:
        assert (await world.get("/v1/runs", Host="shop.example", Authorization=f"Bearer {KEY}")).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null", "http://[", "file://"])
async def test_a_page_from_elsewhere_changes_nothing(world: World, origin: str) -> None:
    refused = await world.post("/v1/runs", {"workflow": "a", "version": "1"}, Origin=origin, Host="localhost:9850")

    assert (refused.status, refused.json["path"]) == (403, "Origin")
    assert (await world.get("/v1/runs", Origin=origin)).json["runs"] == []


async def test_a_page_from_here_or_of_a_named_origin_may_change_something() -> None:
    async with served_world(access=Access(origins=["https://ops.example/"])) as world:
        for origin, host in (
            ("http://localhost:9850", "localhost:9850"),
            ("http://localhost", "localhost:80"),
            ("https://localhost", "localhost"),
            ("https://ops.example", "localhost:9850"),
        ):
            started = await world.post("/v1/runs", {"workflow": "a", "version": "1"}, Origin=origin, Host=host)
            assert started.status == 201, (origin, host)


async def test_without_its_key_a_server_tells_nothing_but_that_it_lives() -> None:
    async with served_world(access=Access(api_keys=[KEY])) as world:
        for header in (
            {},
            {"Authorization": "Bearer aiki_no"},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": KEY},
        ):
            refused = await world.get("/v1/runs", **header)
            assert (refused.status, refused.json["code"]) == (401, "unauthorized")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert KEY not in refused.body.decode()
        assert (await world.get("/healthz")).status == 200
        assert (await world.get("/v1/runs", Authorization=f"Bearer {KEY}")).status == 200


async def test_a_key_never_appears_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served_world(access=Access(api_keys=[KEY])) as world:
        await world.get("/v1/runs", Authorization=f"Bearer {KEY}")
        await world.get("/v1/runs", Authorization=f"Bearer {KEY}x")

    assert KEY not in caplog.text


async def test_a_client_with_a_wrong_key_is_told_so() -> None:
    async with served_world(access=Access(api_keys=[KEY])) as world, world.open_transport("aiki_wrong") as transport:
        with pytest.raises(Unauthorized, match="does not know this API key"):
            await transport.info("default", MESSAGE)


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_do_what_the_table_of_routes_says(role: Role) -> None:
    access = Access(api_keys=[ApiKey.of(KEY, Principal("ann", role))])
    may = {
        Role.VIEWER: {Role.VIEWER},
        Role.OPERATOR: {Role.VIEWER, Role.OPERATOR},
        Role.WORKER: {Role.VIEWER, Role.OPERATOR, Role.WORKER},
        Role.ADMIN: {Role.VIEWER, Role.OPERATOR, Role.WORKER, Role.ADMIN},
    }[role]
    async with served_world(access=access) as world:
        for route in ROUTES:
            path = route.path.replace("{run_id}", "x").replace("{name:path}", "x")
            path += "?nothing=1" if route.is_stream else ""  # refused for that, where it would go on for ever
            answer = await world.ask(route.method, path, b"?" if route.body else None, Authorization=f"Bearer {KEY}")
            assert (answer.status == 403) is (route.role is not None and route.role not in may), route.path


def test_a_role_includes_itself() -> None:
    assert all(role in GRANTS[role] for role in Role)


BOUND = [
    ("/v1/runs", {"workflow": "a", "version": "1", "namespace": "other"}),
    ("/v1/events", [{"namespace": "other", "run_id": MESSAGE, "message_id": MESSAGE, "name": "a", "payload": 1}]),
    ("/v1/controls", [{"namespace": "other", "run_id": MESSAGE, "message_id": MESSAGE, "verb": "wake"}]),
    ("/v1/runs/wait", {"namespace": "other", "subscription": MESSAGE, "number": 1}),
    (f"/v1/runs/{MESSAGE}/cancel?namespace=other", {}),
    (f"/v1/runs/{MESSAGE}/events/go?namespace=other", {}),
    ("/v1/worker/poll", {"session_id": MESSAGE, "number": 1, "capacity": 1, "queues": [{"namespace": "other", "workflow": "a", "version": "1"}]}),
    ("/v1/worker/announce", {"session_id": MESSAGE, "namespace": "other", "worker": "w", "versions": [], "pools": [], "capacity": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), BOUND, ids=[path for path, _ in BOUND])
async def test_a_key_of_one_namespace_reaches_into_no_other(path: str, body: Any) -> None:
    async with _shop() as world:
        refused = await world.post(path, body, Authorization=f"Bearer {KEY}")

        assert (refused.status, refused.json["code"], refused.json["facts"]) == (
            403,
            "forbidden",
            {"namespace": "shop"},
        )


async def test_a_key_of_one_namespace_means_that_one_where_none_is_named() -> None:
    async with _shop() as world:
        await world.post("/v1/runs", {"workflow": "a", "version": "1"}, Authorization=f"Bearer {KEY}")

        (run,) = (await world.get("/v1/runs", Authorization=f"Bearer {KEY}")).json["runs"]
        assert run["namespace"] == "shop"
        assert (await world.get("/v1/runs?namespace=other", Authorization=f"Bearer {KEY}")).status == 403


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_authoriser_of_ones_own_says_who_asks(*, is_async: bool) -> None:
    def authorize(request: Request) -> Principal:
        if request.headers.get("x-user") != "ann":
            raise Unauthorized("sign in first")
        return Principal("ann", Role.VIEWER)

    async def later(request: Request) -> Principal:
        await asyncio.sleep(0)
        return authorize(request)

    async with served_world(access=Access(authorize=later if is_async else authorize)) as world:
        assert (await world.get("/v1/runs")).json["detail"] == "sign in first"
        assert (await world.get("/v1/runs", X_User="ann")).status == 200
        assert (await world.post("/v1/runs", {}, X_User="ann")).json["facts"] == {"role": "operator"}


def test_a_server_that_asks_nobody_is_not_put_on_the_network() -> None:
    for host in ("0.0.0.0", "::", "", "192.168.1.7", "shop.example"):
        with pytest.raises(InvalidInput, match="--insecure"):
            check_exposure(host, Access())
        check_exposure(host, Access(insecure=True))
        check_exposure(host, Access(api_keys=[KEY]))
        check_exposure(host, Access(authorize=lambda _: Principal("me")))
    for host in ("localhost", "127.0.0.1", "::1"):
        check_exposure(host, Access())


def test_loopback_is_told_from_what_only_looks_like_it() -> None:
    loopback = ["localhost", "localhost.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"]
    others = ["", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433"]

    assert [host for host in [*loopback, *others] if is_loopback(host)] == loopback


def test_a_key_has_256_random_bits_and_only_its_digest_is_kept() -> None:
    chance = Chance()
    key = new_api_key(chance)

    assert key.startswith("aiki_")
    assert len(key) == len("aiki_") + 256 // 4
    assert key != new_api_key(chance)
    assert key not in repr(ApiKey.of(key))


@pytest.mark.parametrize("key", ["", "hunter2", "aiki_short", "aiki_" + "ä" * 64])
def test_what_could_be_guessed_is_no_key_and_is_not_repeated(key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Access(api_keys=[key])

    assert not key or key not in str(refused.value)


def _shop() -> Any:
    return served_world(access=Access(api_keys=[ApiKey.of(KEY, Principal("ann", Role.WORKER, "shop"))]))
