# Weir's commands. `make run` starts it; `make test` runs everything a stranger needs to trust it.
SHELL := bash
.DEFAULT_GOAL := help
CARGO ?= cargo
BIN := target/release/weir

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: check-tools ## Build and start Weir on 127.0.0.1:8000 with its data in ./data
	@echo "Building Weir (a few minutes the first time, seconds after that) ..."
	@$(CARGO) build --release -p server
	@exec ./$(BIN) serve $(ARGS)

build: check-tools ## Build the program as it is shipped: target/dist/weir
	$(CARGO) build --profile dist -p server

test: ## Run every test: units, properties, HTTP, official clients
	@tests/tools test
	@tests/run

check: check-tools ## What CI runs beside the tests: format, lints, docs, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
	else echo "cargo-deny is missing (cargo install cargo-deny --locked): licences were not checked"; exit 1; fi

bench: check-tools ## Measure what is shipped against a do-nothing proxy, about three minutes
	$(CARGO) build --profile dist -p server -p testbed
	./target/dist/bench --weir ./target/dist/weir $(ARGS)

torture: check-tools ## Kill Weir 200 times under load, and compare with the provider's books, about ten minutes
	$(CARGO) build --release -p server -p testbed
	./target/release/torture --weir ./$(BIN) --fsync $(ARGS)

attack: check-tools ## Spend one key from a thousand clients at once: docs/attack.md
	$(CARGO) build --release -p server -p testbed
	./target/release/attack $(ARGS)
	./target/release/attack --honest $(ARGS)

prices: ## Fetch the published price lists anew and show what changed
	tools/prices/refresh
	git --no-pager diff --stat -- prices

example: ## Write config.example.toml anew
	$(CARGO) run -q -p server -- config example > config.example.toml

check-tools:
	@tests/tools

.PHONY: help run build test check bench torture attack prices example check-tools
