# Two commands do everything on a fresh clone with Python 3.11 or newer: `make demo` and `make test`.
# Both set up their own environment in .venv first, from the pinned and hashed requirements/dev.txt.

SHELL := /bin/sh
# Where this is set, each process and each workflow in its sandbox compiles Holdfast anew: twice the work.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.SUFFIXES:

# The Python to build .venv with; any from 3.11 on.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Extra arguments for pytest: make test ARGS="-k settings"
ARGS ?=
# Most of the long tests wait for servers, so four workers keep two cores busy; `make test JOBS=0` runs in one process.
JOBS ?= 4
# The benchmarks that `make bench` runs, by the names of their files.
BENCH ?= ranking checkpoints failover

.PHONY: help demo demo-serverless setup test long check lint format chaos live bench gpu clients train-test lock clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: $(READY) ## The main job, end to end, on the simulated market (two minutes)
	$(BIN)/holdfast demo

demo-serverless: $(READY) ## Endpoints that sleep while nobody calls, woken and billed (two minutes)
	$(BIN)/holdfast demo --serverless

setup: $(READY) ## Only make .venv

test: $(READY) ## Run the test suite
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not chaos and not live and not long" $(ARGS)

long: $(READY) ## The long stories that `make test` leaves out (half an hour)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "long and not chaos and not live" $(ARGS)

check: lint test ## Everything that must hold before a commit

lint: $(READY) ## Format, style, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: $(READY) ## Long random fault runs
	$(BIN)/pytest -m chaos --timeout=3600 $(ARGS)

live: $(READY) ## The conformance suite on your own accounts: HOLDFAST_LIVE=1, keys, a budget (docs/live.md)
	$(BIN)/pytest -m live -rs tests/live $(ARGS)

bench: $(READY) ## The figures of docs/performance.md, anew (BENCH=failover for one of them)
	@for each in $(BENCH); do echo "== $$each"; $(BIN)/python benchmarks/$$each.py $(ARGS) || exit 1; done

gpu: $(READY) ## The checks that need an NVIDIA GPU; skipped with a reason where there is none
	$(BIN)/pytest -m gpu -rs $(ARGS)

CLIENTS := $(VENV)/clients
clients: $(READY) $(CLIENTS)/.ready ## Other people's clients, unmodified, against the simulated market
	$(BIN)/pytest -rs tests/conformance/clients $(ARGS)

$(CLIENTS)/.ready: requirements/clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/clients.txt
	@touch $(CLIENTS)/.ready

TRAIN := $(VENV)/train
train-test: $(READY) $(TRAIN)/.ready ## The trainer's proofs on the CPU; its environment takes about 6 GB
	$(BIN)/pytest -rs tests/training $(ARGS)

$(TRAIN)/.ready: requirements/train.txt
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/train.txt
	@touch $(TRAIN)/.ready

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate
lock: $(READY) ## Compile requirements/*.txt anew from pyproject.toml (add ARGS=--upgrade to move the pins)
	$(LOCK) $(ARGS) pyproject.toml --extra postgres --output-file requirements/runtime.txt
	$(LOCK) $(ARGS) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(LOCK) $(ARGS) requirements/build.in --output-file requirements/build.txt
	$(LOCK) $(ARGS) requirements/clients.in --output-file requirements/clients.txt
	$(LOCK) $(ARGS) requirements/train.in --output-file requirements/train.txt

clean: ## Remove what was built; the data of `holdfast up` stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
