# `make run` and `make test` do all their own set-up; `make help` lists the rest.
# Works from any directory as `make -C path/to/here`.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin

# Test processes at once; each has a Valkey of its own. More pytest options: make test ARGS="-k pool"
WORKERS ?= 2
ARGS ?=

LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links $(UPGRADE) \
	pyproject.toml --group build --extra postgresql --extra otel

.PHONY: help run test check check-format check-lint check-types check-imports check-openapi \
	check-tag check-security openapi format parts bench bench-tag load chaos fuzz lock clean

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/.ready-run ## Start everything: Valkey, service, forwarder, sink and the demo page
	$(BIN)/dni-allocator demo $(ARGS)

test: $(VENV)/.ready-dev parts ## Run all tests, in a real browser too
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) $(ARGS)

chaos: $(VENV)/.ready-dev parts ## Break everything by a seed for CHAOS_MINUTES (3) and check what was seen; then more of it
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m pytest --numprocesses=1 -m "chaos or long" tests/webhooks tests/chaos \
		tests/cluster tests/http/test_buying_killed.py tests/http/test_autoscale_week.py $(ARGS)

fuzz: $(VENV)/.ready-dev ## Send what nobody means, for a quarter of an hour; SEED=2 sends something else
	DNI_FUZZ_EXAMPLES=$(or $(EXAMPLES),5000) $(BIN)/python -m pytest --numprocesses=$(WORKERS) \
		--timeout=7200 --hypothesis-seed=$(or $(SEED),1) tests/fuzz $(ARGS)

check: check-format check-lint check-types check-imports check-openapi check-tag check-security ## Lint, types, imports, generated files, security

check-format: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .

check-lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .

check-types: $(VENV)/.ready-dev
	$(BIN)/mypy

check-imports: $(VENV)/.ready-dev
	$(BIN)/lint-imports

check-openapi: $(VENV)/.ready-dev
	$(BIN)/dni-allocator openapi --check

check-tag: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.tagbuild --check

# bandit's minor findings are ruff's (S), each allowed in its place with the reason.
check-security: $(VENV)/.ready-dev
	$(BIN)/bandit --quiet --recursive --severity-level medium src loadtests scripts
	$(BIN)/python scripts/audit

openapi: $(VENV)/.ready-dev ## Write openapi.yaml anew
	$(BIN)/dni-allocator openapi

format: $(VENV)/.ready-dev ## Let ruff format and mend the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

parts: $(VENV)/.ready-dev ## Install Chromium, Firefox and PostgreSQL for the tests where there is none
	@$(BIN)/python -m tests.support.parts

bench: $(VENV)/.ready-load ## Measure against peers and budgets; ARGS=--short for a rough minute
	$(BIN)/python -m loadtests.bench $(ARGS)

load: $(VENV)/.ready-load ## Rehearse peak traffic; ARGS="--shape tv-spot --rate 100"
	$(BIN)/python -m loadtests.rehearsal $(ARGS)

bench-tag: $(VENV)/.ready-dev parts ## Measure what the tag costs a page of 5,000 elements
	$(BIN)/python -m tests.support.tagcost $(ARGS)

lock: $(VENV)/.ready-dev ## Pin the dependencies anew; UPGRADE=--upgrade for the newest
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) --output-file requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) --group dev --extra loadtests \
		--constraint requirements.lock --output-file requirements-dev.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) --extra loadtests \
		--constraint requirements-dev.lock --output-file requirements-load.lock

clean: ## Remove what was built and installed here, never data
	rm -rf $(VENV) build dist .coverage* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-%: requirements.lock requirements-dev.lock requirements-load.lock pyproject.toml scripts/set-up
	scripts/set-up $*
