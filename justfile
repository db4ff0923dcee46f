# One command a habit; CI runs the same through ./test.

# List the habits.
default:
    @just --list

# Format everything.
format:
    cargo fmt --all

# Lints, warnings denied.
lint:
    cargo clippy --workspace --all-targets --features postgres --locked -- -D warnings

# Every check and every test; or only tests whose names contain one of these.
test *names:
    ./test {{ names }}

# Kill servers under load, thousands of times, and look for lost tokens and for halves of orders.
torture rounds="2000":
    ONYX_TORTURE={{ rounds }} ./test sigkill

# The API documentation.
doc:
    cargo doc --workspace --features postgres --no-deps --open

# The benchmarks.
bench *names:
    cargo bench --features postgres {{ names }}
