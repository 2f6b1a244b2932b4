# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# make demo DATA=DIR reads GSM8K's train.jsonl and test.jsonl from DIR; without it they come from the hub, or, with no
# network, calculations of the same form are generated.
DATA ?=
STEPS ?= 150

.PHONY: help install demo test lint docs bench clean

help:  ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(VENV)/.installed  ## make .venv with everything pinned in constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Pilothouse needs Python 3.11 or newer; run: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install  ## train a tiny policy on GSM8K's calculations and show what it learnt (about 3 minutes)
	$(BIN)/pilothouse train grpo --task gsm8k-calc $(if $(DATA),--data $(DATA)) --prompts 64 --steps $(STEPS) \
	  --training.schedule linear --training.eval_problems 1500 --training.eval_samples 4 --training.eval_every 50

test: install  ## run the tests, on up to four processors
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4

lint: install  ## formatting, style, types and the documentation's links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/mkdocs build --quiet

docs: install  ## make the pages that come from evidence and cards, then the site in site/
	$(BIN)/pilothouse claims --write docs
	$(BIN)/mkdocs build --quiet

bench: install  ## the comparisons with peers (installs them into .venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/step_vs_trl.py
	$(BIN)/python benchmarks/local_engine.py
	$(BIN)/python benchmarks/peak_memory.py
	$(BIN)/python benchmarks/credit_overhead.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis site
