#!/usr/bin/env bash
# `make bench-host`: what the host pays while a program watches a veth: the
# throughput of one TCP stream, CPU seconds for a gigabyte of it, and UDP datagrams
# lost with one and two senders. All in turn, some rounds; the table has medians.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-2}
here=xdplog-host-$$-here there=xdplog-host-$$-there
work=$(mktemp -d)
watching=

stop() {
	if [ -n "$watching" ]; then
		kill -TERM "$watching" || true
		wait "$watching" || true
	fi
	watching=
}
clean_up() {
	stop
	for server in "$work"/*.pid; do
		[ ! -e "$server" ] || kill "$(tr -d '\0' <"$server")" || true
	done
	ip netns del $here
	ip netns del $there
	rm -r "$work"
}
trap clean_up EXIT

ip netns add $here
ip netns add $there
ip -n $here link add here0 type veth peer name there0 netns $there
ip -n $here addr add 10.99.0.1/24 dev here0
ip -n $there addr add 10.99.0.2/24 dev there0
ip -n $here link set here0 up
ip -n $there link set there0 up
for port in 5201 5202; do
	ip netns exec $here iperf3 -s -D -p $port -I "$work/$port.pid"
done
sleep 1

# Start what is called so, and wait until it watches.
watch() {
	local program
	case $1 in
	nothing) return ;;
	tcpdump) program=(tcpdump -i here0 -w /dev/null) ;;
	*) program=(target/release/xdplog here0 --mode "$1" -w /dev/null) ;;
	esac
	ip netns exec $here "${program[@]}" 2>"$work/said" &
	watching=$!
	until grep -q 'logging\|listening on' "$work/said"; do
		kill -0 $watching
		sleep 0.05
	done
}

send() { ip netns exec $there iperf3 -c 10.99.0.1 -t "$seconds" -J "$@"; }
udp() { send -u -b 0 -l 64 -p "$1" >"$work/udp-$1"; }
# shellcheck disable=SC2016 # The columns are awk's.
# Datagrams that came as far as a socket, whether it had room for them or not.
arrived() { ip netns exec $here awk '/^Udp: [0-9]/ { print $2 + $4 }' /proc/net/snmp; }
# Percent lost on the way of those that these sent, $1 having arrived before.
lost() {
	local before=$1 after
	after=$(arrived)
	shift
	jq -s "map(.end.sum_sent.packets) | add | 100 * (1 - ($after - $before) / .)" "$@"
}

for ((round = 0; round < rounds; round++)); do
	for what in nothing auto native generic tcpdump; do
		watch $what
		send >"$work/tcp"
		jq '.end.sum_received.bits_per_second / 1e9' "$work/tcp" >>"$work/$what.gbit"
		jq '.end | (.cpu_utilization_percent | .host_total + .remote_total) / 100
			* .sum_sent.seconds / (.sum_received.bytes / 1e9)' "$work/tcp" >>"$work/$what.cpu"
		before=$(arrived)
		udp 5201
		lost "$before" "$work/udp-5201" >>"$work/$what.one"
		before=$(arrived)
		udp 5201 &
		first=$!
		udp 5202
		wait $first
		lost "$before" "$work"/udp-520[12] >>"$work/$what.two"
		stop
	done
done

median() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }
printf '| over veth | Gbit/s, one TCP stream | of nothing | CPU s per GB | %% of UDP lost, one sender | two senders |\n'
printf '| --- | ---: | ---: | ---: | ---: | ---: |\n'
bare=$(median "$work/nothing.gbit")
for what in nothing auto native generic tcpdump; do
	case $what in
	nothing) name=nothing ;;
	tcpdump) name='tcpdump -w' ;;
	*) name="xdplog --mode $what" ;;
	esac
	gbit=$(median "$work/$what.gbit")
	printf '| %s | %.1f | %.2f | %.2f | %.1f | %.1f |\n' "$name" "$gbit" \
		"$(jq -n "$gbit / $bare")" "$(median "$work/$what.cpu")" \
		"$(median "$work/$what.one")" "$(median "$work/$what.two")"
done
