# What one does with a checkout. Every target sets up what it needs first.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-fast lint format types contracts artifacts artifacts-check gas \
	gas-flat coverage mutants invariants bench-judging large-payload kubo geth python-tests clean

# npm's Node, where this machine's own is too old (scripts/setup).
export PATH := $(CURDIR)/tools/node/node_modules/node/bin:$(PATH)
# Several processes share the machine: one thread each is faster than all of them on all cores.
export OMP_NUM_THREADS ?= 1
# Nothing is reported to anybody.
export HARDHAT_DISABLE_TELEMETRY := true

PYTHON := .venv/bin/python
HARDHAT := node_modules/.bin/hardhat
TYPED := bafl tests scripts/coverage scripts/export_artifacts scripts/mutate scripts/prove \
	scripts/slither $(sort $(foreach file,\
	$(wildcard benchmarks/*.py benchmarks/*/*.py examples/*.py examples/*/*.py),\
	$(firstword $(subst /, ,$(file)))))
FORMATTED := 'contracts/**/*.sol' hardhat.config.js package.json .prettierrc .solhint.json

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything that is pinned: .venv, node_modules
	@scripts/setup

demo: ## Watch a federation of six live for two minutes (TASK=heart, TASK=credit, STORE=kubo)
	@scripts/setup demo
	@$(if $(filter kubo,$(STORE)),BAFL_IPFS=$$(scripts/kubo) || exit 3; export BAFL_IPFS;) \
		$(PYTHON) -m examples.demo $(if $(STORE),--store $(STORE)) $(if $(TASK),--task $(TASK))

test: setup lint types contracts artifacts-check python-tests ## Everything that CI checks

test-fast: setup ## The quick Python tests
	@$(PYTHON) -m pytest -q -m "not e2e and not slow"

lint: setup ## Style, import directions, Solidity style
	@echo "== Style"
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/lint-imports --no-cache --config pyproject.toml > build/logs/imports.log || \
		{ cat build/logs/imports.log; exit 1; }
	@node_modules/.bin/prettier --log-level warn --check $(FORMATTED)
	@node_modules/.bin/solhint --noPoster --disc --max-warnings 0 'contracts/!(test)/**/*.sol' \
		'contracts/*.sol'

format: setup ## Put everything into shape
	@.venv/bin/ruff check --quiet --fix . || true
	@.venv/bin/ruff format --quiet .
	@node_modules/.bin/prettier --log-level warn --write $(FORMATTED)

types: setup ## Types of the Python code
	@echo "== Types"
	@.venv/bin/mypy --no-error-summary $(TYPED)

contracts: setup ## Solidity tests (FUZZ_RUNS=…, INVARIANT_RUNS=…, FUZZ_SEED=0x…)
	@echo "== Solidity tests"
	@$(HARDHAT) test solidity

invariants: setup ## A million calls of the invariants' handler: an hour or more
	@INVARIANT_RUNS=2000 INVARIANT_DEPTH=500 $(HARDHAT) test solidity --grep invariant_ \
		contracts/test/Invariants.t.sol

coverage: setup ## Lines and branches of the contracts that the Solidity tests run: ten minutes
	@scripts/coverage

mutants: setup ## Break the contracts on purpose; writes benchmarks/results/mutation.json
	@scripts/mutate

artifacts: setup ## Compile the contracts and put ABI and bytecode into the package
	@$(PYTHON) scripts/export_artifacts

artifacts-check: setup ## Compare the package's ABI and bytecode with a fresh compile
	@echo "== Artifacts"
	@$(PYTHON) scripts/export_artifacts --check

gas: setup ## Measure gas; writes benchmarks/results/gas.json
	@$(PYTHON) -m benchmarks.gas

gas-flat: setup ## Whether gas grows with age or size; writes benchmarks/results/gas-flat.json
	@$(PYTHON) -m benchmarks.gas_flat

bench-judging: setup ## How well poison is told from honest work; writes benchmarks/results/judging.json
	@$(PYTHON) -m benchmarks.judging

large-payload: setup ## What a payload past 300 MiB costs; writes benchmarks/results/large_payload.json
	@$(PYTHON) -m benchmarks.large_payload

kubo: ## Find Kubo or build it with Go
	@scripts/kubo

geth: ## Find geth or build it with Go
	@scripts/geth

# CI insists on Kubo and geth; elsewhere their tests are skipped, and say how to get them.
python-tests: setup
	@echo "== Python tests"
	@kubo=$$(scripts/kubo $(if $(CI),,--find)) || [ -z "$(CI)" ] || exit 1; \
		geth=$$(scripts/geth $(if $(CI),,--find)) || [ -z "$(CI)" ] || exit 1; \
		if [ -n "$$kubo" ]; then export BAFL_IPFS=$$kubo; fi; \
		if [ -n "$$geth" ]; then export BAFL_GETH=$$geth; fi; \
		$(PYTHON) -m pytest -q

clean: ## Remove what was built, not what was installed
	rm -rf artifacts cache dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
