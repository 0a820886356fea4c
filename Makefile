# `make demo` and `make test` do everything that they need; the rest is for working on the code.

forwarder := .build/release/forwarder
sudo := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help setup build test demo bench lint fuzz soak

help: ## List what there is to make.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

setup: ## Install the Debian packages that are missing.
	scripts/setup

# The linker warns that `mktemp` is dangerous: the Swift library's Data.write, linked in whole, names it. We never call that.
build: ## Build the release binary, .build/release/forwarder.
	swift build --configuration release --static-swift-stdlib --product forwarder

demo: setup build ## Show it at work between namespaces of its own.
	$(sudo) $(forwarder) demo

test: setup ## Run the tests, some fuzzing, and the check of the loop's machine code.
	scripts/test

soak: setup ## The same with the tests that take longer.
	SOAK=1 FUZZ_SECONDS=600 scripts/test

bench: setup build ## Measure beside the kernel's own routing and masquerade.
	$(sudo) $(forwarder) bench

lint: ## Check formatting, scripts and generated files.
	scripts/lint

fuzz: ## Throw octets at the parser for SECONDS (60).
	fuzz/run $(or $(SECONDS),60)
