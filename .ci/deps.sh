#!/bin/sh
# Install what building and testing take and this machine lacks. Debian,
# Ubuntu and Fedora; as root or with sudo. Does nothing where nothing lacks.
set -eu

# Rust 1.88, for edition 2024 and what the dependencies ask for.
RUST=1.88

say() { echo "deps: $*" >&2; }
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

# With TEST=1 also what tests check the output with, and with BENCH=1 what the
# benchmark measures against; with FUZZ=1 also what compiles libFuzzer.
more=
[ -z "${TEST:-}${BENCH:-}${KERNELS:-}" ] || more="tcpdump dumpcap capinfos tshark jq zstd man mandoc"

# With KERNELS=1 also what boots other kernels; they are Debian's own.
kernels=
[ -z "${KERNELS:-}" ] || kernels="qemu-system-x86_64 busybox cpio xz depmod mkfs.ext4 clang-19"
if [ -n "$kernels" ] && ! { has dpkg-deb && [ "$(uname -m)" = x86_64 ]; }; then
	say "other kernels are tested on Debian, on x86-64, only"
	exit 1
fi

fuzz=
[ -z "${FUZZ:-}" ] || fuzz=g++

# With XDPDUMP=1 also that, which runs in those.
xdpdump=
[ -z "${XDPDUMP:-}" ] || xdpdump=xdpdump

lacking() {
	for tool in $more $kernels $fuzz $xdpdump clang clang-format make gcc pkg-config ip bpftool capsh; do
		has "$tool" || { say "no $tool"; return 0; }
	done
	pkg-config --exists libelf zlib || { say "no libelf or zlib headers"; return 0; }
	return 1
}

if lacking; then
	if has apt-get; then
		export DEBIAN_FRONTEND=noninteractive
		$sudo apt-get update -q
		# Debian has bpftool as a package; Ubuntu among linux-tools.
		bpftool=bpftool
		apt-cache show bpftool 2>/dev/null | grep -q '^Filename' || bpftool=linux-tools-generic
		$sudo apt-get install -y -q --no-install-recommends ca-certificates curl \
			clang clang-format gcc libc6-dev libelf-dev zlib1g-dev pkg-config \
			make iproute2 libcap2-bin "$bpftool" \
			${fuzz:+g++} ${more:+tcpdump wireshark-common tshark jq zstd man-db mandoc} \
			${kernels:+qemu-system-x86 busybox-static cpio xz-utils kmod e2fsprogs clang-19} \
			${xdpdump:+xdp-tools}
	elif has dnf; then
		$sudo dnf install -y curl clang clang-tools-extra gcc elfutils-libelf-devel \
			zlib-devel pkgconf-pkg-config make iproute libcap bpftool \
			${fuzz:+gcc-c++} ${more:+tcpdump wireshark-cli jq zstd man-db mandoc}
	else
		say "neither apt-get nor dnf here. Next: install by hand clang, clang-format, gcc," \
			"libelf and zlib with headers, pkg-config, make, iproute2, capsh, bpftool"
		exit 1
	fi
fi

PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
new_enough() {
	has cargo || return 1
	have=$(cargo --version | cut -d ' ' -f 2)
	[ "$(printf '%s\n%s\n' "$RUST" "$have" | sort -V | head -n 1)" = "$RUST" ]
}
if ! new_enough; then
	say "no cargo $RUST or newer: installing Rust with rustup"
	if has rustup; then
		rustup toolchain install stable --profile minimal -c rustfmt -c clippy
		# Whoever has a default toolchain keeps it.
		if rustup default >/dev/null 2>&1; then
			say "your default toolchain is older. Next: RUSTUP_TOOLCHAIN=stable make"
			exit 1
		fi
		rustup default stable
	else
		curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
			sh -s -- -y --profile minimal -c rustfmt -c clippy
	fi
fi
