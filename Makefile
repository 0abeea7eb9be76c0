# The one door: make run, make test, make bench, make lint. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test lint fmt bench

TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(CURDIR)/target)
# What scripts/tools installs is found first.
export PATH := $(TARGET_DIR)/tools/bin:$(PATH)
# Generated cases are the same in each run, so that a change either passes or does not. Another number makes others; any word, others each time.
export PROPTEST_RNG_SEED ?= 20261126

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: ## Build it and run `eartag serve` (ARGS="--listen …" for flags)
	cargo run --release --locked --package eartag -- serve $(ARGS)

build: ## Build the binary, optimised: target/release/eartag
	cargo build --release --locked --package eartag

test: ## All tests, with the real kubectl (TESTS="name" for some)
	scripts/tools test
	cargo build --locked --package eartag
	export EARTAG_BIN="$(TARGET_DIR)/debug/eartag"; \
	if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --locked --workspace --no-fail-fast $(TESTS); \
	else cargo test --locked --workspace --no-fail-fast $(TESTS); fi

lint: ## Format, clippy, the crates' order, bans, licences, sources
	cargo fmt --all --check
	scripts/house
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	scripts/tools lint
	if cargo deny --version >/dev/null 2>&1; \
	then cargo deny --locked check bans licenses sources; \
	elif [[ "$${CI:-}" == true ]]; then echo "no cargo-deny" >&2; exit 1; \
	else echo "left out: bans, licences and sources; install cargo-deny"; fi

fmt: ## Format
	cargo fmt --all

bench: ## Benchmarks: HTTPS beside a bare handler, a million tokens, the verifier
	cargo build --release --locked --package eartag --package eartag-benches --package eartag-tests
	"$(TARGET_DIR)/release/door"
	scripts/tools test
	"$(TARGET_DIR)/release/review"
	"$(TARGET_DIR)/release/million"
	cargo bench --locked --package eartag-benches --bench verifier
