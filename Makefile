# Each target sets up what it needs from a bare clone, and is quick the second time.
PYTHON ?= python3
PY     := .venv/bin/python
MODEL  ?= efficientnet-lite0
export MODEL IMAGES PORT EVENT IMAGE BASE_IMAGE ARCH STACK IMAGE_URI SET # read from the environment: no name needs quoting

.DEFAULT_GOAL := help
.PHONY: help demo up invoke image deploy destroy test test-export image-test bench cpus soak backfill-run export-run fuzz
.PHONY: check structure format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.venv/.ready: pyproject.toml constraints.txt infra/venv.sh
	@sh infra/venv.sh $(PYTHON)

demo: .venv/.ready ## photos to vectors on a local AWS: make demo [IMAGES=DIR] [MODEL=NAME|BUNDLE]
	@$(PY) -m infra demo --model "$$MODEL" $${IMAGES:+--images "$$IMAGES"}

up: .venv/.ready ## the same local AWS, left running until Ctrl-C: make up [PORT=N] [MODEL=NAME|BUNDLE]
	@$(PY) -m infra up --model "$$MODEL" $${PORT:+--port "$$PORT"}

invoke: .venv/.ready ## send one event to the running local AWS: make invoke EVENT=events/FILE.json
	@$(PY) -m infra invoke "$$EVENT"

# Needs no package: what it builds with is in the build.
image: ## the function's container image: make image [MODEL=NAME|PATH] [IMAGE=name:tag] [BASE_IMAGE=…] [ARCH=x86_64|arm64] [BAKE='--accept …']
	@$(PYTHON) -m infra image "$$MODEL" $${IMAGE:+--tag "$$IMAGE"} $${BASE_IMAGE:+--base "$$BASE_IMAGE"} $${ARCH:+--arch "$$ARCH"} $(BAKE)

deploy: .venv/.ready ## make or change the stack in your AWS account: make deploy IMAGE_URI=URI [STACK=NAME] [SET="Trigger=direct …"]
	@$(PY) -m infra deploy $${STACK:+--stack "$$STACK"} $${IMAGE_URI:+--image "$$IMAGE_URI"} $${SET:+--set $$SET}

destroy: .venv/.ready ## delete the stack, but not the buckets and the table: make destroy [STACK=NAME]
	@$(PY) -m infra destroy $${STACK:+--stack "$$STACK"}

# On Debian and as root: it makes a base image, builds on it, and runs what it built under Lambda's own emulator.
image-test: .venv/.ready ## the tests of the container image
	@sh tests/image/packages.sh
	@$(PY) -m pytest -o timeout=900 tests/image

test: .venv/.ready ## every test but those of the export and of the image
	@$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder

bench: .venv/.ready ## dropvec beside naive and others, measured: make bench [QUICK=1] [PEERS=fastembed,openvino,torch]
	@$(PY) -m tests.bench $(if $(QUICK),--quick) $(if $(filter undefined,$(origin PEERS)),,--peers "$(PEERS)")

# PyTorch has an environment of its own, more than 1 GB, that nothing else needs; so its tests are not part of `test`.
# They write 2 GB of weights and graphs, which go when all has passed.
.venv-export/.ready: pyproject.toml constraints.txt infra/venv.sh
	@sh infra/venv.sh $(PYTHON) .venv-export "--group test-export"

test-export: .venv-export/.ready ## the tests of the export to ONNX, with PyTorch
	@.venv-export/bin/python -m pytest -o tmp_path_retention_policy=failed tests/onnx_export

cpus: .venv/.ready ## the graphs of a bundle on emulated CPUs, with and without AVX-512: make cpus [MODEL=NAME|BUNDLE]
	@$(PY) -m tests.cpus --model "$$MODEL"

soak: .venv/.ready ## the order model and a failing AWS, at length: make soak [CASES=20000] [UPLOADS=1000]
	@$(PY) -m tests.soak.soak_faults --uploads $(or $(UPLOADS),1000)
	@$(PY) -m tests.soak.soak_order --cases $(or $(CASES),20000)

backfill-run: .venv/.ready ## a backfill that is killed twice, of many objects: make backfill-run [OBJECTS=20000]
	@$(PY) -m tests.soak.soak_backfill --objects $(or $(OBJECTS),20000)

export-run: .venv/.ready ## many vectors to files, in 500 MB of memory: make export-run [ITEMS=100000]
	@$(PY) -m tests.soak.soak_export --items $(or $(ITEMS),100000)

fuzz: .venv/.ready ## coverage-guided fuzzing of events and decoding: make fuzz [SECONDS=300]
	@$(PY) -m pip install --quiet --disable-pip-version-check --group fuzz
	@$(PY) -m tests.fuzz.fuzz_events -max_total_time=$(or $(SECONDS),300)
	@$(PY) -m tests.fuzz.fuzz_decode -max_total_time=$(or $(SECONDS),300)

# SAM's own check pins versions of boto3 and click that are not ours, and is large: an environment of its own, too.
.venv-sam/.ready: infra/constraints-sam.txt infra/venv.sh
	@sh infra/venv.sh $(PYTHON) .venv-sam aws-sam-cli infra/constraints-sam.txt

check: .venv/.ready .venv-sam/.ready ## the fast gates: format, lint, types, layers, template, Dockerfile, documentation
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint infra/template.yaml
	@.venv/bin/hadolint infra/Dockerfile tests/image/base/Dockerfile
	@SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint --region us-east-1 --template infra/template.yaml >/dev/null
	@$(PY) -m tests.docs.check
	@$(PY) -m pytest -q tests/infra/test_template.py tests/infra/test_template_rules.py tests/docs

structure: .venv/.ready ## draw which packages import which, as docs/structure.svg
	@$(PY) -m tests.structure

format: .venv/.ready ## rewrite the code as `make check` wants it
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

# The image's packages: as above, and each file's hash.
IMAGE_LOCK := --constraints constraints.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

lock: .venv/.ready ## pin every dependency anew
	@$(PY) -m pip install --quiet uv
	@.venv/bin/uv pip compile pyproject.toml --group dev --group test-export --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o constraints.txt
	@.venv/bin/uv pip compile pyproject.toml --excludes infra/container/without.txt $(IMAGE_LOCK) -o infra/requirements.txt
	@.venv/bin/uv pip compile --group bake --group image --no-emit-package numpy --no-emit-package typing-extensions \
		--upgrade $(IMAGE_LOCK) -o infra/requirements-build.txt
	@echo aws-sam-cli | .venv/bin/uv pip compile - --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o infra/constraints-sam.txt

clean: ## remove what the commands above made
	@sh tests/image/release.sh "$(CURDIR)/build/image"
	rm -rf .venv .venv-export .venv-sam .venv-bench build
