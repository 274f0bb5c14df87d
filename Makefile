# Two commands are all it takes: `make run` and `make test`. Neither needs root, Docker or a running server.

PORT ?= 8000
SWITCH ?= simulator
T ?=
# Test workers. They wait more than they work: one more than the smallest machine's two cores.
WORKERS ?= 3
export PORT SWITCH

# The first Python that is new enough; one that can make environments is preferred to one that cannot.
find_python = $(shell \
	for needed in "import ensurepip, venv" "pass"; do \
		for name in python3.11 python3.12 python3.13 python3; do \
			if $$name -c "import sys; assert sys.version_info >= (3, 11); $$needed" >/dev/null 2>&1; then \
				command -v $$name; exit; \
			fi; \
		done; \
	done)
PYTHON ?= $(find_python)
VENV = .venv/bin/python

# The modules that decide and do nothing else: no Django, no server, no clock. mypy holds them to its strictest.
PURE = $(addprefix events/,facts.py call_state.py entries.py intake.py rows.py copying.py enrich.py privacy.py) \
	$(addprefix dialer/,agent_states.py calling_hours.py eligibility.py figures pacing pacing_simulation.py retry.py rule_forms.py hangup_causes.py limits.py numbers.py orders.py preview.py plain_numbers.py whatif.py whydial.py dispositions.py presence.py shares.py call_operations.py) \
	$(addprefix esl_bridge/,framing.py normalise.py render.py resync.py) \
	$(addprefix console/,protocol.py call_rows.py campaign_counts.py charts.py decision_words.py floor_state.py rows.py codes.py projection.py kpis.py panel_words.py script.py scopes.py words.py health.py rates.py alerting.py alert_figures.py webhook_address.py cause_words.py day_strip.py figure_text.py ladder.py) \
	$(addprefix console/,roles.py asyncapi.py) \
	dialer/demo.py $(addprefix dialer/target_import/,errors.py mapping.py reading.py contact_rows.py)

ROWS ?=
WORDS ?=
NAMES ?=
ROLL ?=
# The fault suite: runs, minutes of each, and some of its kinds of faults only.
RUNS ?= 5
MINUTES ?= 4.5
SEED ?= 1
ONLY ?=

.PHONY: run test full bench fuzz faults guards rolling check lock clean help venv-run venv-dev \
	check-lint check-types check-imports check-migrations check-deployment check-dependencies

help:
	@echo "make run    set everything up and run it (PORT=8000 SWITCH=simulator|freeswitch)"
	@echo "make test   set everything up and pass the tests (T='-k name' goes to pytest)"
	@echo "make full   the tests of a minute or more each: whole floors under faults and attack"
	@echo "make bench  measure how fast each stage is, beside its anchor (ROWS='socket ingest'); writes var/bench.json"
	@echo "make fuzz   generated input of full size against what reads it (NAMES='framing' for some, SEED=1)"
	@echo "make faults break everything under load, seeded (SEED=1 RUNS=5 MINUTES=4.5 ONLY='worker bridge')"
	@echo "make guards turn each guard off in a copy of the tree: its test must fail (WORDS='origin lease' for some)"
	@echo "make rolling  restart every process while calls go on; the switch's log is the judge (ROLL='--plain')"
	@echo "make check  lint, types, import directions, missing migrations, deployment checks, dependencies"
	@echo "make lock   compile the lock files anew from pyproject.toml"
	@echo "make clean  remove the environment, caches and test data; var/ and logs/ stay"

venv-run venv-dev:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed" >&2; exit 1; }
	@"$(PYTHON)" orchestrator/stack/bootstrap.py $(@:venv-%=%)

# `exec`: a signal to make reaches the stack itself, not a shell between the two.
run: venv-run
	@exec $(VENV) -m orchestrator.stack --with-parent run

# The hundreds of processes that tests start find their bytecode, wherever the environment forbids to write it beside us.
TESTING = env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/var/bytecode

