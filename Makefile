# `make` shows what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BUILD_PACKAGES := libssl-dev libcurl4-openssl-dev pkg-config
TEST_PACKAGES := openssl
BENCH_PACKAGES := nginx wrk python3 openssl
DEMO_PACKAGES := curl

# For `make run`: two terminals make two clusters, `make run` and `make run CLUSTER=west ADDRESS=127.0.0.2`.
CLUSTER ?= east
ADDRESS ?= 127.0.0.1
NAMESPACES ?= team-a team-b
ARGS ?=

TEST_TARGETS := ElectionTests SimulationTests StorageTests TLSTests WebhookTests ControllerTests CommandsTests

RELEASE := .build/release/leasehold
# Without colours: with them, the compiler's arguments on a terminal differ from those in a pipe, and each change from
# one to the other builds everything anew.
BUILD_RELEASE := swift build -c release --static-swift-stdlib --no-color-diagnostics

.PHONY: help
help: ## Shows this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Builds the release binary, .build/release/leasehold.
	@scripts/packages.sh $(BUILD_PACKAGES)
	$(BUILD_RELEASE) --product leasehold

.PHONY: run
run: build ## Runs one cluster's controller and webhook on this machine: CLUSTER=east ADDRESS=127.0.0.1.
	@exec $(RELEASE) run --cluster $(CLUSTER) $(addprefix --namespace ,$(NAMESPACES)) \
	    --bind-address $(ADDRESS):10250 --metrics-bind-address $(ADDRESS):8080 \
	    --health-probe-bind-address $(ADDRESS):8081 $(ARGS)

.PHONY: test
test: ## Installs what the tests need and runs all of them.
	@scripts/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	swift build --build-tests
	@# One target after the other: some run whole elections as fast as they can, some wait for real processes.
	@for target in $(TEST_TARGETS); do \
	    echo "== $$target"; \
	    swift test --skip-build --filter "^$$target\." 2>&1 | scripts/test-summary.sh; \
	done

.PHONY: demo
demo: build ## Two clusters on this machine: elect, admit, deny, hand over, fail over, in under a minute.
	@scripts/packages.sh $(DEMO_PACKAGES)
	@scripts/demo.sh $(RELEASE)

.PHONY: bench
bench: ## Measures admissions against nginx, the scanner and the start; writes bench/results/.
	@scripts/packages.sh $(BUILD_PACKAGES) $(BENCH_PACKAGES)
	$(BUILD_RELEASE) --product leasehold
	$(BUILD_RELEASE) --product leasehold-bench
	@python3 bench/bench.py

.PHONY: lint
lint: ## Checks the format of the sources.
	swift format lint --strict --recursive Package.swift Sources Tests

.PHONY: format
format: ## Formats the sources.
	swift format --in-place --recursive Package.swift Sources Tests

.PHONY: clean
clean: ## Removes what was built.
	rm -rf .build
