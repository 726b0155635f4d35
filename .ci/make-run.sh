#!/bin/sh
# `make run IFACE=<veth>` as the README has it, in a network namespace of its
# own, with a packet sent and Ctrl-C pressed.
set -eu
sudo=
# Into the namespace takes root; make itself is run as whoever this is.
as_user=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	as_user="sudo -u $(id -un)"
fi
make=
ns=xdplog-run-$$
out=$(mktemp)
clean_up() {
	[ -z "$make" ] || $sudo kill -s KILL -- "-$make" 2>/dev/null || true
	$sudo ip netns del "$ns" 2>/dev/null || true
	rm -f "$out"
}
trap clean_up EXIT
# What follows waits for a program, not for a compiler.
make build
$sudo ip netns add "$ns"
$sudo ip -n "$ns" link add run0 type veth peer name run1
$sudo ip -n "$ns" link set run0 up
$sudo ip -n "$ns" link set run1 up
$sudo ip -n "$ns" addr add 192.0.2.1/24 dev run1

# setsid: Ctrl-C goes to all of the group, as a terminal sends it. A shell that is no
# terminal's starts what is in the background with Ctrl-C ignored, which would stay.
# shellcheck disable=SC2086 # Words.
env --default-signal=INT,QUIT setsid $sudo ip netns exec "$ns" $as_user make run IFACE=run0 >"$out" &
make=$!
tries=0
until $sudo ip -n "$ns" link show run0 | grep -q 'prog/xdp id'; do
	tries=$((tries + 1))
	[ "$tries" -lt 600 ] || { echo "make run does not attach" >&2; exit 1; }
	sleep 0.1
done
# Nobody is at 192.0.2.9: the neighbour is given, so that a packet goes out.
$sudo ip -n "$ns" neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev run1
$sudo ip netns exec "$ns" bash -c 'echo hello >/dev/udp/192.0.2.9/9'
until grep -qx 'LOG: SRC 192.0.2.1, ACTION 2' "$out"; do
	tries=$((tries + 1))
	[ "$tries" -lt 600 ] || { echo "make run does not log" >&2; exit 1; }
	sleep 0.1
done
$sudo kill -s INT -- "-$make"
wait "$make" || true
make=
if $sudo ip -n "$ns" link show run0 | grep -q 'prog/xdp id'; then
	echo "the program is still attached" >&2
	exit 1
fi
echo "make run: $(head -n 1 "$out")"
