# Every entry point. `make dev` and `make test` need a Rust toolchain and PostgreSQL's binaries, nothing else.
.PHONY: dev demo test test-postgres lint bench bench-decision doc clean-dev

dev: ## The reference app with a private Postgres, migrated and seeded: http://127.0.0.1:3000 (APP_ADDR=… for another)
	cargo run --package reference --bin reference -- serve

demo: ## Sign up, reach the limit, pay, go on: each call and answer printed
	cargo run --quiet --package reference --bin reference -- demo

test: ## Everything CI checks
	@scripts/test

test-postgres: ## The tests on another PostgreSQL, fetched if it is not there: make test-postgres MAJOR=18
	@scripts/test-postgres $(or $(MAJOR),18)

lint: ## Formatting and clippy only
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

bench: ## Side by side with a hand-written service, in one run, as ratios
	cargo run --release --package saas-kernel-benches

bench-decision: ## One permission decision beside casbin, cedar and a HashSet
	cargo run --release --manifest-path benches/decision/Cargo.toml

doc: ## The API documentation
	cargo doc --workspace --no-deps

clean-dev: ## Throws the development database away
	rm -rf .dev
