#!/bin/sh
# What a build says that lacks something: packages and the command that gets them,
# within a screen. deps.sh is run where there is nothing but what it itself takes,
# and the build script, which has to be built, with a compiler that is not there.
set -eu
cd "$(dirname "$0")/.."
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
fail() {
	echo "missing.sh: $*; it says:" >&2
	cat "$here/said" >&2
	exit 1
}
# Run it to its failure, and look for words in what it says.
says() {
	command=$1
	shift
	if eval "$command" >"$here/stdout" 2>"$here/said"; then fail "$command succeeds"; fi
	[ ! -s "$here/stdout" ] || fail "$command prints to stdout"
	[ "$(wc -l <"$here/said")" -le 24 ] || fail "$command takes more than a screen"
	for words; do
		grep -qF -- "$words" "$here/said" || fail "$command does not say: $words"
	done
}

mkdir "$here/bin" "$here/out"
for tool in sh cat cut env grep id mktemp paste printf rm sort tail tr uname; do
	ln -s "$(command -v "$tool")" "$here/bin/$tool"
done
deps="env -i PATH=$here/bin HOME=$here sh .ci/deps.sh"
says "$deps build" "not found: <libelf.h>" clang "neither apt-get nor dnf" "Next: "

echo 'echo "E: no network"; exit 100' >"$here/bin/apt-get"
echo 'echo Filename: it' >"$here/bin/apt-cache"
chmod +x "$here/bin/apt-get" "$here/bin/apt-cache"
# Who has no root is asked for it.
ln -s "$(command -v env)" "$here/bin/sudo"
says "$deps lint" "E: no network" \
	"Next: as root, apt-get install clang clang-format curl gcc libc6-dev libelf-dev make pkg-config shellcheck zlib1g-dev"

# The newest; cargo reads what it prints to stdout.
script=$(find target/debug/build/xdplog-*/build-script-build -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
export OUT_DIR="$here/out" CLANG="$here/clang"
build() { CARGO_CFG_TARGET_ARCH=$1 "$script" >"$here/cargo"; }
says "build pdp11" "vmlinux/pdp11/vmlinux.h is missing" "Next: "
says "build $(uname -m)" "cannot run $CLANG" "Next: \`make deps\`" "apt-get install clang"
echo "missing.sh: each tells what gets it"