test: venv-dev
	@exec $(TESTING) $(VENV) -m orchestrator.stack --with-parent servers --data var/test -- $(VENV) -m pytest -n $(WORKERS) \
		$(if $(T),$(T),-m "not full")

# What takes a minute or more each: whole floors under faults and attack. One at a time, as they measure time.
full: venv-dev
	@exec $(VENV) -m orchestrator.stack --with-parent servers --data var/test -- $(VENV) -m pytest -n 0 -m full

# Speed, each row beside its anchor in the same run: var/bench.json. ROWS="socket ingest" for some of the stages.
bench: venv-dev
	@exec $(VENV) -m orchestrator.stack --with-parent servers --data var/bench -- $(VENV) -m tests.bench.speed $(ROWS)

# Generated input of full size: no servers, minutes of one core. The seeded small size is part of `make test`.
fuzz: venv-dev
	@exec $(VENV) -m tests.fuzz --seed $(SEED) $(NAMES)

# Kills, freezes and restarts under load, each run with the seed that follows and servers of its own; then the boards:
# dropped by the hundred, silent parts, rights taken away in a storm. ONLY="worker bridge" is of the former alone.
faults: venv-dev
	@failed=0; \
	$(VENV) -m tests.faults --seed $(SEED) --runs $(RUNS) --minutes $(MINUTES) --only "$(ONLY)" || failed=1; \
	for part in $(if $(ONLY),,"boards --seed $(SEED)" board_silence board_rights); do \
		echo "tests.faults.$$part"; \
		$(VENV) -m orchestrator.stack --with-parent servers --data var/faults/servers -- \
			$(VENV) -m tests.faults.$$part || failed=1; \
	done; \
	exit $$failed

# Each guard off, and its test must notice. WORDS="origin lease" for those whose promise or file has one of the words.
guards: venv-dev
	@exec $(VENV) -m orchestrator.stack --with-parent servers --data var/test -- $(VENV) -m tests.guards $(WORDS)

# Every process is followed by a new one while calls go on: nobody is dropped, nobody dialled twice. ROLL="--plain --rounds 1"
rolling: venv-dev
	@exec $(VENV) -m orchestrator.stack --with-parent servers --data var/rolling-servers -- \
		$(VENV) -m tests.faults.rolling $(ROLL)

# A production-like environment with values of no consequence: the checks look at settings, they connect to nothing.
DEPLOYMENT = VAR_DIR=var/check LOG_DIR=var/check/logs DEBUG=0 \
	SECRET_KEY=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n') ALLOWED_HOSTS=floor.example \
	CSRF_TRUSTED_ORIGINS=https://floor.example DB_PASSWORD=$$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') \
	SWITCH=freeswitch FREESWITCH_ESL_PASSWORD=$$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') \
	DIAL_ALLOWED_PREFIXES=+1 CALLER_ID_NUMBER=+12125550100

# `make -k check` shows what each of them finds.
check: check-lint check-types check-imports check-migrations check-deployment check-dependencies

check-lint: venv-dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .

check-types: venv-dev
	$(VENV) -m mypy $(wildcard $(PURE)) orchestrator/servers.py orchestrator/stack

check-imports: venv-dev
	$(VENV:python=lint-imports) --no-logo

check-migrations: venv-dev
	VAR_DIR=var/check LOG_DIR=var/check/logs $(VENV) -W ignore manage.py makemigrations --check --dry-run

check-deployment: venv-dev
	$(DEPLOYMENT) $(VENV) manage.py check --deploy --fail-level ERROR

# Pinned, hashed, of no version with a known advisory; by files of the tree alone (docs/operations.md).
check-dependencies: venv-dev
	$(VENV) -m tests.audit

lock: venv-dev
	CUSTOM_COMPILE_COMMAND="make lock" $(VENV) -m piptools compile --quiet --output-file requirements-dev.txt \
		--extra dev pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(VENV) -m piptools compile --quiet --output-file requirements.txt \
		--constraint requirements-dev.txt pyproject.toml

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf var/test var/test-* var/bytecode var/bench var/check var/rolling-servers var/faults var/guards
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
