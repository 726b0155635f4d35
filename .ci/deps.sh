#!/bin/sh
# Install what building and testing take and this machine lacks: Debian, Ubuntu and
# Fedora, as root or with sudo. Nothing is done where nothing lacks, and nothing is
# printed to stdout, which is data's.
#
#   .ci/deps.sh GROUP...     see the first column below; `build` goes with each
set -eu

# Groups; a command, or a header in <>; the package that brings it on Debian and on
# Fedora. "a/b" is the first of these that the system knows, "-" none.
table='
build          gcc                 gcc                        gcc
build          <stdio.h>           libc6-dev                  glibc-devel
build          clang               clang                      clang
build          <libelf.h>          libelf-dev                 elfutils-libelf-devel
build          <zlib.h>            zlib1g-dev                 zlib-devel
build          pkg-config          pkg-config                 pkgconf-pkg-config
build          make                make                       make
demo,test      ip                  iproute2                   iproute
test,vmlinux   bpftool             bpftool/linux-tools-generic bpftool
test           capsh               libcap2-bin                libcap
test           tcpdump             tcpdump                    tcpdump
test           dumpcap             wireshark-common           wireshark-cli
test           capinfos            wireshark-common           wireshark-cli
test           tshark              tshark                     wireshark-cli
test           jq                  jq                         jq
test           zstd                zstd                       zstd
test           man                 man-db                     man-db
test           mandoc              mandoc                     mandoc
test           wg                  wireguard-tools            wireguard-tools
lint           clang-format        clang-format               clang-tools-extra
lint           shellcheck          shellcheck                 ShellCheck
hosts          iperf3              iperf3                     iperf3
fuzz           g++                 g++                        gcc-c++
kernels        qemu-system-x86_64  qemu-system-x86            -
kernels        busybox             busybox-static             -
kernels        cpio                cpio                       -
kernels        xz                  xz-utils                   -
kernels        depmod              kmod                       -
kernels        mkfs.ext4           e2fsprogs                  -
kernels        clang-19            clang-19                   -
xdpdump        xdpdump             xdp-tools                  -
rust           curl                curl                       curl
fresh          git                 git                        git
fresh          mmdebstrap          mmdebstrap                 mmdebstrap
fresh          setpriv             util-linux                 util-linux
'
# For edition 2024, and what the dependencies ask for.
RUST=1.88

say() { echo "deps: $*" >&2; }
fail() { say "$*"; exit 1; }
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }
there() {
	case $1 in
	"<"*) echo "#include $1" | gcc -E -x c - >/dev/null 2>&1 ;;
	*) has "$1" ;;
	esac
}

# Rows of the groups that are wanted whose command or header is not here.
lacking() {
	echo "$table" | while read -r groups probe debian fedora; do
		for group in $wanted; do
			case ,$groups, in
			*,"$group",*) there "$probe" || echo "$probe $debian $fedora" ;;
			esac
		done
	done
}
words() { sort -u | paste -s -d ' '; }

log=
trap '[ -z "$log" ] || rm -f "$log"' EXIT
# What an installer says is worth reading only where it fails.
quietly() {
	"$@" >"$log" 2>&1 </dev/null && return
	tail -n 8 "$log" >&2
	return 1
}

# The first package of each "a/b" that apt can install, and "a" where its lists have
# none of them, as those of a new machine.
known() {
	for alternatives; do
		best=
		for package in $(echo "$alternatives" | tr / ' '); do
			if apt-cache show "$package" 2>/dev/null | grep -q '^Filename'; then best=${best:-$package}; fi
		done
		echo "${best:-${alternatives%%/*}}"
	done | words
}

# Install what these rows name.
install_all() {
	names=$(echo "$1" | cut -d ' ' -f 1 | words)
	if has apt-get; then
		column=2 installer="apt-get install"
	elif has dnf; then
		column=3 installer="dnf install"
	else
		fail "not found: $names; and neither apt-get nor dnf. Next: install what brings these, then try again"
	fi
	wants=$(echo "$1" | cut -d ' ' -f "$column" | grep -vx -- - | words)
	packages=$wants
	# shellcheck disable=SC2086 # Words.
	! has apt-get || packages=$(known $wants)
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		has sudo || fail "not found: $names; and no sudo. Next: as root, $installer $packages; then try again"
	fi
	say "not found: $names. Installing: $packages"
	log=$(mktemp)
	# shellcheck disable=SC2086 # Words.
	if has apt-get; then
		quietly $sudo apt-get update -q || say "going on with the lists of packages that are there"
		packages=$(known $wants)
		set -- env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ca-certificates $packages
	else
		set -- dnf install -y $packages
	fi
	quietly $sudo "$@" ||
		fail "cannot install them, see above. Next: as root, $installer $packages; then try again"
	names=$(lacking | cut -d ' ' -f 1 | words)
	[ -z "$names" ] || fail "still not found: $names. Next: install what brings these, then try again"
}

# As rustup's own settings for shells have it, which a shell may not have read yet.
bin=${CARGO_HOME:-$HOME/.cargo}/bin
case :$PATH: in
*:"$bin":*) ;;
*) PATH="$bin:$PATH" ;;
esac
cargo_here() { cargo --version 2>/dev/null | cut -d ' ' -f 2; }
new_enough() {
	[ -n "$(cargo_here)" ] && [ "$(printf '%s\n%s\n' "$RUST" "$(cargo_here)" | sort -V | head -n 1)" = "$RUST" ]
}

install_rust() {
	here=$(cargo_here)
	by_hand="Next: install Rust $RUST or newer as https://rustup.rs says, then try again"
	say "cargo: ${here:-not found}, and $RUST or newer is needed. Installing Rust with rustup"
	if has rustup; then
		rustup toolchain install stable --profile minimal -c rustfmt -c clippy >&2 ||
			fail "rustup cannot install Rust, see above. $by_hand"
		# Whoever has a default toolchain keeps it.
		if rustup default >/dev/null 2>&1; then
			fail "your default toolchain stays what it is, and is too old. Next: RUSTUP_TOOLCHAIN=stable make"
		fi
		rustup default stable >&2
	else
		script=$(curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs) ||
			fail "cannot get rustup, see above. $by_hand"
		# Debian's own cargo may be there, too old, which rustup asks about.
		echo "$script" | sh -s -- -y --profile minimal -c rustfmt -c clippy >&2 ||
			fail "rustup cannot install Rust, see above. $by_hand"
	fi
	new_enough || fail "$(command -v cargo) comes first in PATH, and is too old. Next: put $bin before it, then try again"
}

wanted="build $*"
new_enough || has rustup || wanted="$wanted rust"
case " $wanted " in
*" kernels "*)
	if ! has dpkg-deb || [ "$(uname -m)" != x86_64 ]; then
		fail "other kernels are tested on Debian, on x86-64, only"
	fi
	;;
esac
missing=$(lacking)
[ -z "$missing" ] || install_all "$missing"
new_enough || install_rust
