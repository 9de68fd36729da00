# `make` shows what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

RELEASE := .build/release/leasehold

BUILD_PACKAGES := libssl-dev libcurl4-openssl-dev pkg-config
TEST_PACKAGES := openssl prometheus zsh fish sslscan
BENCH_PACKAGES := nginx wrk python3 openssl
DEMO_PACKAGES := curl
# Their files are in the image too; Dockerfile reads these lists.
IMAGE_PACKAGES := ca-certificates binutils

# For `make run`: two terminals make two clusters, `make run` and `make run CLUSTER=west ADDRESS=127.0.0.2`.
ADDRESS ?= 127.0.0.1
NAMESPACES ?= team-a team-b
ARGS ?=

# For the targets that need a cluster or an image: `make deploy-controller IMG=REGISTRY/leasehold:v1 CLUSTER=east BUCKET=B`.
KUBECTL ?= kubectl
IMG ?= leasehold:latest
BUCKET ?=
# Of controllers and of webhooks each; two by default.
REPLICAS ?=
# Or config/certmanager.
CONFIG ?= config/default
# --validate=false for API servers older than 1.28, which do not know matchConditions.
APPLY_FLAGS ?=
# For `make install-local`: where to, and which binary; PREFIX, SYSCONFDIR and DESTDIR as everywhere.
export PREFIX SYSCONFDIR DESTDIR
BINARY ?= $(RELEASE)
# For `make clusters`: their names.
CLUSTERS ?= east west
# For `make rolling`: how many rolling updates of each kind, and flags of the controllers, such as `--grant-duration 5s`.
ROLLS ?= 8
ROLLS_FLAGS ?=
# For `make chaos`: how long, and the seed of another run to have its faults again.
SECONDS ?= 600
SEED ?=
# For `make fuzz`: how long for each target, and which; all by default.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=
# For `make scale`: other numbers of namespaces.
SIZES ?=
# For `make soak`.
SOAK_SECONDS ?= 3600
# For `make sanitize`: which sanitizers, and which targets of the tests.
SANITIZERS ?= address thread
TARGETS ?= $(TEST_TARGETS)

# The end-to-end tests in parts: an API server takes 3 % of a processor when nobody asks it, so that thirty of them at once
# would leave nothing to the tests.
FLEETS := Admission|APILoss|Command|Failover|Outage
TEST_TARGETS := ElectionTests PlatformTests SimulationTests HTTPTests StorageTests KubernetesTests TLSTests WebhookTests \
    FuzzTests ControllerTests CommandsTests 'EndToEndTests\.($(FLEETS))Tests' \
    'EndToEndTests\.(?!($(FLEETS)|Scale|Chaos|Soak)Tests)' 'EndToEndTests\.ScaleTests' 'EndToEndTests\.ChaosTests' \
    'EndToEndTests\.SoakTests'

# Without colours: with them, the compiler's arguments on a terminal differ from those in a pipe, and each change from
# one to the other builds everything anew.
SIMULATOR := .build/simulation/release/leasehold-sim
# Exclusivity is checked in SimulationTests, which run the same code; here the checks would cost a tenth of the seeds.
BUILD_SIMULATION := LEASEHOLD_BREAKABLE_RULES=1 swift build -c release --scratch-path .build/simulation \
    --no-color-diagnostics --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked --product leasehold-sim
BUILD_RELEASE := swift build -c release --static-swift-stdlib --no-color-diagnostics

.PHONY: help
help: ## Shows this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Builds the release binary, .build/release/leasehold.
	@scripts/packages.sh $(BUILD_PACKAGES)
	$(BUILD_RELEASE) --product leasehold

.PHONY: run
# Not for other targets: which cluster one deploys to must be said.
run: CLUSTER ?= east
run: build ## Runs one cluster's controller and webhook on this machine: CLUSTER=east ADDRESS=127.0.0.1.
	@exec $(RELEASE) run --cluster $(CLUSTER) $(addprefix --namespace ,$(NAMESPACES)) \
	    --bind-address $(ADDRESS):10250 --metrics-bind-address $(ADDRESS):8080 \
	    --health-probe-bind-address $(ADDRESS):8081 $(ARGS)

