# `make run` and `make test` set everything up by themselves; they need Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install --disable-pip-version-check
# Visdom has no wheel, and can't be built with setuptools 81, which pip's isolated builds would use.
BUILD := setuptools==80.9.0 wheel==0.45.1
SHOW := @$(PYTHON) scripts/announced.py

.PHONY: run test check docs lock

run: .venv/installed
	$(BIN)/python -m expt.run loss=crossentropy act=relu

test: check
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Warnings are errors, those of links without a target too.
docs: .venv/installed
	$(BIN)/sphinx-build -W --keep-going -n -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

.venv/installed: requirements.lock pyproject.toml
	$(SHOW) "creating .venv" -- $(PYTHON) -m venv .venv
	$(SHOW) "installing setuptools" -- $(PIP) $(BUILD)
	$(SHOW) "installing TensorFlow and the others" -- $(PIP) --no-build-isolation --requirement requirements.lock
	$(SHOW) "installing expt" -- $(PIP) --no-deps --editable .
	@touch $@

# Writes the versions of a fresh resolution of pyproject.toml.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check $(BUILD)
	.venv-lock/bin/pip install --quiet --disable-pip-version-check --no-build-isolation 'visdom<0.3'
	.venv-lock/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	.venv-lock/bin/pip freeze --exclude-editable > requirements.lock
	rm -rf .venv-lock
