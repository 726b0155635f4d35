#!/usr/bin/env bash
# `make bench-host`: what the host pays while a program watches an interface: the
# throughput of one TCP stream, CPU seconds for a gigabyte of it, UDP datagrams lost
# with one and two senders, and the time of a small packet. All in turn, some rounds;
# the tables have medians. The kinds of interface are the arguments: veth, tap, and,
# only in a virtual machine made for it, virtio.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-2}
here=xdplog-host-$$-here there=xdplog-host-$$-there
traffic=target/debug/examples/traffic
work=$(mktemp -d)
all=(nothing auto native generic tcpdump)
watching=
wire=

stop() {
	if [ -n "$watching" ]; then
		kill -TERM "$watching" || true
		wait "$watching" || true
	fi
	watching=
}
take_down() {
	local server
	stop
	for server in "$work"/*.pid; do
		[ ! -e "$server" ] || kill "$(tr -d '\0' <"$server")" || true
	done
	if [ -n "$wire" ]; then
		kill "$wire" || true
		wait "$wire" || true
	fi
	wire=
	ip netns del $here || true
	ip netns del $there || true
}
clean_up() {
	[ ! -e /run/netns/$here ] || take_down
	rm -r "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_veth() {
	ip -n $here link add here0 address 02:00:00:00:00:0a type veth peer name there0 netns $there
	ip -n $there link set there0 address 02:00:00:00:00:0b
}
# A program between the two, as one is between a virtual machine and its host.
make_tap() {
	$traffic wire $here $there 2>"$work/wire" &
	wire=$!
	until grep -q wired "$work/wire"; do
		kill -0 $wire
		sleep 0.05
	done
}
# The two cards of a machine that bench-host-vm boots: none of any other.
make_virtio() {
	grep -q xdplog_tests /proc/cmdline
	local card name ns
	for card in /sys/class/net/*; do
		case $(cat "$card/address") in
		02:00:00:00:00:0a) name=here0 ns=$here ;;
		02:00:00:00:00:0b) name=there0 ns=$there ;;
		*) continue ;;
		esac
		ip link set "${card##*/}" netns "$ns" name "$name"
	done
}

put_up() {
	local port
	ip netns add $here
	ip netns add $there
	"make_$1"
	ip -n $here addr add 10.99.0.1/24 dev here0
	ip -n $there addr add 10.99.0.2/24 dev there0
	ip -n $here link set here0 up
	ip -n $there link set there0 up
	for port in 5201 5202; do
		ip netns exec $here iperf3 -s -D -p $port -I "$work/$port.pid"
	done
	until ip netns exec $there iperf3 -c 10.99.0.1 -n 1 -p 5201 >"$work/said" &&
		ip netns exec $there iperf3 -c 10.99.0.1 -n 1 -p 5202 >"$work/said"; do
		sleep 0.2
	done
}

# Start what is called so, and wait until it watches.
watch() {
	local program
	case $1 in
	nothing) return ;;
	tcpdump) program=(tcpdump -Z root -i here0 -w /dev/null) ;;
	*) program=(target/release/xdplog here0 --mode "$1" -w /dev/null) ;;
	esac
	ip netns exec $here "${program[@]}" 2>"$work/said" &
	watching=$!
	until grep -q 'logging\|listening on' "$work/said"; do
		kill -0 $watching || { cat "$work/said" >&2; exit 1; }
		sleep 0.05
	done
}

send() { ip netns exec $there iperf3 -c 10.99.0.1 -t "$seconds" -J "$@"; }
udp() { send -u -b 0 -l 64 -p "$1" >"$work/udp-$1"; }
# shellcheck disable=SC2016 # The columns are awk's.
# Datagrams that came as far as UDP, whether a socket had room for them or not.
arrived() { ip netns exec $here awk '/^Udp: [0-9]/ { print $2 + $3 + $4 }' /proc/net/snmp; }
# Percent lost on the way of those that these sent, $1 having arrived before.
lost() {
	local before=$1 after
	after=$(arrived)
	shift
	# iperf3 itself begins with a datagram that it does not count.
	jq -s "map(.end.sum_sent.packets) | add | [0, 100 * (1 - ($after - $before) / .)] | max" "$@"
}

# A round of what is called so, appended to the files of its figures.
measure() {
	local before first
	watch "$1"
	send >"$work/tcp"
	jq '.end.sum_received.bits_per_second / 1e9' "$work/tcp" >>"$work/$1.gbit"
	jq '.end | (.cpu_utilization_percent | .host_total + .remote_total) / 100
		* .sum_sent.seconds / (.sum_received.bytes / 1e9)' "$work/tcp" >>"$work/$1.cpu"
	before=$(arrived)
	udp 5201
	lost "$before" "$work/udp-5201" >>"$work/$1.one"
	before=$(arrived)
	udp 5201 &
	first=$!
	udp 5202
	wait $first
	lost "$before" "$work"/udp-520[12] >>"$work/$1.two"
	before=$(arrived)
	$traffic flood "$kind" $here $there "$seconds"
	jq -n "$seconds * 1e9 / ($(arrived) - $before)" >>"$work/$1.ns"
	stop
}

median() { sort -n "$work/$1" | sed -n "$(((rounds + 1) / 2))p"; }
# A figure of what is called so, as a share of what it is without anybody.
share() { jq -n "$(median "$1.$2") / $(median "nothing.$2")"; }
table() {
	local what name
	printf '| over %s | Gbit/s, one TCP stream | of nothing | CPU s per GB | of nothing | %% of UDP lost, one sender | two senders | ns per packet | of nothing |\n' "$1"
	printf '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n'
	for what in "${all[@]}"; do
		case $what in
		nothing) name=nothing ;;
		tcpdump) name='tcpdump -w' ;;
		*) name="xdplog --mode $what" ;;
		esac
		printf '| %s | %.2f | %.2f | %.2f | %.2f | %.1f | %.1f | %.0f | %.2f |\n' "$name" \
			"$(median "$what.gbit")" "$(share "$what" gbit)" \
			"$(median "$what.cpu")" "$(share "$what" cpu)" \
			"$(median "$what.one")" "$(median "$what.two")" \
			"$(median "$what.ns")" "$(share "$what" ns)"
	done
}

for kind in "$@"; do
	put_up "$kind"
	for ((round = 0; round < rounds; round++)); do
		for what in "${all[@]}"; do measure "$what"; done
	done
	take_down
	table "$kind"
	rm -f "$work"/*
done
