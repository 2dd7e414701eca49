# Needs Rust, Python 3.11 or newer and the package registries; nothing else. `make test-interop` uses what more it finds.

CARGO ?= cargo
PYTHON ?= python3
VENV := .venv
# The suites wait on sockets far more than they compute, so more workers than cores pay off.
PYTEST_WORKERS ?= 4

.PHONY: run build test test-rust test-python test-interop bench fmt lint doc licences clean

run:
	$(CARGO) run --release -- run

build:
	$(CARGO) build --release --locked

test: test-rust test-python

test-rust:
	$(CARGO) test --locked

test-python: build $(VENV)/.installed
	$(VENV)/bin/pytest tests/acceptance -n $(PYTEST_WORKERS)

# What needs Go, Java, Node or Debian packages. Each absent thing prints "SKIP name: reason"; nothing is skipped silently.
test-interop: build $(VENV)/.installed
	$(VENV)/bin/pytest tests/interop

$(VENV)/.installed: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

bench:
	$(CARGO) bench --locked

fmt:
	$(CARGO) fmt --all

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

licences:
	.ci/licences

clean:
	$(CARGO) clean
	rm -rf $(VENV) .interop
