# Each target sets up what it needs, also from a bare clone, and reuses it in later runs.
PYTHON ?= python3
PY     := .venv/bin/python
MODEL  ?= efficientnet-lite0
export MODEL ONLY IMAGES PORT EVENT IMAGE BASE_IMAGE ARCH REPOSITORY STACK IMAGE_URI SET # recipes read these as shell variables, so values need no escaping

# Without its bytecode, every process compiles all of its packages again: twice the time for tests and the demo.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up invoke image push deploy destroy test test-export image-test deploy-test limits-test package-test browser-test bench cpus
.PHONY: mutants soak backfill-run export-run http-run openapi-run fuzz formats check checkov-baseline structure format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# Sets of packages (infra/cli/package_sets.py), installed into one environment when a target first needs them.
INSTALLER := infra/cli/package_sets.py infra/cli/environment.py
READY     := $(addprefix .venv/.ready-,aws demo test check)
$(READY): pyproject.toml constraints.txt $(INSTALLER)
	@exec $(PYTHON) -m infra.cli.install $(patsubst .venv/.ready-%,%,$@) $(MAKECMDGOALS)

demo: .venv/.ready-demo ## embed photos on a local AWS: make demo [IMAGES=DIR] [MODEL=NAME|BUNDLE]
	@exec $(PY) -m infra demo --model "$$MODEL" $${IMAGES:+--images "$$IMAGES"}

up: .venv/.ready-demo ## run the local AWS until Ctrl-C: make up [PORT=N] [MODEL=NAME|BUNDLE]
	@exec $(PY) -m infra up --model "$$MODEL" $${PORT:+--port "$$PORT"}

invoke: .venv/.ready-demo ## send one event to the running local AWS: make invoke EVENT=events/FILE.json
	@exec $(PY) -m infra invoke "$$EVENT"

# Needs no virtual environment: the image build installs its own packages.
image: ## build the function's container image: make image [MODEL=NAME|PATH] [IMAGE=name:tag] [BASE_IMAGE=…] [ARCH=x86_64|arm64] [BAKE='--accept …']
	@exec $(PYTHON) -m infra image "$$MODEL" $${IMAGE:+--tag "$$IMAGE"} $${BASE_IMAGE:+--base "$$BASE_IMAGE"} $${ARCH:+--arch "$$ARCH"} $(BAKE)

push: .venv/.ready-aws ## push the container image to ECR in your AWS account: make push [IMAGE=name:tag] [REPOSITORY=NAME]
	@exec $(PY) -m infra push $${IMAGE:+--tag "$$IMAGE"} $${REPOSITORY:+--repository "$$REPOSITORY"}

deploy: .venv/.ready-aws ## create or update the stack in your AWS account: make deploy IMAGE_URI=URI [STACK=NAME] [SET="Trigger=direct …"] [ROLLBACK=1]
	@exec $(PY) -m infra deploy $${STACK:+--stack "$$STACK"} $${IMAGE_URI:+--image "$$IMAGE_URI"} $${SET:+--set $$SET} $${ROLLBACK:+--rollback}

destroy: .venv/.ready-aws ## delete the stack, keep the buckets, the vector bucket and the table: make destroy [STACK=NAME]
	@exec $(PY) -m infra destroy $${STACK:+--stack "$$STACK"}

# Needs Debian and root: makes a base image, builds the function's image on it, and runs it under Lambda's runtime
# interface emulator.
image-test: .venv/.ready-test ## run the tests of the container image
	@sh tests/image/packages.sh
	@$(PY) -m pytest -o timeout=900 tests/image

# On Debian, as root, it installs Chromium; elsewhere CHROMIUM names the program.
browser-test: .venv/.ready-test ## run the tests of the gallery in Chromium; screenshots are written to build/browser
	@[ -n "$$CHROMIUM" ] || sh tests/browser/packages.sh
	@$(PY) -m pip install --quiet --disable-pip-version-check --group browser
	@$(PY) -m pytest -q -o timeout=300 tests/browser

