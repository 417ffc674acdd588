# midstage's front door. `make up` and `make test` do all their set-up themselves.
#   make up ARGS='--exit --report r.json'    the whole platform on a real trace (midstage up --help)
#   make test ARGS='tests/stats -k ranges'   tests; without ARGS all of them
#   make test-kubernetes                     those that need a real Kubernetes; built at its first use
#   make test-reference                      are imported rules answered as envoyproxy/ratelimit does?
#   make check                               lint, types, layers, sizes, freshness
#   make bench                               speed beside peers; tables in build/bench
#   make bench-crash                         a million events, a hundred kills, and every sum is true;
#                                            a million checks, and no limit is exceeded
#   make mutations                       is every line of the scaling engine held by its tests?
#   make docs                                write the generated documents anew
#   make lock                                resolve the dependencies anew into requirements.lock
#   make clean                               remove what was built; caches and .midstage stay
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell $(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))))
BIN := .venv/bin
ARGS ?=
# each of the many processes would compile all that it imports: once is enough, and not among sources
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/build/bytecode
export PYTHONDONTWRITEBYTECODE :=

.PHONY: up test test-kubernetes test-reference kubernetes check bench bench-crash mutations docs lock clean setup

up: setup
	@$(BIN)/midstage up $(ARGS)

test: setup
	@$(BIN)/python -m pytest $(ARGS)

test-kubernetes: kubernetes
	@$(BIN)/python -m pytest -m kubernetes $(ARGS)

test-reference: setup
	@$(BIN)/python -m pytest -m reference tests/throttle/reference $(ARGS)

kubernetes: setup
	@$(BIN)/python -m midstage.local.kubernetes

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m midstage.contracts.catalogue --check docs/topics.md docs/asyncapi.yaml docs/application.schema.json
	@$(BIN)/python -m pytest -q tests/architecture

bench: setup
	@$(BIN)/python -m tests.bench $(ARGS)

bench-crash: setup
	@$(BIN)/python -m tests.bench.crash $(ARGS)
	@$(BIN)/python -m tests.throttle.crashes --owners 3 --kills 100 --checks 1000000

mutations: setup
	@$(BIN)/python -m tests.hpa.mutations $(ARGS)

docs: setup
	@$(BIN)/python -m midstage.contracts.catalogue docs/topics.md docs/asyncapi.yaml docs/application.schema.json

lock: setup
	@$(BIN)/python infra/bootstrap.py lock

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(if $(PYTHON),,echo "midstage needs Python 3.11 or later and found none: install it, or name it with make PYTHON=/path/to/python3" >&2; exit 1)
	@$(PYTHON) infra/bootstrap.py
