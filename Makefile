# `make help` says what there is. Every target sets up what it needs, once; `make` again is quick.
#   make train PYTHON=python3.12      choose the interpreter, when .venv is made
#   make train ARGS='epochs=5'        more settings for the run
#   make predict ARGS='conf=0.1'      the same of the prediction
#   make test ARGS='tests/config -x'  more arguments for pytest; -n 0 for one test at a time
PYTHON ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/yolo26n-shapes
TESTS_AT_ONCE := 3 # on two cores: many wait, for processes that start or for SLURM
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup train predict test test-long test-augmentations lint clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name purpose; do printf '  make %-18s %s\n' "$$name" "$$purpose"; done

setup: $(VENV)/.ready-dev ## .venv with the project and what its tests need; nothing to do the second time

train: $(VENV)/.ready ## train YOLO26n on rendered images, one rank for each GPU or two on the CPU; minutes
	$(BIN)/python -m yoloscale train experiment=shapes_demo $(ARGS)

predict: $(VENV)/.ready ## predict the validation images of `make train` with its weights, one rank for each GPU or CPU
	@test -f $(DEMO)/weights/best.pt || { echo 'make predict: no $(DEMO)/weights/best.pt yet; run `make train` first' >&2; exit 1; }
	images=$$($(BIN)/python -m yoloscale data prepare experiment=shapes_demo) && \
	$(BIN)/python -m yoloscale predict model=$(DEMO)/weights/best.pt source="'$${images%/*}/images/val'" $(ARGS)

test: $(VENV)/.ready-dev ## the tests, without those that take minutes each
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) $(ARGS)

test-long: $(VENV)/.ready-dev ## the tests that take minutes each, or fetch something
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) -m '(long or network) and not gpu' $(ARGS)

test-augmentations: $(VENV)/.ready-augmentations ## those that need Albumentations, in an environment of their own
	$(VENV)/augmentations/bin/python -m pytest -m '' tests/yolo/test_augmentations.py tests/e2e/test_augmentations.py $(ARGS)

lint: $(VENV)/.ready-dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove .venv, caches and built wheels; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml scripts/setup
	scripts/setup

$(VENV)/.ready-dev: pyproject.toml scripts/setup
	scripts/setup dev

$(VENV)/.ready-augmentations: $(VENV)/.ready-dev
	scripts/setup augmentations