# Two processes for each processor, because many tests wait for servers.
test: .venv/.ready-test ## run all tests except those of test-export and of the other targets in -test
	@$(PY) -m pytest -n "$$($(PY) -c 'import os; print(2 * os.cpu_count())')" --dist loadfile --no-loadscope-reorder

deploy-test: .venv/.ready-test ## run the tests of push, deploy, rollback and destroy against the local AWS
	@$(PY) -m pytest -q -n "$$($(PY) -c 'import os; print(2 * os.cpu_count())')" --dist loadfile tests/deployment

limits-test: .venv/.ready-test ## decode pictures as large as each format may be, within the limits of time and memory
	@$(PY) -m pytest -q tests/limits

package-test: .venv/.ready-test ## build the wheel and the sdist, install them, and run the commands
	@$(PY) -m pytest -q -o timeout=600 -n auto tests/package

bench: .venv/.ready-test ## benchmark dropvec against a naive function and other libraries: make bench [QUICK=1] [PEERS=fastembed,openvino,torch]
	@$(PY) -m tests.bench $(if $(QUICK),--quick) $(if $(filter undefined,$(origin PEERS)),,--peers "$(PEERS)")

# PyTorch takes more than 1 GB and nothing else needs it, so it has its own environment, and its tests are not part of
# `test`. They write 2 GB of weights and graphs, which pytest deletes if all tests pass.
.venv-export/.ready-test-export: pyproject.toml constraints.txt $(INSTALLER)
	@exec $(PYTHON) -m infra.cli.install test-export test-export

test-export: .venv-export/.ready-test-export ## run the tests of the ONNX export, with PyTorch
	@.venv-export/bin/python -m pytest -o tmp_path_retention_policy=failed tests/onnx_export

cpus: .venv/.ready-test ## test a bundle's graphs on emulated CPUs, with and without AVX-512: make cpus [MODEL=NAME|BUNDLE]
	@$(PY) -m tests.cpus --model "$$MODEL"

mutants: .venv/.ready-test ## mutation tests of ordering, records and events: make mutants [ONLY=part of a name]
	@$(PY) -m tests.mutants $${ONLY:+--only "$$ONLY"}

soak: .venv/.ready-test ## long runs: uploads with AWS faults, and the order model: make soak [CASES=20000] [UPLOADS=1000]
	@$(PY) -m tests.soak.soak_faults --uploads $(or $(UPLOADS),1000)
	@$(PY) -m tests.soak.soak_order --cases $(or $(CASES),20000)

backfill-run: .venv/.ready-test ## long run: a backfill that is killed twice and resumed: make backfill-run [OBJECTS=20000]
	@$(PY) -m tests.soak.soak_backfill --objects $(or $(OBJECTS),20000)

export-run: .venv/.ready-test ## long run: export many vectors within 500 MB of memory: make export-run [ITEMS=100000]
	@$(PY) -m tests.soak.soak_export --items $(or $(ITEMS),100000)

http-run: .venv/.ready-test ## long run: many clients use the HTTP API at once: make http-run [CLIENTS=50] [SECONDS=60]
	@$(PY) -m tests.soak.soak_http --clients $(or $(CLIENTS),50) --seconds $(or $(SECONDS),60)

# Schemathesis pins other versions of the tests' packages, so it has its own environment.
.venv-schemathesis/.ready-schemathesis: tests/soak/constraints-schemathesis.txt $(INSTALLER)
	@exec $(PYTHON) -m infra.cli.install schemathesis openapi-run

openapi-run: .venv/.ready-test .venv-schemathesis/.ready-schemathesis ## long run: Schemathesis over the OpenAPI document: make openapi-run [REQUESTS=10000]
	@$(PY) -m tests.soak.soak_openapi --requests $(or $(REQUESTS),10000)

