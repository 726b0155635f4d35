#!/bin/sh
# See xdplog at work for 5 seconds: two network namespaces of our own, a veth
# pair between them, pings and a UDP sender in one, xdplog in the other. No real
# interface is touched, and all of it is gone at the end.
#
#   sudo sh examples/demo.sh ./target/release/xdplog
set -eu

xdplog=${1:-./target/release/xdplog}
[ -x "$xdplog" ] || { echo "demo: no $xdplog. Next: make build" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "demo: needs root. Next: make demo" >&2; exit 1; }

here=xdplog-demo-$$-here
there=xdplog-demo-$$-there
sender=

clean_up() {
	[ -z "$sender" ] || kill "$sender" 2>/dev/null || true
	ip netns del "$here" 2>/dev/null || true
	ip netns del "$there" 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM

ip netns add "$here"
ip netns add "$there"
ip -n "$here" link add demo0 type veth peer name demo1 netns "$there"
for end in "$here demo0 1" "$there demo1 2"; do
	# shellcheck disable=SC2086 # Words.
	set -- $end
	ip -n "$1" addr add "192.0.2.$3/24" dev "$2"
	ip -n "$1" addr add "2001:db8::$3/64" dev "$2" nodad
	ip -n "$1" link set "$2" up
done

# A UDP datagram to either address some times a second. A connected /dev/udp
# needs bash, which every system that has make also has.
ip netns exec "$there" bash -c '
	while :; do
		echo hello >/dev/udp/192.0.2.1/9
		echo hello >/dev/udp/2001:db8::1/9
		sleep 0.4
	done' 2>/dev/null &
sender=$!

echo "demo: xdplog demo0, for 5 seconds, in a network namespace of its own" >&2
ip netns exec "$here" "$xdplog" demo0 --duration 5s
