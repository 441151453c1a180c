# People and CI run the same targets. Nothing but Python 3.11 and make is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that `make test` and `make test-all` run the tests in.
WORKERS ?= 2
# Small matrices: threads that spin cost more than they bring.
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## a virtual environment in .venv with everything that follows needs

$(READY): pyproject.toml constraints.txt
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)  ## train a small language model, index it, serve it, ask it (about 4 minutes)
	$(BIN)/python -m examples.demo

demo-llm: $(READY)  ## fine-tune SmolLM2-135M on real documents, index it, ask it (downloads 95 MB; an hour on 2 cores)
	$(BIN)/python -m examples.smollm2.demo

demo-openmoji: $(READY)  ## what 120 authors are due, from prediction to statement (needs npm)
	$(BIN)/python -m examples.openmoji.demo

demo-licence: $(READY)  ## a collective licence, from index to payment
	$(BIN)/python -m examples.collective_licence.demo

test: $(READY)  ## the tests but the slow ones (about 12 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not slow"

test-all: $(READY)  ## every test, the slow ones too, as continuous integration runs them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder

check: $(READY)  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## bring the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-digits bench-recorded bench-build bench-memory bench-search bench-scan-memory bench-cold-query bench-http bench-switches bench-kills bench-service-kills bench-money-kills bench-ensembles bench-groups bench-sotu bench-models  ## most benchmarks of docs/benchmarks.md (not bench-selection, bench-diffusion, bench-service, bench-finetune, bench-curve, bench-tune, bench-pca, bench-peers, bench-quickstarts)

bench-digits: $(READY)  ## accuracy (LDS) on digits, against real retraining
	$(BIN)/python -m benchmarks.accuracy.digits

bench-build: $(READY)  ## build time over plain forward and backward passes
	$(BIN)/python -m benchmarks.speed.build_time

bench-llm: $(READY)  ## what indexing a language model costs beside plain training passes (after demo-llm; 90 minutes)
	$(BIN)/python -m benchmarks.speed.language_model

bench-llm-memory: $(READY)  ## peak memory of every recipe's build on that model (after demo-llm; an hour and a half)
	$(BIN)/python -m benchmarks.speed.language_model --memory

bench-memory: $(READY)  ## peak memory of a build at n and 10 n rows
	$(BIN)/python -m benchmarks.speed.memory

bench-search: $(READY)  ## exact and compressed search, 100,000 x 1,024
	$(BIN)/python -m benchmarks.speed.search

bench-scan-memory: $(READY)  ## memory of exact scans of several queries, 100,000 and 1,000,000 rows
	$(BIN)/python -m benchmarks.speed.scan_memory

bench-cold-query: $(READY)  ## CPU seconds of byline query, with and without the check of the gradients
	$(BIN)/python -m benchmarks.speed.cold_query

bench-http: $(READY)  ## what HTTP adds to a query
	$(BIN)/python -m benchmarks.speed.http_overhead

bench-service: $(READY)  ## the service under load: throughput, overload, memory, restarts (wrk where it is installed)
	$(BIN)/python -m benchmarks.service.load

bench-switches: $(READY)  ## 1,000 switches of an alias while clients ask
	$(BIN)/python -m benchmarks.service.switches

bench-service-kills: $(READY)  ## the service killed with -9 while events are booked, on SQLite and on PostgreSQL
	$(BIN)/python -m tests.system.service_kills
	$(BIN)/python -m tests.system.service_kills --database postgresql --kills 30

bench-money-kills: $(READY)  ## the service killed with -9 while it books, pays and reverses, on SQLite and on PostgreSQL
	$(BIN)/python -m tests.system.money_kills
	$(BIN)/python -m tests.system.money_kills --database postgresql --kills 100

bench-kills: $(READY)  ## builds killed with -9 at random moments
	$(BIN)/python -m tests.system.kills

bench-recorded: $(READY)  ## recipe dvemb from recorded runs: LDS, cost of recording, memory
	$(BIN)/python -m benchmarks.accuracy.recorded

bench-refine: $(READY)  ## solved queries on fine-tuned models: LDS by steps and damping (downloads Fashion-MNIST)
	$(BIN)/python -m benchmarks.accuracy.refined

