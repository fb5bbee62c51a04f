# One command sets up and runs the main job (make run), one sets up and runs the tests (make test).
PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Where an image forbids Python to keep what it translated, each of the hundreds of processes that tests start would
# translate every module anew, and each of pytest's workers every test.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run check serve bench test test-all lint

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON3) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,postgresql,notify,mqtt,cluster]'
	touch $@

run: $(READY)
	$(BIN)/avjury demo

check: $(READY)
	$(BIN)/avjury check $(INPUT)

# The live service with three channels of its own, one of which misbehaves every 20 s; says what to look at.
serve: $(READY)
	$(BIN)/avjury serve --demo --data $(or $(DATA),avjury-demo) $(if $(LISTEN),--listen $(LISTEN))

# Half an hour; writes benchmarks/results. `avjury bench` lists the others.
bench: $(READY)
	$(BIN)/avjury bench cpu

test: warm programs
	$(BIN)/python -m pytest -q -n 2 -m 'not slow'

# The CPU kernels compiled, once.
.PHONY: warm
warm: $(READY)
	$(BIN)/python tests/warm_up.py

# With the long comparisons over real clips.
test-all: warm programs
	$(BIN)/python -m pytest -q -n 2

# The property tests alone, with new draws in each of ROUNDS rounds. What fails here becomes an @example.
.PHONY: explore
explore: $(READY)
	for round in $$(seq $(or $(ROUNDS),10)); do \
	  AVJURY_EXPLORE=1 $(BIN)/python -m pytest -q -n 2 -m hypothesis --hypothesis-seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') || exit 1; \
	done

# Real servers that tests run against (tests/programs.txt), installed where this machine lets us; elsewhere their tests
# are skipped, and say so. AVJURY_REQUIRE_PROGRAMS=1 makes a missing one a failure.
.PHONY: programs
programs:
	@tests/install-programs

# The documentation as a site, in build/site; any warning is a failure.
.PHONY: docs
docs: $(READY)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q

# Every fault of the table, in a random order with a printed seed, within an hour: writes a record and its page.
.PHONY: chaos
chaos: $(READY) programs
	$(BIN)/python tests/warm_up.py
	$(BIN)/avjury bench reliability $(if $(SEED),--seed $(SEED)); status=$$?; \
	$(BIN)/python -m benchmarks.reliability_page && exit $$status

# Inputs that grow by the branches they reach, for all that reads what strangers send; SECONDS of each target.
.PHONY: fuzz
fuzz: $(READY)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[fuzz]'
	$(BIN)/avjury bench fuzz --seconds $(or $(SECONDS),60)

# Known weaknesses of every pinned package, asked of the package index, and what is installed as a bill of materials
# (CycloneDX). The auditors live in an environment of their own, so that they are no part of what they audit.
.PHONY: audit
audit: $(READY)
	test -x build/audit/bin/python || $(PYTHON3) -m venv build/audit
	build/audit/bin/python -m pip install -q -c constraints.txt 'pip-audit>=2.9' 'cyclonedx-bom>=7'
	build/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
	  -o build/sbom.json $(BIN)/python
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off $(AUDIT_OPTIONS) -r constraints.txt

# What is given out, in build/release: the wheel, the packages of the images held to their hashes, a bill of materials of
# these (CycloneDX, with the same hashes), and the sums of all. Nothing is given out while a known weakness is open.
.PHONY: release
release: audit
	rm -rf build/release && mkdir -p build/release
	build/audit/bin/python -m pip wheel -q --no-deps -w build/release .
	cp container-requirements.txt CHANGELOG.md SECURITY.md build/release/
	build/audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
	  -o build/release/sbom.json container-requirements.txt
	cd build/release && sha256sum -- * > SHA256SUMS

# container-requirements.txt: the images' packages with the hashes of their files. After a change of constraints.txt.
.PHONY: hashes
hashes: $(READY)
	test -x build/audit/bin/python || $(PYTHON3) -m venv build/audit
	build/audit/bin/python -m pip install -q 'uv>=0.9'
	build/audit/bin/uv pip compile pyproject.toml --extra postgresql --extra notify --extra mqtt -c constraints.txt \
	  --generate-hashes --no-header --no-annotate --universal --python-version 3.11 -q -o build/requirements.txt
	(echo "# Every package of the images with the hashes of its files; made of pyproject.toml and constraints.txt by \`make hashes\`."; \
	  cat build/requirements.txt) > container-requirements.txt

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# On a machine with a GPU: the `gpu` tests and the GPU benchmarks. Uses the interpreter that has torch there.
.PHONY: gpu-check
gpu-check:
	$(or $(PYTHON),$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON3))) -m benchmarks.gpu_check
