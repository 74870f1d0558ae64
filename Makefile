# make demo   build a small project in a temporary folder and show its history
# make test   install what the tests need, then run every check
# make test-zfs  run the tests of datasets beside real OpenZFS, 2.1 and 2.3, in an emulated machine; OPENZFS=2.1: one of them
# make clean  remove what the two have made here

SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for servers and for the disk: three at once keep two cores busy, which is what such machines often have.
JOBS ?= 3
# The large frameworks that a few tests train with: no leaves them out, all takes them with what graphics cards need, too.
FRAMEWORKS ?= yes

# The versions of OpenZFS that test-zfs runs, and what it runs there.
OPENZFS ?= 2.1 2.3
ZFS_TESTS ?= tests/zfs

.PHONY: demo test test-zfs check lint types layers tests packages frameworks peers clean
.DEFAULT_GOAL := test

demo: $(VENV)/runs
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo/demo.sh

test: packages frameworks peers
	@$(MAKE) --no-print-directory check

# Each step runs even if one before it failed, so that one run tells everything.
check: $(VENV)/tests
	@failed=''; \
	for step in lint types layers tests; do \
		$(MAKE) --no-print-directory $$step || failed="$$failed $$step"; \
	done; \
	if [ -n "$$failed" ]; then printf '\nFAILED:%s\n' "$$failed"; exit 1; fi; \
	printf '\nAll checks passed.\n'

# Each version's output is kept, so that a run can be looked at later.
test-zfs: $(VENV)/tests
	@$(BIN)/python -m compileall -q dsvc tests >/dev/null || true  # in the machine the checkout is read-only
	@failed=''; cache="$${DSVC_TEST_CACHE:-$$HOME/.cache/dsvc-tests}"; \
	for version in $(OPENZFS); do \
		printf '\n== OpenZFS %s\n' "$$version"; \
		bash tests/tools/zfs-machine.sh "$$version" || { failed="$$failed $$version"; continue; }; \
		cat "$$cache/openzfs-$$version/version"; \
		bash tests/tools/zfs-machine.sh "$$version" $(BIN)/python -m pytest -q -rs -p no:cacheprovider $(ZFS_TESTS) \
			| tee "$$cache/openzfs-$$version/output"; \
		[ "$${PIPESTATUS[0]}" -eq 0 ] || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then printf '\nFAILED beside OpenZFS%s\n' "$$failed"; exit 1; fi

lint: $(VENV)/tests
	@printf '\n== ruff\n'
	@$(BIN)/ruff check --quiet --output-format concise . && echo 'Nothing to say.'

types: $(VENV)/tests
	@printf '\n== mypy --strict\n'
	@$(BIN)/mypy

layers: $(VENV)/tests
	@printf '\n== import-linter\n'
	@$(BIN)/lint-imports | grep -E 'KEPT|BROKEN|->|Contracts:' ; exit $${PIPESTATUS[0]}

tests: $(VENV)/tests
	@printf '\n== pytest\n'
	@bash .ci/tests $(BIN)/python $(JOBS)

# The programs that tests run beside dsvc. A test whose program is missing is skipped and says so.
packages:
	@bash .ci/packages

frameworks: $(VENV)/tests
ifneq ($(FRAMEWORKS),no)
	@FRAMEWORKS=$(FRAMEWORKS) bash .ci/frameworks $(BIN)/python $(VENV)/frameworks
endif

peers: $(VENV)/tests
	@bash .ci/peers $(BIN)/python $(VENV)/peers

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "dsvc needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	@echo 'Making a virtual environment in $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV) \
		|| { echo 'A virtual environment needs the module venv; on Debian: apt-get install python3-venv'; exit 1; }

# A stamp is newer than what decides what is installed; a second run does nothing here.
$(VENV)/runs: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'Installing dsvc'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'Installing dsvc and what its tests need'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/runs

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
