#!/bin/sh
# Build the fuzz target, seed its corpus, and run it for FUZZ_RUNS executions.
# Arguments are captures (pcap, pcapng) to seed with beside the repo's own.
set -eu
captures=
for capture; do captures="$captures $(realpath "$capture")"; done
cd "$(dirname "$0")"

PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

# What cargo-fuzz would set, but for a sanitizer, which takes a nightly compiler
# and looks for what Rust without unsafe code does not do. With a target given,
# build scripts and macros go without.
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
	-Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares \
	-Cllvm-args=-simplifycfg-branch-fold-threshold=0"
export CARGO_TARGET_DIR=../target/fuzz
build="--release --locked --target $target"
corpus=corpus/parse
mkdir -p "$corpus" artifacts/parse

# shellcheck disable=SC2086 # Words.
cargo build $build --bins --examples
bin=$CARGO_TARGET_DIR/$target/release
"$bin/examples/seed" capture "$CARGO_TARGET_DIR/table.pcap"
# shellcheck disable=SC2086 # Words.
"$bin/examples/seed" corpus "$corpus" "$CARGO_TARGET_DIR/table.pcap" $captures

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo "$bin/parse" "$corpus" -runs="${FUZZ_RUNS:-10000000}" -max_len=20000 -dict=parse.dict \
	-artifact_prefix=artifacts/parse/ -print_final_stats=1 -timeout=10
