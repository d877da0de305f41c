# Everything that is typed often. `make` alone explains.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SERVICE ?= *
MARKDOWN := $(wildcard *.md) docs
# not grouped by module: tests that empty the database come last on each worker, as pytest-django sorts them
PYTEST_ARGS ?= -n 2 --durations 10
APT_GET := $(if $(filter 0,$(shell id -u)),env,sudo env) DEBIAN_FRONTEND=noninteractive apt-get

# What is installed follows the lists of requirements: another list, another stamp.
hash = $(shell cat $(1) | sha256sum | cut -c1-16)
RUN_STAMP := $(VENV)/run-$(call hash,requirements.txt)
DEV_STAMP := $(VENV)/dev-$(call hash,requirements.txt requirements-dev.txt)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all:

.PHONY: help run demo status restart test test-fast nightly benchmark reliability screenshots messages lint types format audit sbom tests test-containers system-packages requirements

help:
	@echo "make run               start the site, the worklist provider and the image receiver; Ctrl-C stops them"
	@echo "make demo              a synthetic day, all three processes, and three simulated scanners at work; Ctrl-C ends it"
	@echo "make status            what runs, and since when"
	@echo "make restart           restart all three, or one: make restart SERVICE=pacs_receiver"
	@echo "make test              lint, types and all tests (make lint, types or tests: only that)"
	@echo "make test-fast         a first look at a change, in two minutes: the tests that start no process, browser or container"
	@echo "make test-containers   build the image, run compose.yaml and break it; needs a Docker engine"
	@echo "make nightly           the long forms of the tests, into docs/nightly.md; about an hour"
	@echo "make system-packages   install what the tests use besides Python packages (Debian)"
	@echo "make benchmark         measure the receiver beside its peers, into docs/performance.md; minutes, on an idle machine"
	@echo "make reliability       kill the receiver and its database, and cut its disk's power; most of an hour, needs root"
	@echo "make screenshots       pictures of the site's main pages, into docs/images/"
	@echo "make messages          collect the site's texts for translators, and compile what they translated; needs gettext"
	@echo "make format            format the code and the pages"
	@echo "make audit             ask whether a pinned package has a known vulnerability; fails where nobody could tell"
	@echo "make sbom              write the bill of materials (CycloneDX) to sbom.cdx.json"
	@echo "make requirements      compile requirements*.in into requirements*.txt"
	@echo
	@echo "Settings are environment variables or lines in .env: docs/settings.md"

run: $(RUN_STAMP)
	@exec $(BIN)/python embedded.py

demo: $(RUN_STAMP)
	@exec $(BIN)/python -m simulator.demo

status: $(RUN_STAMP)
	@exec $(BIN)/python embedded.py status

restart: $(RUN_STAMP)
	@exec $(BIN)/python embedded.py restart 'gateway:$(SERVICE)'

test: lint types tests

benchmark: $(DEV_STAMP)
	$(BIN)/python -m benchmarks --docs docs --json docs/performance.json
	$(BIN)/mdformat docs/performance.md

# the figures of docs/reliability.md
reliability: $(DEV_STAMP)
	$(BIN)/python -m tests.pacs_receiver.torture --kills 200 --database-kills 20
	$(BIN)/python -m tests.pacs_receiver.power_loss --cuts 100

screenshots: $(DEV_STAMP)
	$(BIN)/python -m tests.site.screenshots

# what the site's pages are made of; what the packages bring with them is theirs
STATIC := mwl_admin/static/mwl_admin
TEMPLATES := mwl_admin/templates
lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mdformat --check $(MARKDOWN)
	$(BIN)/djangofmt --check $(TEMPLATES)
	$(BIN)/djangofmt check $(TEMPLATES)
	$(BIN)/oxfmt --check $(STATIC)
	$(BIN)/oxlint --deny-warnings $(STATIC)
	@# on the platform that it exists for, CI's; print styles override what the theme writes at its elements
	if [ -x $(BIN)/biome ]; then $(BIN)/biome lint --skip=complexity/noImportantStyles $(STATIC)/*.css; fi
	@# what the formatters leave: comments, and tags of templates, which cannot be broken
	! LC_ALL=C.UTF-8 grep -rnE '^.{121,}' --include '*.html' --include '*.css' --include '*.js' $(TEMPLATES) $(STATIC)

types: $(DEV_STAMP)
	$(BIN)/mypy .

# in a folder of their own: what `make run` left in var/ must not matter
tests: $(DEV_STAMP)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	    DATA_DIR="$$folder" $(BIN)/python -m pytest -m "not containers" $(PYTEST_ARGS)

# Which tests these are, tests/quick.py reads from what each test and its fixtures use; of two databases it takes SQLite.
# Two thirds of all tests; make test before a change is handed over.
test-fast: $(DEV_STAMP)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	    DATA_DIR="$$folder" $(BIN)/python -m pytest -m quick $(PYTEST_ARGS)

test-containers: $(DEV_STAMP)
	$(BIN)/python -m pytest -m containers tests/containers

nightly: $(DEV_STAMP)
	$(BIN)/python -m tests.nightly
	$(BIN)/mdformat docs/nightly.md

# The texts to be translated, of all languages there are; LANGUAGES="de fr" begins others. Needs gettext.
TRANSLATED = $(sort $(LANGUAGES) $(filter-out en,$(notdir $(wildcard mwl_admin/locale/*))))
messages: $(DEV_STAMP)
	data=$(abspath $(or $(DATA_DIR),var)) && cd mwl_admin && for domain in django djangojs; do \
	    DATA_DIR="$$data" $(abspath $(BIN))/python ../manage.py makemessages --domain $$domain --no-obsolete --add-location file \
	        $(foreach language,en $(TRANSLATED),--locale $(language)) || exit 1; \
	done
	$(if $(TRANSLATED),data=$(abspath $(or $(DATA_DIR),var)) && cd mwl_admin && DATA_DIR="$$data" $(abspath $(BIN))/python ../manage.py compilemessages $(foreach language,$(TRANSLATED),--locale $(language)))

audit: $(DEV_STAMP)
	$(BIN)/python deploy/audit.py

SBOM ?= sbom.cdx.json
sbom: $(DEV_STAMP)
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --short-PURLs --validate \
	    --output-file $(SBOM)

format: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mdformat $(MARKDOWN)
	$(BIN)/djangofmt check --fix $(TEMPLATES)
	$(BIN)/djangofmt $(TEMPLATES)
	$(BIN)/oxfmt $(STATIC)

system-packages:
	$(APT_GET) install -y --no-install-recommends \
	    dcmtk orthanc libgdcm-tools dicom3tools chromium postgresql postgresql-client gcc libc6-dev \
	    g++ libdcmtk-dev fuse3 e2fsprogs gettext openssl

.env:
	@umask 077; while IFS= read -r line; do \
	    case $$line in *_DB_PASSWORD=|POSTGRES_PASSWORD=) line=$$line$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') ;; esac; \
	    echo "$$line"; \
	done < .env.example > $@
	@echo "Wrote .env with random passwords"

requirements: $(DEV_STAMP)
	for list in requirements requirements-dev; do \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	        --no-annotate --custom-compile-command "make requirements" $$list.in -o $$list.txt || exit 1; \
	done

$(RUN_STAMP): | $(BIN)/pip
	@echo "Installing what the services run on into $(VENV)"
	@$(INSTALL) -r requirements.txt
	@rm -f $(VENV)/run-*
	@touch $@

$(DEV_STAMP): | $(BIN)/pip
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) -r requirements-dev.txt
	@rm -f $(VENV)/dev-*
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Gateway needs Python 3.11 or later; name one by: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "This Python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
