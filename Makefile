# Every target sets up what it needs. A machine needs Python 3.11 or newer, pip and make; nothing else.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# Least share of lines and branches that the tests must reach, in percent.
COVERAGE ?= 93
# Options of a chaos run, see `python -m tests.chaos --help`.
CHAOS ?=
# Options of a benchmark run, see `python -m benchmarks --help`.
BENCH ?=
# Test processes at a time.
JOBS ?= 2
UV ?= uv

BIN := .venv/bin
# Coverage is measured where the code runs in the test's own process: in others it would cost more than the tests.
MEASURED := $(wildcard tests/unit tests/integration tests/api tests/doors)
OTHERS := $(wildcard tests/model tests/contract tests/acceptance)
LOCK := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra otel pyproject.toml
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.DEFAULT_GOAL := help
.PHONY: help demo test check chaos bench bench-peers up fmt docs lock clean \
	set-up set-up-dev static format lint types imports unit

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: set-up ## One real job from a bare clone: no key, no services
	@$(BIN)/troupe demo

test: set-up-dev ## All checks and all tests, with coverage; of chaos a short part
	@$(MAKE) --no-print-directory -j2 --keep-going $(SYNC) static
	@rm -f reports/tried-again.txt
	@$(BIN)/pytest $(MEASURED) -n $(JOBS) --dist worksteal --cov --cov-report=term --cov-fail-under=$(COVERAGE)
	@$(BIN)/pytest $(OTHERS) -n $(JOBS) --dist worksteal
	@if test -s reports/tried-again.txt; then cat reports/tried-again.txt; fi
	@$(BIN)/pytest tests/chaos -n $(JOBS)

check: set-up-dev ## Format, lint, types, import law and the unit tests, in under a minute
	@$(MAKE) --no-print-directory -j2 --keep-going $(SYNC) static unit

chaos: set-up-dev ## Kill workers, Redis and messages while jobs run (CHAOS="--full": some 20 minutes)
	@$(BIN)/python -m tests.chaos $(CHAOS)

bench: set-up-dev ## Measure Troupe against bare Celery: JSON lines, then a table (BENCH="--help": cases)
	@$(BIN)/python -m benchmarks $(BENCH)

bench-peers: set-up-dev ## Measure Troupe against other frameworks, each in a venv of its own
	@$(BIN)/python -m benchmarks.peers $(BENCH)

up: set-up ## The whole stack as local processes
	@$(BIN)/troupe up

fmt: set-up-dev ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

docs: set-up-dev ## Write docs/configuration.md from the settings classes
	@$(BIN)/python .ci/configuration_page.py

lock: ## Renew both lock files (needs uv)
	@$(LOCK) --upgrade --group build --output-file requirements.lock
	@$(LOCK) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove everything that the targets made
	@rm -rf .venv .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* coverage.xml htmlcov dist reports
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

set-up:
	@$(call need-python); $(PYTHON) .ci/set_up.py runtime

set-up-dev:
	@$(call need-python); $(PYTHON) .ci/set_up.py dev

static: format lint types imports

format:
	@$(BIN)/ruff format --quiet --check . || { echo "make fmt formats them" >&2; exit 1; }

lint:
	@$(BIN)/ruff check --quiet .

types:
	@$(BIN)/basedpyright --warnings

imports:
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

unit:
	@$(BIN)/pytest tests/unit -q

define need-python
test -n "$(PYTHON)" || { echo "Troupe needs Python 3.11 or newer on PATH; or say which: make PYTHON=/path/to/python" >&2; exit 2; }
endef
