# Everything that is done often. Each target works alone on a fresh machine: it first sets up .venv if need be.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Two workers of one thread each, rather than two that fight over the same cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2
# Nothing goes over the network once the packages are installed, and this makes sure of it.
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

THREADS ?= $(shell getconf _NPROCESSORS_ONLN)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow hunt lint conformance bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The two set-up commands. torch comes first and by itself: it is the big one, and whoever wants another build
# of it (a CUDA version, say) replaces just that line. Every version is pinned by constraints.txt.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## train a residual against a highway net on built-in text and report (a few minutes)
	$(OFFLINE) OMP_NUM_THREADS=$(THREADS) $(BIN)/accelerate launch --config_file training/launch/cpu.yaml \
		training/compare.py --config training/comparisons/demo.yaml --output_dir runs/demo

test: $(STAMP) ## run the tests, but for the slow ones
	$(PYTEST)

test-slow: $(STAMP) ## run the slow tests: inductor compiles, longer training, 1 000 examples of every hunt
	$(PYTEST) --hypothesis-profile=thorough -m "slow or hunt"

hunt: $(STAMP) ## look for inputs that break something: 1 000 new examples of every hunt
	$(PYTEST) --hypothesis-profile=new -m hunt

lint: $(STAMP) ## check style: ruff, and the linter of transformers for model files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/lint_models.py

conformance: $(STAMP) ## run the common model tests of transformers over every model (downloads its source once)
	$(BIN)/python tests/conformance/run.py

bench: $(STAMP) ## time the models against each other and against transformers
	$(OFFLINE) $(BIN)/python training/benchmark.py

clean: ## delete caches and .venv; results under runs/ are never touched
	rm -rf .venv .cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
