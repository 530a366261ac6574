# What people type here, the same on a laptop and in CI. Each target makes what it needs, `.venv` included; nothing is
# installed outside this folder. Another interpreter: make test PYTHON=/path/to/python3.13

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help venv check test test-full chaos demo bench docs screenshots format clean

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
WORKERS ?= logical

BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev

help:
	@echo "make demo     watch a workflow survive kill -9 (15 seconds; the first time also makes .venv)"
	@echo "make test     run every test, and every example of the documentation"
	@echo "make test-full  the tests that kill processes or draw commands, at full size (half an hour)"
	@echo "make check    format, lint, types, layers, house rules: what CI asks of a change"
	@echo "make chaos    servers, workers, Postgres and Redis, killed and cut off one after the other (five minutes)"
	@echo "make bench    measure how it grows: steps, sleepers, throughput, latency, recovery, Postgres, the dashboard (a quarter of an hour)"
	@echo "make docs     write the reference: HTTP, errors, commands, settings, statuses"
	@echo "make screenshots  draw docs/images anew, from a fleet that works (two minutes; needs chromium)"
	@echo "make format   put the code in the form that make check wants"
	@echo "make venv     make .venv with all that the above need"
	@echo "make clean    remove .venv, caches and builds"

# Ctrl-C is answered by the shell, since Python answers it with a traceback in its own first moments: SIGTERM it does not.
demo: $(RUNTIME)
	@trap 'kill $$! 2>/dev/null; wait; exit 130' INT TERM; $(BIN)/aiki demo & wait $$!

test: $(DEV)
	@$(BIN)/pytest -n $(WORKERS)

test-full: $(DEV)
	@AIKI_FULL=1 AIKI_CTRL_C=20 $(BIN)/pytest tests/system/test_kill_embedded.py tests/system/test_kill_fleet.py \
		tests/cli/test_interruption.py tests/store/test_interleavings.py tests/store/test_postgres.py \
		tests/server/test_retention.py tests/machine

chaos: $(DEV)
	@AIKI_CHAOS=1 $(BIN)/pytest -s tests/system/test_chaos.py

bench: $(DEV)
	@$(BIN)/python bench/embedded.py
	@$(BIN)/python bench/fleet.py
	@$(BIN)/python -m bench.postgres
	@$(BIN)/python -m bench.dashboard

check: $(DEV)
	@$(BIN)/ruff format --check --quiet . || { echo "make format puts that right"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest -q tests/house

docs: $(DEV)
	@$(BIN)/python -m tools.reference

screenshots: $(DEV)
	@$(BIN)/python -m tools.screenshots

format: $(DEV)
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

venv: $(DEV)

clean:
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: `make demo` waits for the few packages that run Aiki, not for the tools of its developers.
$(RUNTIME): pyproject.toml
	@$(if $(missing),$(error $(missing)))echo "Making .venv with $(PYTHON) (once; half a minute, needs the network) ..."
	@$(call quietly,{ $(usable) || { fresh=.venv; $(new_venv); }; } && $(install) -e .)

$(DEV): $(RUNTIME) pyproject.toml
	@echo "Adding the tools of Aiki's developers to .venv (once) ..."
	@$(call quietly,$(install) -e '.[dev]')

ifdef UV
usable = $(BIN)/python -c ""
new_venv = "$(UV)" venv --clear --python "$(PYTHON)" .venv
install = "$(UV)" pip install --python $(BIN)/python
else
usable = $(BIN)/python -m pip --version
new_venv = "$(PYTHON)" -m venv --clear .venv
install = $(BIN)/python -m pip install --disable-pip-version-check
endif

# What is missing on this machine, as one line that says what to install; empty if nothing is.
missing = $(strip $(if $(call answers,import sys; sys.exit(sys.version_info < (3, 11))),\
	$(if $(UV)$(call answers,import ensurepip; import venv),,$(no_venv)),$(no_python)))
no_venv = $(PYTHON) cannot make virtual environments: apt-get install python3-venv
no_python = Python 3.11 or newer is needed ($(PYTHON) is $(or $(version),not there)): apt-get install python3 \
	python3-venv, or make PYTHON=/path/to/python3
answers = $(shell "$(PYTHON)" -c '$(1)' >/dev/null 2>&1 && echo yes)
version = $(shell "$(PYTHON)" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)

# The end of the log is shown where a step fails. A .venv that this step began goes with it, so that none is ever half made.
define quietly
fresh=; trap 'rm -rf .venv.log $$fresh; exit 130' INT TERM; \
{ $(1); } >.venv.log 2>&1 && rm .venv.log && touch $@ || { tail -n 20 .venv.log; rm -rf .venv.log $$fresh; exit 1; }
endef
