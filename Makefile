# `make run` opens the playground, `make test` runs the tests; both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A CPU build of torch is enough to learn with; a machine with CUDA gets the default build from its own index.
PIP_FLAGS ?=

.PHONY: run test lint torches bench clean

run: $(VENV)/.installed
	@$(BIN)/lstm-tui

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -n 3 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The oldest and the newest torch that pyproject.toml allows, each in an environment of its own.
TORCHES := 2.6.0 2.14.1
torches: $(TORCHES:%=torch-%)

torch-%: .venv-torch-%/.installed
	@$(<D)/bin/python -m pytest -n 3 --dist worksteal

.venv-torch-%/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet $(PIP_FLAGS) torch==$*
	grep -vE '^(torch|sympy)=' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/pip install --quiet $(PIP_FLAGS) --constraint $(@D)/constraints.txt --editable '.[dev]'
	@touch $@

# Wants an idle machine. The corpora that the other figures of tests/benchmarks/RESULTS.md need are the user's.
bench: $(VENV)/.installed-dev
	$(BIN)/lstm-tui bench
	$(BIN)/python -m tests.benchmarks.generation
	$(BIN)/python -m tests.benchmarks.neighbours
	$(BIN)/python -m tests.benchmarks.vectors
	$(BIN)/python -m tests.benchmarks.looking
	$(BIN)/python -m tests.benchmarks.chart

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "lstm-tui needs Python 3.11 or newer; try: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-torch-* .pytest_cache .mypy_cache .ruff_cache
