# shellcheck shell=bash
# To boot Debian's kernels under QEMU, emulated, with a root file system in
# memory. For bash, in the repository's root, with `me` set to a name; what runs
# in the machine is what $root/list says (init).
here=tests/kernels
cache=target/kernels
# More than most machines that this is developed on have.
cpus=8
# Seconds for one kernel.
patience=2700
# More for the kernel's command line.
parameters=
# More for QEMU's.
devices=()
# Bytes a second that its disk takes.
disk=200000
# As modprobe knows them; what they depend on comes with them.
modules=(veth tun ipip ip_gre sit wireguard af_packet virtio_pci virtio_blk ext4)
# What is started there and busybox lacks; those that this machine has.
programs=(bash bpftool capsh ip jq nohup tcpdump unshare wg zstd)

say() { echo "${me:?}: $*" >&2; }
# shellcheck disable=SC2034 # For who includes this.
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

# A program with the libraries it takes, to the machines' file system.
add_program() {
	install -D "$1" "$root/$2"
	{ ldd "$1" 2>/dev/null || true; } | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' |
		while read -r library; do
			[ -e "$root$library" ] || install -D "$library" "$root$library"
		done
}

# What every machine has.
add_base() {
	local program path
	mkdir -p "$root/bin"
	install "$here/init" "$root/init"
	add_program "$(command -v busybox)" busybox/busybox
	ln -s /busybox/busybox "$root/bin/sh"
	for program in "${programs[@]}"; do
		if path=$(command -v "$program"); then add_program "$path" "bin/$program"; fi
	done
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
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r path; do
		n=$((n + 1))
		case $path in
		*.xz) xz -dc "$path" ;;
		*.zst) zstd -dcq "$path" ;;
		*) cat "$path" ;;
		esac >"$root/modules/$release/$n.ko"
	done
}

# An empty disk.
make_disk() {
	truncate -s 256M "$1"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1"
}

pack_root() {
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initramfs"
}

# Boot a kernel that was fetched; what init sends apart goes to the file $2.
# One thread emulates all CPUs of a machine: with one for each, QEMU 7.2 ran
# into a breakpoint in code that Linux 6.12 had just patched, and that was it. The
# TSC is the real machine's, and good. To clear each page that is handed out takes
# longer in emulation than all else. A warning of the kernel's is a failure.
run_machine() {
	local release=${1#linux-image-}
	make_disk "$2.disk"
	timeout "$patience" qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max \
		-smp "$cpus" -m 3G -nodefaults -no-reboot -display none -pidfile "$2.pid" \
		-kernel "$cache/$1/boot/vmlinuz-$release" -initrd "$work/initramfs" \
		-append "console=ttyS0 xdplog_tests quiet panic=-1 oops=panic panic_on_warn=1 tsc=reliable init_on_alloc=0 $parameters" \
		-drive "file=$2.disk,format=raw,if=virtio,throttling.bps-write=$disk" \
		"${devices[@]}" -serial stdio -serial "file:$2" </dev/null |
		sed -u "s/\r$//; s/^/${release%-cloud-*}: /" | tee "$cache/$release.log" || true
}
