# The sample project and this tool's own checks. `make deploy` and `make test` do all set-up themselves.

VENV ?= .venv
PYTHON ?= python3
SAMPLE := compose/tokenlab/compose.yaml

bluegreen := $(VENV)/bin/bluegreen --file $(SAMPLE)
installed := $(VENV)/.installed
bases := .state/base-images.env
# The base images that scripts/base-images chose, in the environment of what follows.
with_bases := set -a && . ./$(bases) && set +a &&
# What must be quick installs nothing.
there := [ -x $(VENV)/bin/bluegreen ] || { echo "no $(VENV)/bin/bluegreen here: run 'make setup' first" >&2; exit 1; };

# As typed: neither expanded by make, nor seen by a shell as anything but a value.
deploy: override export TAG := $(value TAG)
canary: override export PERCENT := $(value PERCENT)

.DEFAULT_GOAL := help
.PHONY: help setup engine images shells deploy rollback canary promote status down test chaos walk lint bench prove bench-peers bench-growth bench-judge dist engine-stop clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deploy: engine images $(installed) ## build, start, prove and switch to TAG of the sample (TAG=v1.0.0)
	@$(with_bases) $(bluegreen) deploy $${TAG:+-- "$$TAG"}

rollback: ## put the sample's traffic back on the release before, at once
	@$(there) $(bluegreen) rollback

canary: ## PERCENT of the sample's visitors to its candidate (PERCENT=10); without it, how they are shared
	@$(there) $(bluegreen) canary $${PERCENT:+-- "$$PERCENT"}

promote: ## all of the sample's visitors to its candidate
	@$(there) $(bluegreen) promote

status: ## what of the sample is live, and what stands by
	@$(there) $(bluegreen) status

down: $(installed) ## remove the sample from the engine, its volumes and images too
	@$(bluegreen) down --yes --volumes --images

setup: $(installed) ## a virtual environment with the tool and all that develops it (VENV=.venv, PYTHON=python3)

engine: ## the engine that answers, or one installed and started here
	@scripts/engine up --quiet

engine-stop: ## stop the engine that `make` started; never another
	@scripts/engine stop

images: engine ## the base images: official ones, or stand-ins where no registry answers
	@scripts/base-images

shells:
	@scripts/shells

test: engine images shells $(installed) ## every test, real containers included (ARGS="-k name")
	@$(with_bases) TESTCONTAINERS_RYUK_DISABLED=true $(VENV)/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

chaos: engine images $(installed) ## every command killed at every step, under traffic; goes on where it stopped
	@$(with_bases) $(VENV)/bin/python -m tests.chaos $(ARGS)

lint: $(installed) ## ruff, mypy strict, and shellcheck where there is one
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@bash -n scripts/engine && bash -n scripts/base-images && bash -n scripts/debian.sh && bash -n scripts/shells && bash -n scripts/bench-tools && bash -n .ci/run
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/* .ci/run; \
	else echo "lint: no shellcheck here, so scripts/ had only its syntax checked" >&2; fi

walk: engine images $(installed) ## thousands of random steps in memory, and a few dozen on real containers (BG_SEED=n)
	@$(with_bases) BG_WALKS=$${BG_WALKS:-240} BG_WALK_STEPS=$${BG_WALK_STEPS:-60} TESTCONTAINERS_RYUK_DISABLED=true \
	  $(VENV)/bin/python -m pytest -q tests/unit/app/test_statemachine.py tests/scenarios/test_random_walk.py $(ARGS)

bench: engine images $(installed) ## measure rollback, status, deploy, start-up and a request's cost against floors
	@scripts/engine plugins
	@scripts/bench-tools
	@$(with_bases) $(VENV)/bin/python -m benchmarks.run $(ARGS)

prove: engine images $(installed) ## 1,000 switches and 100 deploys and rollbacks under load, every response counted
	@$(with_bases) $(VENV)/bin/python -m benchmarks.prove $(ARGS)

bench-peers: engine images $(installed) ## the proxy beside HAProxy, Caddy and Traefik
	@scripts/engine plugins
	@scripts/bench-tools peers
	@$(with_bases) $(VENV)/bin/python -m benchmarks.run --only peers --json .state/bench-peers.json $(ARGS)

bench-growth: engine images $(installed) ## a long journal, many generations, services and replicas
	@scripts/engine plugins
	@$(with_bases) $(VENV)/bin/python -m benchmarks.run --only journal --only generations --only services --only replicas \
		--json .state/bench-growth.json $(ARGS)

bench-judge: $(installed) ## the judge beside fixed thresholds and Mann-Whitney, on the same simulated canaries
	@$(VENV)/bin/python -m benchmarks.judge $(ARGS)

dist: $(installed) ## the wheel, in dist/
	@$(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what checks and builds leave in the tree
	@rm -rf .state build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(installed): pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
