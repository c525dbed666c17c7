# `make run` and `make test` set up everything they need in .venv.
PYTHON ?= python3
ARGS ?= 70b --ram 16G
TEST ?=
VENV := .venv
BIN := $(VENV)/bin
# What the installed extension is made of: a change reinstalls it.
NATIVE := $(wildcard microbench/*.c microbench/*.h microbench/*.def microbench/*.py) setup.py pyproject.toml

.PHONY: run test peer lint pictures clean

run: $(VENV)/run.stamp
	@$(BIN)/fitcheck $(ARGS) || test $$? -eq 1  # "does not fit" is an answer, not a failed make

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n auto $(TEST)

peer: $(VENV)/peer.stamp
	$(BIN)/python -m pytest -m peer $(TEST)

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) -C microbench selftest

pictures: $(VENV)/run.stamp
	$(BIN)/python docs/pictures.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(BIN)/python $(NATIVE)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -m compileall -q fitcheck
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@

$(VENV)/peer.stamp: $(VENV)/test.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,peer]"
	@touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,lint]"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info fitcheck/_native.*
