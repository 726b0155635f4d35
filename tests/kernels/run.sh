#!/usr/bin/env bash
# `make test-kernels`: boot each kernel of kernels.txt under QEMU, emulated, and
# run the tests in it, the very binaries that cargo built here. At the end, for
# each kernel and compiler, how many instructions the verifier looked at.
# Debian on x86-64.
set -euo pipefail
cd "$(dirname "$0")/../.."
me="test-kernels"
. tests/kernels/machine.sh
# To switch threads in the middle of a BPF program, too (interleave).
parameters=preempt=full

version() { "$1" --version | sed -n 's/.*clang version \([0-9]*\)\..*/\1/p'; }

# Build tests: a line for each binary with its kind, name and path.
build() {
	"$cargo" test --locked --no-run --message-format=json-render-diagnostics "$@" |
		sed -n 's/.*"target":{"kind":\["\([a-z]*\)"\][^}]*"name":"\([^"]*\)".*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*/\1 \2 \3/p'
}

# What the verifier looks at on this kernel. Leaves the tests' own BPF programs
# in $work/objects, as the machines have no compiler.
verified_here() {
	if ! XDPLOG_TEST_OBJECTS=$work/objects \
		"$cargo" test --locked --test verifier -- --show-output >"$work/out"; then
		cat "$work/out" >&2
		return 1
	fi
	sed -n 's/^verified: //p' "$work/out"
}

# Tests that are left out, each with why.
left_out() { sed '/^#/d; /^$/d' "$here/left-out.txt"; }

check_left_out() {
	local test why file
	while read -r test why; do
		file=tests/${test%%::*}.rs
		if [ ! -e "$file" ] || { [[ $test = *::* ]] && ! grep -q "fn ${test##*::}(" "$file"; }; then
			say "left-out.txt: there is no $test"
			exit 1
		fi
		say "left out: $test: $why"
	done < <(left_out)
}

# A binary's tests but for those that are left out, and what is to come of them.
add_suite() {
	local compiler=$1 name=$2 path=$3 args=(--exact --test-threads 1) test
	while read -r test _; do
		[ "$test" != "$name" ] || return 0
		[ "${test%%::*}" != "$name" ] || args+=(--skip "${test#*::}")
	done < <(left_out)
	[ "$name" != verifier ] || args+=(--show-output)
	[ "$name" != machine ] || args+=(--include-ignored)
	add_program "$path" "suites/$compiler/$name"
	# What a debugger needs is most of it, and does not fit into the memory.
	strip --strip-debug "$root/suites/$compiler/$name"
	echo "$compiler $name ${args[*]}" >>"$root/list"
	echo "suite $compiler $name 0 $("$path" --list "${args[@]}" | grep -c ': test$')" >>"$work/expected"
}

boot() {
	local release=${1#linux-image-} results=$work/$1 begun=$SECONDS failed compiler insns passed
	say "$release: booting, $cpus CPUs"
	: >"$results"
	run_machine "$1" "$results"
	sed -i 's/\r$//' "$results"
	while read -r compiler insns; do
		passed=$(awk -v c="$compiler" '$1 == "suite" && $2 == c && $4 == 0 { n += $5 } END { print n + 0 }' "$results")
		row "$release" "$compiler" "$insns" "$passed passed, $cpus CPUs"
	done < <(sed -n 's/^verified //p' "$results")
	# All that was expected came, and as expected.
	failed=$(comm -23 <(sort "$work/expected") <(sort "$results") | tr '\n' ',')
	passed=$(awk '$1 == "suite" { n += $5 } END { print n + 0 }' "$results")
	say "$release: $passed passed in $((SECONDS - begun)) s${failed:+, but not as expected: $failed}"
	[ -z "$failed" ]
}

row() { printf '%-26s  clang %-3s  %8s  %s\n' "$@" >>"$work/table"; }

check_left_out
mkdir -p "$work/objects"
main=$(version "${CLANG:-clang}")
say "building with clang $main and clang 19"
build >"$work/built"
insns=$(verified_here)
row "$(uname -r)" "$main" "$insns" "make test"
# Beside each other, so that neither is built anew for the other's sake; what does
# not depend on the compiler of C is copied, and cargo finds it fresh.
if [ ! -d target/clang-19 ]; then
	mkdir -p "$work/clang-19/debug"
	cp -a --reflink=auto target/debug/{.fingerprint,build,deps} "$work/clang-19/debug"
	mv "$work/clang-19" target/clang-19
fi
(
	export CLANG=clang-19 CARGO_TARGET_DIR=target/clang-19
	build --test parser --test verifier >"$work/built-19"
	insns=$(verified_here)
	row "$(uname -r)" 19 "$insns" "make test"
)

add_base
# Where the tests look for them: it is compiled into them.
add_program target/debug/xdplog "$PWD/target/debug/xdplog"
strip --strip-debug "$root$PWD/target/debug/xdplog"
for dir in tests benches; do
	mkdir "$root$PWD/$dir"
	cp -r "$dir/bpf" "$root$PWD/$dir/"
done
cp -r "$work/objects" "$root/objects"
echo "cpus $cpus" >"$work/expected"
while read -r kind name path; do
	case $kind in
	lib) add_suite "$main" unit "$path" ;;
	test) add_suite "$main" "$name" "$path" ;;
	esac
done <"$work/built"
while read -r kind name path; do
	[ "$kind" != test ] || add_suite 19 "$name" "$path"
done <"$work/built-19"
echo "done" >>"$work/expected"

images=()
while read -r package; do
	image=$(fetch "$package")
	add_modules "$image"
	images+=("$image")
done < <(sed '/^#/d; /^$/d' "$here/kernels.txt")
pack_root

# As many at once as there are CPUs to emulate them.
for image in "${images[@]}"; do
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n || true
	{ boot "$image" && touch "$work/$image.ok"; } &
done
wait
printf '%-26s  %-9s  %8s  %s\n' kernel compiler verified tests
sort -V "$work/table"
for image in "${images[@]}"; do
	[ -e "$work/$image.ok" ] || { say "FAILED"; exit 1; }
done
