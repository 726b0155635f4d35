#!/usr/bin/env bash
# `make test-kernels`: boot each kernel of kernels.txt under QEMU, emulated, and
# run the tests in it, the very binaries that cargo built here. At the end, for
# each kernel and compiler, how many instructions the verifier looked at.
# Debian on x86-64.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/kernels
cache=target/kernels
# More than most machines that this is developed on have.
cpus=8
# Seconds for one kernel.
patience=1800
# As modprobe knows them; what they depend on comes with them.
modules=(veth)
# What tests start and busybox lacks; those that this machine has.
programs=(bash bpftool capsh ip jq nohup tcpdump zstd)

say() { echo "test-kernels: $*" >&2; }
cargo=$(command -v cargo || echo "$HOME/.cargo/bin/cargo")
export PATH="$PATH:/usr/sbin:/sbin"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

mkdir -p "$cache"
work=$(mktemp -d "$PWD/$cache/work.XXXXXX")
root=$work/root
clean_up() {
	for pid in "$work"/*.pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" || true
	done
	wait
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

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

# A program with the libraries it takes, to the machines' file system.
add_program() {
	install -D "$1" "$root/$2"
	{ ldd "$1" 2>/dev/null || true; } | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' |
		while read -r library; do
			[ -e "$root$library" ] || install -D "$library" "$root$library"
		done
}

# A binary's tests but for those that are left out, and what is to come of them.
add_suite() {
	local compiler=$1 name=$2 path=$3 args=(--exact) test
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

# The package that a line of kernels.txt stands for.
resolve() {
	local image
	image=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
	echo "${image:-$1}"
}

# Have it in the cache, unpacked; its name there.
fetch() {
	local image
	if ! image=$(resolve "$1") || [ ! -d "$cache/$image" ]; then
		# What was the newest when the lists were made may be gone.
		$sudo apt-get update -q >&2
		image=$(resolve "$1")
		mkdir "$work/deb"
		(cd "$work/deb" && apt-get download -q -o APT::Sandbox::User=root "$image" >&2)
		dpkg-deb -x "$work"/deb/*.deb "$work/kernel"
		depmod -b "$work/kernel" "${image#linux-image-}"
		rm -r "$work/deb"
		mv "$work/kernel" "$cache/$image"
	fi
	echo "$image"
}

add_modules() {
	local release=${1#linux-image-} n=10 path
	mkdir -p "$root/modules/$release"
	# In the order in which they are to be loaded.
	modprobe -d "$PWD/$cache/$1" -S "$release" --show-depends -a "${modules[@]}" |
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r path; do
		n=$((n + 1))
		case $path in
		*.xz) xz -dc "$path" ;;
		*.zst) zstd -dcq "$path" ;;
		*) cat "$path" ;;
		esac >"$root/modules/$release/$n.ko"
	done
}

# One thread emulates all CPUs of a machine: with one for each, QEMU 7.2 ran
# into a breakpoint in code that Linux 6.12 had just patched, and that was it. The
# TSC is the real machine's, and good. To clear each page that is handed out takes
# longer in emulation than all else. A warning of the kernel's is a failure.
boot() {
	local release=${1#linux-image-} results=$work/$1 begun=$SECONDS failed compiler insns passed
	say "$release: booting, $cpus CPUs"
	: >"$results"
	timeout "$patience" qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max \
		-smp "$cpus" -m 3G -nodefaults -no-reboot -display none -pidfile "$results.pid" \
		-kernel "$cache/$1/boot/vmlinuz-$release" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 oops=panic panic_on_warn=1 tsc=reliable init_on_alloc=0" \
		-serial stdio -serial "file:$results" </dev/null |
		sed -u "s/\r$//; s/^/${release%-cloud-*}: /" | tee "$cache/$release.log" || true
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
mkdir -p "$work/objects" "$root/bin"
main=$(version "${CLANG:-clang}")
say "building with clang $main and clang 19"
build >"$work/built"
insns=$(verified_here)
row "$(uname -r)" "$main" "$insns" "make test"
(
	export CLANG=clang-19 CARGO_TARGET_DIR=target/clang-19
	build --test parser --test verifier >"$work/built-19"
	insns=$(verified_here)
	row "$(uname -r)" 19 "$insns" "make test"
)

install "$here/init" "$root/init"
add_program "$(command -v busybox)" busybox/busybox
ln -s /busybox/busybox "$root/bin/sh"
for program in "${programs[@]}"; do
	if path=$(command -v "$program"); then add_program "$path" "bin/$program"; fi
done
# Where the tests look for them: it is compiled into them.
add_program target/debug/xdplog "$PWD/target/debug/xdplog"
strip --strip-debug "$root$PWD/target/debug/xdplog"
mkdir "$root$PWD/tests"
cp -r tests/bpf "$root$PWD/tests/"
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
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initramfs"

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
