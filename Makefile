# `make demo` profiles a service under load; `make test` checks everything. Nothing else is needed
# on a machine with Rust, a C compiler and (for the page's tests) Node.

CARGO ?= cargo

.PHONY: demo demo-host demo-node demo-python demo-jvm test lint lint-deploy wheel npm jar storm storm-host storm-jvm storm-node storm-page storm-python page pictures backends test-backends

demo: ## Builds examples/rust-service, loads it for 10 s, prints and writes its profile
	$(CARGO) build --release -p rust-service -p sondage-cli
	./target/release/rust-service demo --out target/demo
	@echo "to look at it: ./target/release/sondage view target/demo/profile.pb.gz --open"

demo-python: wheel ## The same for a FastAPI service under gunicorn, examples/python-service
	python3 examples/python-service/demo.py target/wheels/sondage-*.whl target/demo-python

demo-node: ## The same for a Fastify service in TypeScript, examples/node-service
	bindings/node/package
	$$(bindings/node/find-node 24) examples/node-service/demo.mjs target/npm target/demo-node

demo-jvm: jar ## The same for a service on virtual threads of Java, examples/jvm-service
	$(CARGO) build --release -p sondage-cli
	python3 examples/jvm-service/demo.py $$(bindings/jvm/find-jdk 25) target/jvm/sondage.jar \
		target/release/sondage target/demo-jvm

demo-host: ## One flame graph of the machine, with the services without Sondage inside; as root
	$(CARGO) build --release -p sondage-cli -p rust-service
	python3 examples/ebpf-whole-host/demo.py target/release/sondage target/release/rust-service \
		$$(bindings/jvm/find-jdk 17) $$(bindings/node/find-node 24) target/demo-host

test: ## Formatting, lints, documentation and every test
	bash tools/check

lint-deploy: ## The chart against its promises, the manifests against the chart (needs Go; 2 minutes once)
	deploy/check

lint: ## Formatting and lints only
	bash tools/check lint

wheel: ## The package for Python, into target/wheels
	bindings/python/wheel

npm: ## The packages for Node.js, into target/npm
	bindings/node/package

jar: ## The agent for Java, target/jvm/sondage.jar
	bindings/jvm/package

storm: ## The proofs at the sizes that are published: 19 minutes on an idle machine
	SONDAGE_STORM=full $(CARGO) test --release -p sondage --all-features --test proofs -- --nocapture --test-threads=1

storm-host: ## Watching the machine begun, ended and killed 1,000 times each, as root: 6 minutes
	SONDAGE_STORM=full $(CARGO) test -p sondage-host --test it -- lifecycle --nocapture

storm-python: ## The same for Python, on each version: 20 minutes
	SONDAGE_STORM=full bindings/python/check tests.test_proofs

storm-node: ## The same for Node.js, on each version: 40 minutes
	SONDAGE_STORM=full bindings/node/check proofs

storm-jvm: ## The same for Java, on each version: an hour
	SONDAGE_STORM=full bindings/jvm/check test_proofs

backends: ## Builds Pyroscope, Parca and the OpenTelemetry Collector once (22 minutes, needs Go)
	tools/servers/build

test-backends: ## Profiles pushed to those servers and read back (2 minutes)
	$(CARGO) test -p sondage --all-features --test servers -- --nocapture --test-threads=1

page: ## Rebuilds viewer/dist/page.html
	node viewer/build.mjs

storm-page: ## The page's tests with the bounds that are published: 2 minutes on an idle machine, with Chromium
	SONDAGE_STORM=full SONDAGE_REQUIRE_CHROMIUM=1 node --test viewer/test.mjs

pictures: ## The guides' pictures and the incident that they show, anew: 1 minute, with Chromium
	$(CARGO) build --release -p rust-service -p sondage-cli
	docs/pictures/take target/pictures

# Side by side with other profilers. Each takes 1 to 15 minutes; docs/performance.md has the
# results. `make bench ROUNDS=1` is a quick look.
TABLES = sample-cost memory accuracy label-change overhead payload survive backends wire storage
ENGINES = none sondage pprof pprof-framehop pyroscope

.PHONY: bench bench-build bench-ebpf bench-node bench-outside bench-python bench-unwind $(TABLES:%=bench-%)

bench: $(TABLES:%=bench-%) bench-unwind ## Every table

# One command an engine: in one, Cargo would give both pprof-rs programs the same unwinder.
bench-build:
	$(CARGO) build --release -p rust-service
	cd bench && $(CARGO) build --release -p tables -p bench-unwind
	cd bench && for engine in $(ENGINES); do $(CARGO) build --release -p engine-$$engine || exit 1; done

$(TABLES:%=bench-%): bench-build ## One table
	cd bench && $(CARGO) run --release -q -p tables -- $(@:bench-%=%) $(if $(ROUNDS),rounds=$(ROUNDS))

bench-unwind: bench-build
	cd bench && $(CARGO) run --release -q -p bench-unwind

bench-python: ## Sondage for Python beside pyroscope-io, ddtrace and py-spy: half an hour
	bench/python/run shares cost memory $(if $(ROUNDS),rounds=$(ROUNDS))

bench-node: ## Sondage for Node.js beside Datadog's, Pyroscope's and V8's own profiler: two hours
	bench/node/run shares lines labels cost http memory stalls await start $(if $(ROUNDS),rounds=$(ROUNDS))

bench-ebpf: ## The host agent beside 50, 200 and 1,000 processes: 10 minutes, as root
	bench/ebpf/run

bench-outside: ## `sondage record -p` of C, Python, Node.js and Java: 6 minutes
	bench/outside/run

bench-jvm: ## Sondage for the JVM beside async-profiler, pyroscope-java and JFR: two hours
	bench/jvm/run shares virtual cost start $(if $(ROUNDS),rounds=$(ROUNDS))
