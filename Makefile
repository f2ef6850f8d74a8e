# `make` alone lists the targets. Each finds or bootstraps what it needs; `make run` needs nothing but Python.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# uv from the PATH, else one of our own in build/; Python 3.12 or newer, which uv fetches where it may and must.
PYTHON := $(firstword $(foreach p,python3.13 python3.14 python3.12 python3,$(if $(shell $(p) -c 'import venv' 2>/dev/null && echo y),$(p))))
UV := $(or $(shell command -v uv),build/uv/bin/uv)
SYNC := $(UV) sync --quiet --locked --inexact
# Some machines forbid Python to keep compiled modules. Each process then compiles a thousand: 1.4 of the 3.4 s of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

build/uv/bin/uv:
	@[ -n "$(PYTHON)" ] || { echo "Python with its venv module is missing: install python3 and python3-venv." >&2; exit 1; }
	@$(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv

.PHONY: run
run: $(UV) ## the service on embedded databases: Python alone
	@$(SYNC) --extra service
	@exec .venv/bin/python app/manage.py run

.PHONY: test
test: $(UV) ## everything that can run on this machine, real servers and a cluster included
	@UV='$(abspath $(UV))' tests/run

PYTHON_VERSION ?= 3.12
DJANGO_VERSION ?= 5.2
.PHONY: test-package
test-package: $(UV) ## the package's unit tests with another PYTHON_VERSION and DJANGO_VERSION than the lock's
	@UV='$(abspath $(UV))' tests/run-package $(PYTHON_VERSION) $(DJANGO_VERSION)

# The files whose number of cases comes from tests/support/examples.py.
.PHONY: test-random
test-random: $(UV) ## the tests of random cases, with 8 to 160 times the cases of `make test`: ten minutes
	@$(SYNC) --extra service --extra postgres --extra mysql --group dev
	@RANDOM_CASES=all .venv/bin/python -m pytest -q -n auto $$(grep -rl --include='*.py' 'max_examples=examples(' tests)

.PHONY: test-compat
test-compat: $(UV) ## packages of others behind the routers, in an environment of their own: needs Docker
	@UV='$(abspath $(UV))' tests/run-compat

.PHONY: test-chart
test-chart: $(UV) ## the chart, linted and rendered, and its alerts: needs helm and promtool
	@$(SYNC) --extra service --group dev
	@helm lint --strict chart
	@.venv/bin/python -m pytest -q -n auto tests/chart

.PHONY: soak-deletions
soak-deletions: $(UV) ## 300,000 parents deleted under load, workers killed, databases restarted: no orphan (30 minutes)
	@$(SYNC) --extra service --extra postgres --extra mysql --group dev
	@.venv/bin/python -m tests.bench.crossdb_deletions

.PHONY: soak
soak: $(UV) ## upgrades, rollbacks and kills under load, for 90 minutes, in a kind cluster of its own: writes build/soak.json
	@$(SYNC) --extra service --group dev
	@.venv/bin/python -m tests.soak

BENCHES := routing requests staleness failures isolation memory edge telemetry crossdb
PEERS := build/bench/peers/multidb build/bench/peers/django_prometheus

.PHONY: bench
bench: ## every benchmark, beside plain Django, its guide's routers and packages of others
	@$(MAKE) --no-print-directory --keep-going $(BENCHES:%=bench-%)

.PHONY: $(BENCHES:%=bench-%)
$(BENCHES:%=bench-%): bench-%: $(UV) $(PEERS)
	@$(SYNC) --extra service --extra postgres --extra mysql --group dev
	@.venv/bin/python -m tests.bench.$*

# Beside the environment, so that no lock and no test depends on what we are compared with.
$(PEERS) &: | $(UV)
	@$(UV) pip install --quiet --no-config --no-deps --target build/bench/peers \
	  'django-multidb-router==0.11' 'django-prometheus==2.5.0'

.PHONY: lint
lint: $(UV) ## style, types, import directions, spelling, shell, YAML
	@$(SYNC) --all-extras --group dev
	@UV='$(abspath $(UV))' tests/lint

.PHONY: kind-up
kind-up: ## the service and its four databases in a kind cluster
	@k8s-dev/kind-up

.PHONY: kind-down
kind-down: ## remove the kind cluster
	@k8s-dev/kind-down

.PHONY: build
build: $(UV) ## the package as a wheel, in dist/
	@$(UV) build --quiet --wheel

.PHONY: chart-package
chart-package: ## the chart as a package, in dist/: needs helm
	@helm package chart --destination dist

.PHONY: clean
clean: ## remove what was built; data under var/ stays
	@rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
