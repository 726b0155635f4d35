#!/usr/bin/env bash
# `make test-fresh`: the README's two commands on machines where nothing was
# prepared. For each suite of suites.txt (or of the arguments) a bare root of
# Debian is unpacked and entered, with HEAD cloned into it; this machine lends its
# kernel, its network and its Rust toolchain, and nothing else. Roots are kept in
# target/fresh for the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$PWD/target/fresh
say() { echo "test-fresh: $*" >&2; }
fail() { say "$*"; exit 1; }

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin:/sbin"
toolchain=$(rustc --print sysroot)

mkdir -p "$cache"
# A run that was killed left its directory; whoever lives holds its lock.
for old in "$cache"/run.*; do
	[ ! -e "$old/lock" ] || ! flock --nonblock "$old/lock" true || $sudo rm -rf --one-file-system "$old"
done
work=$(mktemp -d "$cache/run.XXXXXX")
exec {lock}>"$work/lock"
flock "$lock"

child=
trying=
clean_up() {
	[ -z "$trying" ] || say "$trying: FAILED"
	# With unshare its PID namespace goes, and with that all mounts and network
	# namespaces that were made in there.
	[ -z "$child" ] || $sudo kill -s KILL -- "-$child" 2>/dev/null || true
	wait 2>/dev/null
	# What was killed may take a moment to be gone.
	for _ in 1 2 3 4 5; do
		$sudo rm -rf --one-file-system "$work" 2>/dev/null && break
		sleep 1
	done
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Run a command as root and wait for it, in a group of its own that `clean_up` can
# end, and with Ctrl-C as a shell at a terminal hands it on: not ignored.
attend() {
	local status=0
	env --default-signal=INT,QUIT setsid $sudo setpriv --pdeathsig KILL "$@" </dev/null {lock}>&- &
	child=$!
	wait "$child" 2>/dev/null || status=$?
	child=
	return "$status"
}

# How this machine's apt reaches its mirrors: proxies, time-outs, certificates.
apt-config dump | grep '^Acquire::' >"$work/apt.conf" || true

# A bare root of a suite, as a tar in the cache.
fetch() {
	[ ! -e "$cache/$1.tar" ] || return 0
	say "$1: making a bare root"
	attend mmdebstrap --quiet --variant=minbase --include=ca-certificates,make,git \
		--aptopt="$work/apt.conf" "$1" "$work/$1.tar"
	mv "$work/$1.tar" "$cache/$1.tar"
}

# What a new machine is given by who sets up its network.
lend_network() {
	local root=$1 bundle
	for file in resolv.conf hosts; do
		[ ! -e "/etc/$file" ] || $sudo cp -L --remove-destination "/etc/$file" "$root/etc/$file"
	done
	# Certificate authorities of this network's own.
	for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
		[ ! -f "$bundle" ] || { $sudo cp -L "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"; break; }
	done
	$sudo cp "$work/apt.conf" "$root/etc/apt/apt.conf.d/99mmdebstrap"
	for file in "${CARGO_HOME:-$HOME/.cargo}"/config{,.toml}; do
		[ ! -f "$file" ] || $sudo cp -L "$file" "$root/cargo-config.toml"
	done
}

try() {
	local suite=$1 who=$2 root=$work/$1 values
	trying="$suite as $who"
	fetch "$suite"
	mkdir -p "$root"
	$sudo tar -x --numeric-owner --xattrs -f "$cache/$suite.tar" -C "$root"
	git clone -q . "$work/clone"
	$sudo mv "$work/clone" "$root/clone"
	lend_network "$root"
	$sudo cp tests/fresh/inside.sh "$root/inside.sh"
	mapfile -t values < <(env | grep -iE '^(https?|ftp|all|no)_proxy=|^CARGO_(HTTP|NET|REGISTR)' || true)
	say "$trying"
	attend unshare --mount --pid --fork --kill-child \
		bash tests/fresh/enter.sh "$root" "$toolchain" bash /inside.sh "$who" "${values[@]}"
	echo "test-fresh: $trying: $(cat "$root/passed")" >>"$work/table"
	trying=
	$sudo rm -rf --one-file-system "$root"
}

[ -z "$(git status --porcelain)" ] || say "what is not committed is not in it"
mapfile -t suites < <(sed '/^#/d; /^$/d' tests/fresh/suites.txt)
for line in "${suites[@]}"; do
	read -r suite who <<<"$line"
	[ $# = 0 ] || [[ " $* " = *" $suite "* ]] || continue
	try "$suite" "$who"
done
[ -e "$work/table" ] || fail "suites.txt has no $*"
cat "$work/table"
