# Everything one needs, by name. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
# The interop test installs the official client; it has a target of its own.
WORKSPACE := --workspace --exclude obsync-interop

.PHONY: help demo test interop check fmt clippy doc deny arrows bench man

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Sync a sample vault from the built-in dev server to build/demo
	$(CARGO) build --locked -p obsync-cli -p obsync-devserver
	scripts/demo.sh

test: ## Run all tests but the interop ones
	$(CARGO) test --locked $(WORKSPACE)

interop: ## Test against the official client, which this installs from npm into a cache
	$(CARGO) test --locked -p obsync-interop -- --nocapture

check: fmt clippy doc arrows deny ## Check format, lints, docs, crate arrows and licences

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

arrows:
	scripts/check-arrows.sh

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: licences not checked (cargo install cargo-deny)"; \
	fi

bench: ## Measure, and print a table beside the bounds
	$(CARGO) run --locked --release -p obsync-bench

man: ## Write the man page and shell completions to build/
	mkdir -p build/man build/completions
	$(CARGO) run --locked -q -p obsync-cli -- man > build/man/obsync.1
	for shell in bash zsh fish elvish powershell; do \
		$(CARGO) run --locked -q -p obsync-cli -- completions $$shell > build/completions/obsync.$$shell; \
	done
