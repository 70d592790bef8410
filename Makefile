# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# By itself first: with others, pip may take a newer one. On Linux without a GPU the small build is enough:
# make test TORCH='torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu'
TORCH ?= torch==2.13.0
MODELS_DEMO := multilingual-e5-small $(if $(SMALL),qwen2.5-coder-0.5b-instruct,qwen2.5-coder-1.5b-instruct)
MODELS_TEST := multilingual-e5-small qwen2.5-coder-0.5b-instruct smollm2-135m-instruct

.PHONY: demo test lint pytest test-matrix fuzz bench-retrieval bench-answers bench-peers bench-indexes bench-parsing bench-tuning docs clean

demo: $(VENV)/.installed ## install, fetch the models, index examples/handbook, ask four questions
	@for model in $(MODELS_DEMO); do $(BIN)/lunheng models pull $$model || exit 1; done
	$(BIN)/python scripts/demo.py $(if $(SMALL),--small)

test: lint pytest ## every check and every test, on real models and real files

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(VENV)/.installed-dev
	@for model in $(MODELS_TEST); do $(BIN)/lunheng models pull $$model || exit 1; done
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal

test-matrix: $(VENV)/.installed-dev ## every way to fine-tune, on real models (make test has it on tiny ones); about an hour
	$(BIN)/lunheng models pull smollm2-135m-instruct multilingual-e5-small
	LUNHENG_MATRIX=real OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest tests/tuning/test_matrix.py -n $(or $(JOBS),2) --dist worksteal

fuzz: $(VENV)/.installed-dev ## damaged files of every format through the parsers: COUNT=2000 a format, DATA=folder of real files
	OMP_NUM_THREADS=1 $(BIN)/python scripts/fuzz.py --count $(or $(COUNT),2000) $(if $(DATA),--data $(DATA))

bench-retrieval: $(VENV)/.installed-dev ## quality on the labelled sets, with the references beside it
	$(BIN)/python benchmarks/retrieval.py
	$(BIN)/python benchmarks/chunking.py
	$(BIN)/python benchmarks/assemble.py

bench-answers: $(VENV)/.installed ## the example questions, answered end to end by the 1.5B model
	$(BIN)/lunheng models pull $(MODELS_DEMO)
	$(BIN)/python benchmarks/answers.py $(if $(SMALL),--small)
	$(BIN)/python benchmarks/assemble.py

bench-peers: $(VENV)/.installed-dev ## speed and size beside LlamaIndex, Haystack, txtai and LangChain
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/assemble.py

bench-indexes: $(VENV)/.installed-dev ## the lexical and the vector indexes beside their alternatives, 100,000 chunks
	$(BIN)/python -m pip install --quiet tantivy
	$(BIN)/python benchmarks/lexical.py
	$(BIN)/python benchmarks/vectors.py
	$(BIN)/python benchmarks/assemble.py

bench-parsing: $(VENV)/.installed-dev ## PDF beside seven other engines, and recognised pages: text, tables, headings, speed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/parsing.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/parsing_ocr.py
	$(BIN)/python benchmarks/assemble.py

bench-tuning: $(VENV)/.installed-dev ## fine-tuning on real small models: what it gains, beside TRL and LLaMA-Factory (under two hours)
	$(BIN)/lunheng models pull smollm2-135m-instruct multilingual-e5-small
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tuning_quality.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tuning_retrieval.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tuning_memory.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tuning_peers.py
	$(BIN)/python benchmarks/assemble.py

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml Makefile
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs,tune]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo-kb site
