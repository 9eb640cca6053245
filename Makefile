# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export MPLBACKEND := Agg

.PHONY: lava-env test-lava bench-lava campaign-onnx demo test check lint types test-slow wheel clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## the main job, end to end, on embedded real digits
	$(BIN)/tssd demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -q

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -q -m slow

campaign-onnx: $(VENV)/.installed  ## 1,000 random networks in onnxruntime
	$(BIN)/python -m pytest -q -m campaign tests/hw_targets/test_onnx_engine.py

.PHONY: campaign-fuzz bench-exchange
campaign-fuzz: $(VENV)/.installed  ## 100,000 damaged .nir, .net, .onnx and .safetensors files
	$(BIN)/python -m pytest -q -m campaign tests/export/test_exchange_fuzz.py

bench-exchange: $(VENV)/.installed  ## ONNX speed and equality, NIR time and size
	$(BIN)/python -m benchmarks.bench_exchange

lava-env: $(VENV)/.installed  ## Intel's Lava in its own Python 3.10 environment (5.6 GB)
	$(BIN)/tssd lava install --full

test-lava: $(VENV)/.installed  ## Lava's own models against ours; skipped without lava-env
	$(BIN)/python -m pytest -q -m lava -rs

bench-lava: $(VENV)/.installed  ## PilotNet, random networks; BUNDLES="build/a build/b" too
	$(BIN)/python benchmarks/bench_lava.py $(BUNDLES)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy
	$(BIN)/pyright

check: lint types test

.PHONY: results docs bench-chain bench-placement

bench-chain: $(VENV)/.installed  ## Fashion-MNIST through the whole chain; trains what is missing
	$(BIN)/python -m benchmarks.bench_chain

.PHONY: bench-chips
bench-chips: $(VENV)/.installed  ## chip files against what was measured on silicon
	$(BIN)/python -m benchmarks.chips

bench-placement: $(VENV)/.installed  ## traffic shortened, seconds, Intel's partition
	$(BIN)/python -m benchmarks.placement

results: $(VENV)/.installed  ## docs/results.md and docs/performance.md from benchmarks/results
	$(BIN)/python -m benchmarks.render_results

docs: $(VENV)/.docs  ## the site, strictly: a broken link stops the build
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

wheel: $(VENV)/.installed  ## source distribution and wheel in dist/
	rm -rf build/lib dist
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