bench-ensembles: $(READY)  ## ensembles: masks, adapters and PCA against five trained models
	$(BIN)/python -m benchmarks.accuracy.ensembles
	$(BIN)/python -m benchmarks.accuracy.optimism

bench-tune: $(READY)  ## what byline tune chooses beside the best that it tried, on four cases (downloads Fashion-MNIST, needs npm)
	$(BIN)/python -m benchmarks.accuracy.tuning

bench-pca: $(READY)  ## a PCA of ten masks as the training set grows (downloads Fashion-MNIST)
	$(BIN)/python -m benchmarks.accuracy.pca_sizes

bench-groups: $(READY)  ## groups: cost, accuracy, removal curves and drill-down (downloads Adult and Fashion-MNIST)
	$(BIN)/python -m benchmarks.accuracy.groups

bench-sotu: $(READY)  ## accuracy (LDS) on a small language model, against real retraining (needs npm)
	$(BIN)/python -m benchmarks.accuracy.sotu

bench-finetune: $(READY)  ## accuracy on fine-tuned models: halves, 5 % removed, one owner out (needs npm; two hours to retrain, kept)
	$(BIN)/python -m benchmarks.accuracy.finetuning
	$(BIN)/python -m benchmarks.accuracy.finetuning --case images

bench-tokens: $(READY)  ## masks the most influential 1 % of training tokens and retrains (after bench-finetune; a quarter of an hour)
	$(BIN)/python -m benchmarks.accuracy.tokens

bench-curve: $(READY)  ## LDS by the numbers stored for a training point, drawn (after bench-finetune; downloads Fashion-MNIST)
	$(BIN)/python -m benchmarks.accuracy.curve

bench-selection: $(READY)  ## candidates chosen for a target against random ones: a small language model trained on them
	$(BIN)/python -m benchmarks.accuracy.selection

bench-diffusion: $(READY)  ## accuracy (LDS) on a diffusion model of digits, against real retraining
	$(BIN)/python -m benchmarks.accuracy.diffusion

bench-models: $(READY)  ## gradients of 2,000 random small models against float64 autograd, and the table of docs/tasks.md
	$(BIN)/python -m tests.system.random_models
	$(BIN)/python -m tests.system.model_table
	$(BIN)/python -m tests.system.drawn_models

bench-peers: $(READY)  ## other libraries on the same model and truth (installs them in .bench/peers)
	$(BIN)/python -m benchmarks.peers

bench-quickstarts: $(READY)  ## the same few lines with other libraries (installs them in .bench/quickstarts)
	$(BIN)/python -m benchmarks.peers.quickstarts

bench-folder-quickstarts: $(READY)  ## a language model's folder with other libraries (installs them in .bench/peers)
	$(BIN)/python -m benchmarks.peers.folder_quickstarts

bench-gpu: $(READY)  ## what a GPU changes, on one machine: tests, a build in bf16, a query, FAISS (8 minutes)
	$(BIN)/python -m benchmarks.gpu

fuzz: $(READY)  ## ten minutes of broken, made-up and mutated requests to a real service
	$(BIN)/python -m tests.system.fuzz

test-faiss-gpu:  ## the search tests with faiss-gpu in place of faiss-cpu (2.4 GB; needs no GPU)
	test -x .venv-faiss-gpu/bin/python || "$(PYTHON)" -m venv .venv-faiss-gpu
	.venv-faiss-gpu/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e '.[gpu]' pytest pytest-timeout hypothesis beartype
	OMP_NUM_THREADS=1 .venv-faiss-gpu/bin/python -m pytest -q -m search tests/byline/search

test-deploy: $(READY)  ## build the images and run deploy/ for real: podman, docker-compose, chromium, as root (10 minutes)
	$(BIN)/python -m pytest -q -s --timeout=2400 tests/deploy/real/run_compose.py

up: ## the service with its database and monitoring in containers (needs docker compose)
	deploy/up

wheel: $(READY)  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:  ## remove what make has made
	rm -rf $(VENV) .venv-faiss-gpu .demo .bench dist build
