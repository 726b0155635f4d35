#!/bin/sh
# Each command in the README's shell blocks is listed here with where it is
# run; one that is not listed fails.
set -eu
cd "$(dirname "$0")/.."
unknown=$(awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on && NF' README.md |
	sed 's/ *#.*//; /^$/d' |
	while IFS= read -r command; do
		case $command in
		# .ci/run
		"make run" | "make run IFACE="* | "make deps" | "make test-fresh" | "make test" | "make demo" | "make lint" | \
			"make test-kernels" | "make soak" | "make bench" | "make bench-short" | "make bench-xdpdump" | "make bench-host" | "make bench-host-vm" | \
			"make fuzz" | "make fuzz "* | \
			"make build" | "make install" | "make uninstall" | "make man" | "make vmlinux") ;;
		# tests/readme.rs runs every xdplog line of the README.
		"sudo xdplog" | "sudo xdplog "* | "sudo ./target/release/xdplog "*) ;;
		*) echo "$command" ;;
		esac
	done)
[ -z "$unknown" ] || { printf 'README has commands that nothing runs:\n%s\n' "$unknown" >&2; exit 1; }
echo "README: all its commands are run"