.PHONY: test
test: ## Installs what the tests need and runs all of them.
	@scripts/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	@scripts/control-plane.sh >/dev/null
	swift build --build-tests
	@echo '== 2,000 simulated elections of ten minutes each'
	@$(BUILD_SIMULATION)
	@$(SIMULATOR) run --seeds 0..2000
	@echo '== each safety rule broken on purpose'
	@$(SIMULATOR) mutants
	@# One after the other: some run whole elections as fast as they can, some wait for real processes, and one measures.
	@for target in $(TEST_TARGETS); do \
	    echo "== $$target"; \
	    swift test --skip-build --filter "^$$target" 2>&1 | scripts/test-summary.sh; \
	done
	@echo '== what the release build allocates for a request'
	@$(BUILD_RELEASE) --product leasehold-bench
	@.build/release/leasehold-bench allocations Tests/WebhookTests/Fixtures/*.json
	@echo "== the image's files"
	@$(MAKE) --no-print-directory image-root

.PHONY: simulation
# A build of its own, in which each safety rule can be broken on purpose; no other build can do that.
simulation:
	@scripts/packages.sh $(BUILD_PACKAGES)
	@$(BUILD_SIMULATION)

.PHONY: simulate
simulate: simulation ## Runs simulated elections, until stopped or a promise is broken: SEEDS=0..100000 for those only.
	@exec $(SIMULATOR) $(if $(SEEDS),run --seeds $(SEEDS),forever)

.PHONY: mutants
mutants: simulation ## Breaks each safety rule on purpose, and shows the first simulated run that notices.
	@exec $(SIMULATOR) mutants

.PHONY: compare
compare: simulation ## Runs two simpler leases in the same simulated trouble, and counts how often they break.
	@exec $(SIMULATOR) compare

.PHONY: chaos
chaos: ## Breaks real processes for SECONDS=600 and looks for two leaders; SEED=, report in .chaos/.
	@scripts/packages.sh $(BUILD_PACKAGES)
	$(BUILD_RELEASE) --product leasehold
	$(BUILD_RELEASE) --product leasehold-chaos
	$(BUILD_RELEASE) --product leasehold-wall-clock
	@exec .build/release/leasehold-chaos $(SECONDS) '$(SEED)'

.PHONY: sanitize
sanitize: ## Runs the tests with the address and the thread sanitizer, an hour or so: SANITIZERS=address TARGETS=TLSTests.
	@scripts/packages.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	@scripts/control-plane.sh >/dev/null
	@# All of them, also when one has found something.
	@failed=0; for kind in $(SANITIZERS); do scripts/sanitize.sh $$kind $(TARGETS) || failed=1; done; exit $$failed

.PHONY: soak
soak: ## Runs real processes for SOAK_SECONDS=3600, in trouble and under load, and sees what grows; writes bench/results/.
	@scripts/packages.sh $(BUILD_PACKAGES)
	@scripts/control-plane.sh >/dev/null
	$(BUILD_RELEASE) --product leasehold
	$(BUILD_RELEASE) --product leasehold-chaos
	$(BUILD_RELEASE) --product leasehold-wall-clock
	@exec .build/release/leasehold-chaos soak \
	    bench/results/soak-$$(date +%F)-$$(git rev-parse --short=7 HEAD) $(SOAK_SECONDS) '$(SEED)'

.PHONY: rolling
rolling: ## Measures rolling updates of controllers and webhooks under load: ROLLS=8 ROLLS_FLAGS='--grant-duration 5s'.
	@scripts/packages.sh $(BUILD_PACKAGES)
	swift build --build-tests --no-color-diagnostics
	@LEASEHOLD_ROLLS='$(ROLLS)' LEASEHOLD_ROLLS_FLAGS='$(ROLLS_FLAGS)' swift test --skip-build --filter '^EndToEndTests\.RollingTests'

.PHONY: demo
demo: build ## Two clusters on this machine: elect, admit, deny, hand over, fail over, in under a minute.
	@scripts/packages.sh $(DEMO_PACKAGES)
	@scripts/demo.sh $(RELEASE)

.PHONY: clusters
clusters: ## Real API servers on this machine, with Leasehold, to try kubectl on: CLUSTERS="east west".
	@scripts/packages.sh $(BUILD_PACKAGES)
	@scripts/control-plane.sh >/dev/null
	swift build --no-color-diagnostics --product leasehold
	swift build --no-color-diagnostics --product leasehold-playground
	@exec .build/debug/leasehold-playground $(CLUSTERS)

.PHONY: image-root
image-root: build ## Lays out the image's files without Docker, .build/image-root, and runs the binary in there.
	@scripts/packages.sh $(IMAGE_PACKAGES) $(DEMO_PACKAGES)
	@scripts/image-root.sh $(RELEASE) .build/image-root
	@scripts/check-image-root.sh .build/image-root

.PHONY: install-local
# A binary that is given is not built.
install-local: $(if $(filter $(RELEASE),$(BINARY)),build) ## Installs leasehold on this machine, with a systemd unit: PREFIX=/usr/local DESTDIR=.
	@scripts/install-local.sh install $(BINARY)

.PHONY: uninstall-local
uninstall-local: ## Removes that again; settings and state stay.
	@scripts/install-local.sh uninstall

.PHONY: install
install: ## Makes the kind Lease known to the cluster that kubectl talks to.
	$(KUBECTL) apply -k config/crd

.PHONY: uninstall
uninstall: ## Removes the kind Lease, and with it all Lease objects.
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: docker-build
docker-build: ## Builds the image: IMG=REGISTRY/leasehold:v1.
	docker build -t $(IMG) .

.PHONY: docker-push
docker-push: ## Pushes the image: IMG=REGISTRY/leasehold:v1.
	docker push $(IMG)

.PHONY: deploy-controller
deploy-controller: ## Runs Leasehold in the cluster that kubectl talks to: IMG=... CLUSTER=east BUCKET=my-bucket REPLICAS=2.
	@KUBECTL='$(KUBECTL)' CONFIG='$(CONFIG)' scripts/manifests.sh '$(IMG)' '$(CLUSTER)' '$(BUCKET)' '$(REPLICAS)' | \
	    $(KUBECTL) apply $(APPLY_FLAGS) -f -

.PHONY: undeploy
undeploy: ## Removes Leasehold from that cluster, and all Lease objects; what was guarded stays. Stop its operators before.
	@echo 'From here on nothing guards this cluster: operators that still run here write, whoever leads.' >&2
	@# The webhook first: nobody would answer the API server for it.
	$(KUBECTL) delete --ignore-not-found -f config/webhook/validating_webhook.yaml
	@# With the namespace goes what the controllers made in it.
	$(KUBECTL) kustomize config/default | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: bench
bench: ## Measures a webhook against nginx, its memory, its start; writes and draws bench/results/.
	@scripts/packages.sh $(BUILD_PACKAGES) $(BENCH_PACKAGES)
	$(BUILD_RELEASE) --product leasehold
	$(BUILD_RELEASE) --product leasehold-bench
	@python3 bench/bench.py

.PHONY: fuzz
# In release mode with its checks, in a build of its own. gold cannot link what the sanitizer adds.
fuzz: ## Fuzzes every parser of bytes from outside: FUZZ_SECONDS=60 FUZZ_TARGETS="http review"; state in .fuzz/.
	@scripts/packages.sh $(BUILD_PACKAGES)
	LEASEHOLD_FUZZING=1 swift build -c release --scratch-path .build/fuzz --no-color-diagnostics --sanitize=address \
	    -Xswiftc -sanitize=fuzzer -Xswiftc -enable-testing -Xswiftc -use-ld=lld --product leasehold-fuzz
	@scripts/fuzz.sh .build/fuzz/release/leasehold-fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: abuse
abuse: ## Holds 10,000 hostile connections of each kind beside 25 good ones, and measures; writes bench/results/.
	@scripts/packages.sh $(BUILD_PACKAGES)
	$(BUILD_RELEASE) --product leasehold
	swift build --build-tests --no-color-diagnostics
	@echo '| crowd | connections | come and gone | p99 alone, ms | p99 elsewhere | p99 beside | ratio | MiB | MiB beside | MiB after |'
	@echo '|---|---|---|---|---|---|---|---|---|---|'
	@LEASEHOLD_ABUSE=10000 LEASEHOLD_ABUSE_BINARY='$(CURDIR)/$(RELEASE)' \
	    LEASEHOLD_ABUSE_REPORT="$(CURDIR)/bench/results/abuse-$$(date +%F)-$$(git rev-parse --short=7 HEAD).json" \
	    swift test --skip-build --filter '^CommandsTests\.AbuseTests' 2>&1 | grep -v 'passed\|started'

.PHONY: scale
scale: ## Measures what 10 to 10,000 namespaces cost, with real API servers; writes bench/results/.
	@scripts/packages.sh $(BUILD_PACKAGES)
	@scripts/control-plane.sh >/dev/null
	$(BUILD_RELEASE) --product leasehold
	$(BUILD_RELEASE) --product leasehold-scale
	@exec .build/release/leasehold-scale "bench/results/scale-$$(date +%F)-$$(git rev-parse --short HEAD)" $(SIZES)

.PHONY: link-order
link-order: build ## Finds out anew which functions a webhook calls, so that they lie together in memory.
	@scripts/packages.sh valgrind python3 openssl
	@python3 bench/link_order.py
	@# Swift's package manager does not see that what the linker reads has changed.
	@rm -f $(RELEASE)
	@$(MAKE) --no-print-directory build

.PHONY: lint
lint: ## Checks the format of the sources.
	swift format lint --strict --recursive Package.swift Sources Tests

.PHONY: format
format: ## Formats the sources.
	swift format --in-place --recursive Package.swift Sources Tests

.PHONY: clean
clean: ## Removes what was built.
	rm -rf .build
