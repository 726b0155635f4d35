#!/usr/bin/env bash
# `make bench-xdpdump`: xdplog beside xdpdump and tcpdump, those that write frames,
# in a virtual machine with the first kernel of tests/kernels/kernels.txt. It is
# emulated: only ratios say something. Debian on x86-64.
set -euo pipefail
cd "$(dirname "$0")/.."
me="bench-xdpdump"
. tests/kernels/machine.sh
cpus=2
programs+=(capinfos xdpdump)

say "building"
"$cargo" build --release --locked
# The programs that the benchmark loads: there is no compiler in the machine.
mkdir -p "$work/objects"
XDPLOG_TEST_OBJECTS=$work/objects \
	"$cargo" test -q --locked --test verifier the_programs_of_tests_and_benchmarks >&2
bench=$("$cargo" bench --locked --no-run --bench bench --message-format=json-render-diagnostics |
	sed -n 's/.*"name":"bench".*"executable":"\([^"]*\)".*/\1/p')

add_base
add_program "$bench" suites/none/bench
add_program target/release/xdplog "$PWD/target/release/xdplog"
cp -r "$work/objects" "$root/objects"
# tcpdump looks its user up, also where that is to stay what it is.
install -D /dev/stdin "$root/etc/passwd" <<<root:x:0:0:root:/:/bin/sh
# Where xdpdump looks for its own.
objects=usr/lib/$(uname -m)-linux-gnu/bpf
mkdir -p "$root/$objects"
cp "/$objects"/xdpdump_*.o "$root/$objects"
echo "none bench --captures" >"$root/list"
image=$(fetch "$(sed '/^#/d; /^$/d' "$here/kernels.txt" | head -n 1)")
add_modules "$image"
pack_root
say "booting ${image#linux-image-}, $cpus CPUs"
# In the background, as a signal waits for what is in the foreground to end.
run_machine "$image" "$work/results" &
wait $!
if ! tr -d '\r' <"$work/results" | grep -q '^suite none bench 0 '; then
	say "FAILED: see $cache/${image#linux-image-}.log"
	exit 1
fi
