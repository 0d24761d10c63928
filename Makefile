# Everything a person or CI runs. Needs python3 (3.11 or newer), node and make; fetches the rest into .cache and .venv.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
JOBS ?= auto
# One at a time: they compare times, and some hold a million tasks in memory.
SLOW_JOBS ?= 0
UV_VERSION := 0.13.9
# The newest tag of aws-cdk (3.0.0) reads older assemblies only; this one reads those of the locked aws-cdk-lib.
CDK_VERSION := 2.1148.1

TOOLS := .cache/tools
UV := $(TOOLS)/bin/uv
UV_STAMP := $(TOOLS)/uv-$(UV_VERSION).stamp
SYNCED := .venv/synced.stamp
ORACLE := .cache/oracle
ORACLE_SYNCED := $(ORACLE)/synced.stamp
BIN := .venv/bin
RUN := $(BIN)/python
export UV

.PHONY: help bootstrap demo local test test-slow sim sim-long oracle check lint format deploy clean

help:
	@echo "make demo                            the whole platform on this machine, with simulated workers"
	@echo "     [DATASET=folder [TASKS=n] [DYNAMIC=1]]   with the workers of a data set; stopping when certain"
	@echo "make local                           the platform on this machine, until Ctrl-C"
	@echo "make test                            the tests"
	@echo "make test-slow                       those that take minutes: a million tasks, 50,000 rows"
	@echo "make sim                             every money flow with every fault at every call; planted bugs"
	@echo "make sim-long                        ten million attempts of it; Ctrl-C stops, ARGS='--from N' goes on"
	@echo "make oracle                          accuracy and speed of single choice against crowd-kit's"
	@echo "make check                           what CI runs: format, lint, types, architecture, API document, tests, sim"
	@echo "make format                          put the code in shape"
	@echo "make deploy STAGE=dev|prod           to the AWS account of the current credentials"
	@echo "make clean                           remove what was built"

bootstrap: $(SYNCED)

$(UV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "fetching uv $(UV_VERSION)"
	@rm -rf $(TOOLS)
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(SYNCED): $(UV_STAMP) pyproject.toml uv.lock
	@echo "installing the locked packages"
	@$(UV) sync --locked --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

$(ORACLE_SYNCED): $(UV_STAMP) pyproject.toml uv.lock
	@echo "installing crowd-kit, in an environment of its own"
	@UV_PROJECT_ENVIRONMENT=$(ORACLE) $(UV) sync --locked --quiet --only-group oracle --no-install-project \
		--python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

demo: $(SYNCED)
	@$(RUN) -m local.demo $(if $(DATASET),--dataset "$(DATASET)") $(if $(TASKS),--tasks "$(TASKS)") $(if $(DYNAMIC),--dynamic) $(ARGS)

local: $(SYNCED)
	@$(RUN) -m local.up $(ARGS)

test: $(SYNCED)
	@$(RUN) -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(SYNCED)
	@$(RUN) -m pytest -m slow -n $(SLOW_JOBS) --dist loadfile --durations=0 $(ARGS)

sim: $(SYNCED)
	@$(RUN) -m tests.sim $(ARGS)

sim-long: $(SYNCED)
	@$(RUN) -m tests.sim --attempts 10000000 --everything $(ARGS)

# What is measured against crowd-kit is a command and no test, as the tests' environment does not have it.
oracle: $(ORACLE_SYNCED)
	@PYTHONPATH=.:layers/core/python $(ORACLE)/bin/python -m tests.quality.oracle

lint: $(SYNCED)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(RUN) -m local.openapi --check
	@$(RUN) -m local.event_schemas --check

check: lint test sim

format: $(SYNCED)
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

deploy: $(SYNCED)
	@case "$(STAGE)" in dev|prod) ;; *) echo "say which: make deploy STAGE=dev or STAGE=prod"; exit 2;; esac
	@$(RUN) -m local.vendor lambda
	@npx --yes aws-cdk@$(CDK_VERSION) deploy --all --output cdk.out/$(STAGE) --app "$(RUN) -m infra.app" \
		-c stage=$(STAGE) -c vendor=build/vendor/lambda -c python=3.13 $(ARGS)

clean:
	@rm -rf build cdk.out .cache/assets .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -not -path './.cache/*' -prune -exec rm -rf {} +
