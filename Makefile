# Everything a checkout can do. Needs Python 3.11 or newer and make; `make install` gets the rest.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LAKE ?= lake
PORT ?= 31337
ROUNDS ?= 20
EXAMPLES ?= 100000
TABLES := flights weather planes airports airlines

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check format bench soak proto

help:
	@echo 'make demo      the whole story on a year of real flights, in about a minute'
	@echo 'make serve     a server on ./$(LAKE) with the demo data (LAKE=DIR, PORT=N)'
	@echo 'make test      all tests'
	@echo 'make check     format, lint, types, import layers'
	@echo 'make install   the .venv with everything for development'
	@echo 'make format    format the code'
	@echo 'make bench     the benchmarks; results in benchmarks/results'
	@echo 'make soak      the tests of faults and races, ROUNDS=$(ROUNDS) times, and EXAMPLES=$(EXAMPLES)'
	@echo '               damaged messages for each decoder; result in benchmarks/results'
	@echo 'make proto     generate the Flight SQL messages from their .proto files'

install: $(STAMP)

# The stamp says that the .venv fits these files; delete it to install again.
$(STAMP): pyproject.toml constraints.txt client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3 …'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' -e client
	@touch $@

demo: $(STAMP)
	@$(BIN)/scoter demo

# What was loaded by half is removed, so that the next run begins anew.
$(LAKE)/metastore.db: | $(STAMP)
	@if [ -n "$$(ls -A $(LAKE) 2> /dev/null)" ]; then echo '$(LAKE) holds other things than a lake'; exit 1; fi
	@trap 'status=$$?; [ $$status = 0 ] || rm -rf $(LAKE); exit $$status' EXIT; trap 'exit 130' INT TERM; \
	set -e; \
	mkdir -p $(LAKE); \
	printf '[models]\nallowed_prefixes = ["examples/models"]\n' > $(LAKE)/scoter.toml; \
	for table in $(TABLES); do \
		$(BIN)/scoter import $$table examples/flights/$$table.parquet --lake $(LAKE); \
	done; \
	$(BIN)/scoter model add late examples/models/late_v1.onnx --alias champion --lake $(LAKE) > /dev/null; \
	$(BIN)/scoter model add late examples/models/late_v2.onnx --alias challenger --lake $(LAKE) > /dev/null

serve: $(STAMP) $(LAKE)/metastore.db
	@exec $(BIN)/scoter serve $(LAKE) --port $(PORT)

# Each worker has a core: what trains models with more threads only waits for them.
test: $(STAMP)
	@$(BIN)/python -m pytest -q -m alone
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --max-worker-restart 0 --dist loadfile -m 'not alone'

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python benchmarks/wire.py
	$(BIN)/python benchmarks/small.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/predict_jobs.py
	$(BIN)/python benchmarks/tpch.py
	$(BIN)/python benchmarks/tpch_orders.py
	$(BIN)/python benchmarks/tpch_large.py
	$(BIN)/python benchmarks/clickbench.py
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/deletes.py
	$(BIN)/python benchmarks/s3.py
	$(BIN)/python benchmarks/connections.py
	$(BIN)/python benchmarks/table.py

soak: $(STAMP)
	$(BIN)/python benchmarks/connections.py --minutes 10
	$(BIN)/python benchmarks/soak.py --rounds $(ROUNDS) --examples $(EXAMPLES)
	$(BIN)/python benchmarks/table.py

proto: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. scoter/server/flightsql/*.proto
