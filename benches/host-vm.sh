#!/usr/bin/env bash
# `make bench-host-vm`: what benches/host.sh measures, on a tap and on two cards of
# virtio that QEMU joins, in a virtual machine with the first kernel of
# tests/kernels/kernels.txt. It is emulated: only ratios say something, and of a
# network only those two cards know. Debian on x86-64.
set -euo pipefail
cd "$(dirname "$0")/.."
me="bench-host-vm"
. tests/kernels/machine.sh
cpus=2
patience=900
modules+=(virtio_net)
programs+=(iperf3)
parameters="ROUNDS=${ROUNDS:-3} SECONDS_EACH=${SECONDS_EACH:-2}"
for end in a b; do
	devices+=(-netdev "hubport,id=$end,hubid=0"
		-device "virtio-net-pci,netdev=$end,mac=02:00:00:00:00:0$end,romfile=")
done

add_base
# What the script asks for, where it asks for it.
add_program "$(command -v bash)" suites/none/bash
for path in benches/host.sh target/release/xdplog target/debug/examples/traffic; do
	add_program "$path" "$path"
done
strip --strip-debug "$root/target/debug/examples/traffic"
# tcpdump looks its user up, also where that is to stay what it is.
install -D /dev/stdin "$root/etc/passwd" <<<root:x:0:0:root:/:/bin/sh
echo "none bash /benches/host.sh ${KINDS:-tap virtio}" >"$root/list"
image=$(fetch "$(sed '/^#/d; /^$/d' "$here/kernels.txt" | head -n 1)")
add_modules "$image"
pack_root
say "booting ${image#linux-image-}, $cpus CPUs"
# In the background, as a signal waits for what is in the foreground to end.
run_machine "$image" "$work/results" &
wait $!
if ! tr -d '\r' <"$work/results" | grep -q '^suite none bash 0 '; then
	say "FAILED: see $cache/${image#linux-image-}.log"
	exit 1
fi
