#!/usr/bin/env bash
# Make a directory the root of this mount and PID namespace, and run the tests in
# it. For run.sh, which makes the namespaces; nothing is mounted anywhere else.
#
#   enter.sh ROOT TOOLCHAIN COMMAND...
set -euo pipefail
root=$1
toolchain=$2
shift 2

# pivot_root(2) takes a mount. With chroot alone, / is none to the kernel, and
# ip-netns(8) cannot change how it propagates.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# With all that is mounted there: groups of processes, terminals.
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir "$root/run/lock"
mkdir -p "$root/opt/rust"
mount --bind "$toolchain" "$root/opt/rust"
mount -o remount,bind,ro "$root/opt/rust"

cd "$root"
pivot_root . mnt
cd /
umount -l /mnt
exec "$@"
