# Everything one needs, by name. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
# The interop test installs the official client; it has a target of its own.
WORKSPACE := --workspace --exclude obsync-interop

# What the function runs on; `make lambda-local` takes more arguments, and a zip that is there.
ARCH ?= arm64
ARGS ?=
ZIP ?=

.PHONY: help demo test soak interop check fmt clippy doc deny arrows dependencies sbom budgets bench man build-lambda lambda-local check-deploy

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Sync a sample vault from the built-in dev server to build/demo
	$(CARGO) build --locked -p obsync-cli -p obsync-devserver
	scripts/demo.sh

test: ## Run all tests but the interop ones
	$(CARGO) test --locked $(WORKSPACE)

soak: ## Prove what obsync promises at length; OBSYNC_HISTORIES, OBSYNC_KILLS, OBSYNC_MEMORY_FILES, OBSYNC_FUZZ_FACTOR and OBSYNC_SEED say how
	OBSYNC_SEED=$${OBSYNC_SEED:-$$(date +%s)} OBSYNC_HISTORIES=$${OBSYNC_HISTORIES:-2000} OBSYNC_KILLS=$${OBSYNC_KILLS:-200} \
		OBSYNC_MEMORY_FILES=$${OBSYNC_MEMORY_FILES:-100000} OBSYNC_FUZZ_FACTOR=$${OBSYNC_FUZZ_FACTOR:-50} \
		bash -c '$(CARGO) test --locked -p obsync-soak -- --nocapture && \
			$(CARGO) test --locked -p obsync-cli --test it killed -- --nocapture && \
			$(CARGO) test --locked -p obsync-cli --test it memory -- --nocapture && \
			$(CARGO) test --locked -p obsync-fuzz -- --nocapture'

interop: ## Test against the official client, which this installs from npm into a cache
	$(CARGO) test --locked -p obsync-interop -- --nocapture

check: fmt clippy doc arrows dependencies deny budgets ## Check format, lints, docs, crate arrows, licences and budgets

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

arrows:
	scripts/check-arrows.sh

dependencies:
	scripts/check-dependencies.sh

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check bans licenses sources; \
	else \
		echo "NOT CHECKED: licences, bans and sources, since cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

budgets: ## Compare instruction counts of the pure parts with their budgets (WRITE=1 sets them)
	$(CARGO) run --locked -q --release -p obsync-counts -- check $(if $(WRITE),--write)

bench: ## Measure, and print a table beside the bounds (LINES="notes idle" for some of it)
	$(CARGO) build --locked --release -p obsync-counts -p obsync-cli
	$(CARGO) build --locked --profile lambda -p obsync-lambda --bins --example hello
	$(CARGO) run --locked --release -p obsync-bench -- $(LINES)

build-lambda: ## Build the function's zip, build/obsync-lambda.zip (ARCH=x86_64 for the other kind)
	scripts/build-lambda.sh --arch $(ARCH)

lambda-local: ## Run the function here on sample events (ARGS=--serve to send it your own)
	$(if $(ZIP),,scripts/build-lambda.sh --profile dev --out build/obsync-lambda-local.zip)
	$(CARGO) run --locked -q -p obsync-lambda-local -- --zip $(or $(ZIP),build/obsync-lambda-local.zip) $(ARGS)

check-deploy: ## Check the templates in deploy/, and run the state machine on an emulator
	scripts/check-deploy.sh

sbom: ## Write what each binary is made of to build/sbom (needs cargo-cyclonedx)
	scripts/sbom.sh

man: ## Write the man page and shell completions to build/
	mkdir -p build/man build/completions
	$(CARGO) run --locked -q -p obsync-cli -- man > build/man/obsync.1
	for shell in bash zsh fish elvish powershell; do \
		$(CARGO) run --locked -q -p obsync-cli -- completions $$shell > build/completions/obsync.$$shell; \
	done