# On Debian, as root, it installs ImageMagick; elsewhere install that first.
formats: .venv/.ready-test ## compare decoded images with libvips and ImageMagick: make formats [FILES=DIR] [MODEL=NAME|BUNDLE]
	@sh tests/formats/packages.sh
	@$(PY) -m pip install --quiet --disable-pip-version-check --group formats
	@$(PY) -m tests.formats --model "$$MODEL" $(if $(FILES),--files "$(FILES)")

fuzz: .venv/.ready-test ## fuzz event parsing and image decoding, coverage-guided: make fuzz [SECONDS=300]
	@$(PY) -m pip install --quiet --disable-pip-version-check --group fuzz
	@$(PY) -m tests.fuzz.fuzz_events -max_total_time=$(or $(SECONDS),300)
	@$(PY) -m tests.fuzz.fuzz_decode -max_total_time=$(or $(SECONDS),300)

# The SAM CLI is large and pins other versions of boto3 and click, so it has its own environment.
.venv-sam/.ready-sam: infra/constraints-sam.txt $(INSTALLER)
	@exec $(PYTHON) -m infra.cli.install sam check

# On four continents and in three partitions. Which other regions lack a service is tested in tests/check.
REGIONS := us-east-1 sa-east-1 eu-west-1 ap-northeast-1 cn-north-1 eusc-de-east-1

# So does checkov.
.venv-checkov/.ready-checkov: infra/constraints-checkov.txt $(INSTALLER)
	@exec $(PYTHON) -m infra.cli.install checkov check

# Findings that docs/security.md answers. To write the file again: make checkov-baseline
CHECKOV := .venv-checkov/bin/checkov --directory infra --framework cloudformation --skip-download --compact --quiet

checkov-baseline: .venv-checkov/.ready-checkov ## write checkov's findings in the template into tests/check, to be answered in docs/security.md
	@$(CHECKOV) --create-baseline --soft-fail >/dev/null
	@mv infra/.checkov.baseline tests/check/checkov-baseline.json

check: .venv/.ready-check .venv-sam/.ready-sam .venv-checkov/.ready-checkov ## run the fast checks: format, lint, types, layers, template, Dockerfile, documentation
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@.venv/bin/cfn-lint infra/template.yaml --regions $(REGIONS)
	@.venv/bin/hadolint infra/Dockerfile tests/image/base/Dockerfile
	@SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint --region us-east-1 --template infra/template.yaml >/dev/null
	@$(CHECKOV) --baseline tests/check/checkov-baseline.json
	@$(PY) -m infra.cli.reference --check
	@$(PY) -m tests.docs.check
	@$(PY) -m pytest -q tests/docs tests/check

structure: .venv/.ready-check ## draw which packages import which, as docs/structure.svg
	@$(PY) -m tests.structure

format: .venv/.ready-check ## format the code and fix lint errors
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .
	@$(PY) -m infra.cli.reference

# Options for the locks of the image's packages: pinned to constraints.txt, with the hash of every file.
IMAGE_LOCK := --constraints constraints.txt --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

lock: .venv/.ready-test ## update the pinned version of every dependency
	@.venv/bin/uv pip compile pyproject.toml --all-extras --group test --group check --group function --group test-export --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o constraints.txt
	@.venv/bin/uv pip compile --group function --excludes infra/container/without.txt $(IMAGE_LOCK) -o infra/requirements.txt
	@.venv/bin/uv pip compile --group bake --group image --no-emit-package numpy --no-emit-package typing-extensions \
		--upgrade $(IMAGE_LOCK) -o infra/requirements-build.txt
	@echo aws-sam-cli | .venv/bin/uv pip compile - --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o infra/constraints-sam.txt
	@echo checkov | .venv/bin/uv pip compile - --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o infra/constraints-checkov.txt
	@echo schemathesis | .venv/bin/uv pip compile - --universal --python-version 3.11 \
		--upgrade --no-annotate --no-header --quiet -o tests/soak/constraints-schemathesis.txt

clean: ## remove everything that the other targets made
	@sh tests/image/release.sh "$(CURDIR)/build/image"
	rm -rf .venv .venv-export .venv-sam .venv-checkov .venv-schemathesis .venv-bench build
