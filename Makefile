# Everything a user or a developer runs. `make demo` and `make test` set up what they need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON_FILES := src tests docs/_ext docs/conf.py $(wildcard bench)
JOBS ?= auto
TESTS ?=
SYSTEM_PACKAGES := python3-venv postgresql charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins \
  iproute2 iputils-ping tcpdump

.PHONY: help
help: ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

.PHONY: setup
setup: .venv/ready ## make .venv from requirements.lock (the other targets do this themselves)

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	@tools/setup.sh

.PHONY: demo
demo: .venv/ready ## both published links, a recorded experiment, a data centre simulated and run for real; results in out/demo
	@.venv/bin/bellweave demo --out out/demo

.PHONY: test
test: .venv/ready ## run the tests (JOBS=n processes; TESTS="-m emu": live processes only, or paths)
	@.venv/bin/python -m bellweave.testing.compiled
	@.venv/bin/python -m pytest -q -n $(JOBS) --maxprocesses 8 $(TESTS)

.PHONY: check
check: lint types layers docs ## ruff, mypy --strict, the import contracts, the documentation

.PHONY: lint
lint: .venv/ready
	@echo "check: ruff"
	@.venv/bin/python -m ruff check --quiet $(PYTHON_FILES)
	@.venv/bin/python -m ruff format --quiet --check $(PYTHON_FILES) || { echo "run:  .venv/bin/ruff format $(PYTHON_FILES)"; exit 1; }

.PHONY: types
types: .venv/ready
	@echo "check: mypy"
	@.venv/bin/python -m mypy --no-error-summary $(PYTHON_FILES)

.PHONY: layers
layers: .venv/ready
	@echo "check: import contracts"
	@mkdir -p build
	@.venv/bin/lint-imports --no-cache >build/layers.log 2>&1 || { cat build/layers.log; exit 1; }

.PHONY: docs
docs: .venv/ready ## build the documentation into docs/_build/html
	@echo "check: documentation"
	@.venv/bin/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

.PHONY: bench
bench: .venv/ready ## run every benchmark on one core and print its JSON
	@tools/bench.sh

.PHONY: lock
lock: .venv/ready ## pin the newest versions of all dependencies in requirements.lock
	@tools/lock.sh

.PHONY: system
system: ## install the Debian packages that set-up and some tests want (as root or with sudo)
	@run=(); [ "$$(id -u)" = 0 ] || run=(sudo); "$${run[@]}" apt-get update -qq; \
	"$${run[@]}" apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES)

.PHONY: clean
clean: ## remove what was built or cached, but for .venv
	@rm -rf out build dist docs/_build .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests docs $(wildcard bench) -name __pycache__ -prune -exec rm -rf {} +
