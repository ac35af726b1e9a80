# `make demo` profiles a service under load; `make test` checks everything. Nothing else is needed
# on a machine with Rust, a C compiler and (for the page's tests) Node.

CARGO ?= cargo

.PHONY: demo test lint page

demo: ## Builds examples/rust-service, loads it for 10 s, prints and writes its profile
	$(CARGO) build --release -p rust-service
	./target/release/rust-service demo --out target/demo

test: ## Formatting, lints, documentation and every test
	bash tools/check

lint: ## Formatting and lints only
	bash tools/check lint

page: ## Rebuilds viewer/dist/page.html
	node viewer/build.mjs
