#!/bin/sh
# `make demo`, and what it prints: a line for each packet and nothing else, from
# either family, and no namespace is left.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
make demo >"$log"
cat "$log"
fail() { echo "make demo: $*" >&2; exit 1; }
grep -qx 'LOG: SRC 192.0.2.2, ACTION 2' "$log" || fail "no packet of IPv4"
grep -qx 'LOG: SRC 2001:db8::2, ACTION 2' "$log" || fail "no packet of IPv6"
if grep -vx 'LOG: SRC [0-9a-f.:]*, ACTION 2' "$log" >&2; then fail "these are no lines of a log"; fi
if ip netns list | grep xdplog-demo >&2; then fail "these namespaces are left"; fi
