# What people and CI do here; `make help` lists it. Each target installs what it lacks, and says so.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CLUSTER := e2e/cluster

.PHONY: help demo demo-down test test-unit test-clients test-api test-node check audit fix images cluster-up cluster-down bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## the whole product on a real Kubernetes, with official Java clients; KUBE_CONTEXT=name uses a cluster of yours
	@deploy/demo/run

demo-down: ## removes what the demo made
	@deploy/demo/down

test: check test-unit test-clients test-api test-node ## all tests, as CI runs them

test-unit: ## the tests that need nothing but the code
	cargo test --workspace --exclude gantry-e2e --exclude gantry-operator --locked
	cargo test -p gantry-operator --lib --bins --locked

test-clients: ## official Java and Go clients against the real programs
	@$(CLUSTER)/need maven=mvn openjdk-17-jdk-headless=javac
	cargo build --locked -p gantry-namesrv -p gantry-broker -p gantry-cli --bins
	cargo test --locked -p gantry-e2e

test-api: ## the operator against a real API server without nodes
	@$(CLUSTER)/build kube > /dev/null
	cargo test -p gantry-operator --test '*' --locked

test-node: ## a real Kubernetes node, the demo on it, and a broker killed under load
	@$(CLUSTER)/test
	@top=$$(mktemp -d) && export CLUSTER_DIR=$$top/cluster && trap "$(CLUSTER)/down; rm -rf $$top" EXIT && deploy/demo/run && $(CLUSTER)/kill-broker

check: ## formatting, lints, house rules, dependencies, shell scripts; writes nothing
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy
	@command -v cargo-deny > /dev/null || { echo "check: installing cargo-deny from crates.io, once"; cargo install --quiet --locked cargo-deny@0.20.2; }
	cargo deny --log-level error check bans licenses sources
	diff <(deploy/manifests/render) deploy/manifests/gantry-operator.yaml || { echo 'deploy/manifests is not fresh: make fix'; exit 1; }
	@$(CLUSTER)/need shellcheck=shellcheck
	shellcheck -x -P SCRIPTDIR $$(git ls-files | xargs grep -lE '^#!/bin/(ba)?sh' --)

audit: ## known vulnerabilities of the libraries in use; asks the RustSec database
	cargo deny check advisories

fix: ## formats, and makes the generated files anew
	cargo fmt --all
	cargo xtask generate
	deploy/manifests/render > deploy/manifests/gantry-operator.yaml

images: ## the container images in target/images, without Docker
	@deploy/images/build

cluster-up: ## a Kubernetes on this machine; e2e/cluster/in kubectl ... talks to it
	@$(CLUSTER)/up

cluster-down: ## its end
	@$(CLUSTER)/down

bench: ## Gantry beside Apache RocketMQ, as ratios
	@bench/run
