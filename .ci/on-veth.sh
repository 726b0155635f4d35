#!/bin/sh
# Run a command that logs the interface run0, such as `make run IFACE=run0`, in a
# network namespace of its own: send a packet, see its line, press Ctrl-C, and see
# that nothing is left.
#
#   sh .ci/on-veth.sh make run IFACE=run0
set -eu
[ $# -gt 0 ] || { echo "on-veth.sh: no command. Next: name one that logs run0" >&2; exit 2; }
sudo=
# Into the namespace takes root; the command itself is run as whoever this is.
as_user=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	as_user="sudo -u $(id -un)"
fi
command=
ns=xdplog-run-$$
out=$(mktemp)
clean_up() {
	[ -z "$command" ] || $sudo kill -s KILL -- "-$command" 2>/dev/null || true
	$sudo ip netns del "$ns" 2>/dev/null || true
	rm -f "$out"
}
trap clean_up EXIT
$sudo ip netns add "$ns"
$sudo ip -n "$ns" link add run0 type veth peer name run1
$sudo ip -n "$ns" link set run0 up
$sudo ip -n "$ns" link set run1 up
$sudo ip -n "$ns" addr add 192.0.2.1/24 dev run1

# setsid: Ctrl-C goes to all of the group, as a terminal sends it. A shell that is no
# terminal's starts what is in the background with Ctrl-C ignored, which would stay.
# shellcheck disable=SC2086 # Words.
env --default-signal=INT,QUIT setsid $sudo ip netns exec "$ns" $as_user "$@" >"$out" &
command=$!
tries=0
until $sudo ip -n "$ns" link show run0 | grep -q 'prog/xdp id'; do
	tries=$((tries + 1))
	[ "$tries" -lt 600 ] || { echo "$1 does not attach" >&2; exit 1; }
	sleep 0.1
done
# Nobody is at 192.0.2.9: the neighbour is given, so that a packet goes out.
$sudo ip -n "$ns" neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev run1
$sudo ip netns exec "$ns" bash -c 'echo hello >/dev/udp/192.0.2.9/9'
until grep -qx 'LOG: SRC 192.0.2.1, ACTION 2' "$out"; do
	tries=$((tries + 1))
	[ "$tries" -lt 600 ] || { echo "$1 does not log" >&2; exit 1; }
	sleep 0.1
done
$sudo kill -s INT -- "-$command"
wait "$command" || true
command=
if $sudo ip -n "$ns" link show run0 | grep -q 'prog/xdp id'; then
	echo "the program is still attached" >&2
	exit 1
fi
echo "$*: $(head -n 1 "$out")"
