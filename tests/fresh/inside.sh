#!/usr/bin/env bash
# What a stranger does first, in the bare root: the README's two commands, as root
# or as a user with sudo. Prints how long each took, on the last line.
#
#   inside.sh root|user NAME=VALUE...
#
# The values are what the network takes here, beside what is in /etc.
set -euo pipefail
who=$1
shift
say() { echo "test-fresh: $*" >&2; }

home=/root
sbin=/usr/local/sbin:/usr/sbin:/sbin:
as=()
if [ "$who" = user ]; then
	say "installing sudo"
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends sudo >/dev/null
	home=/home/stranger
	sbin=
	useradd -m -s /bin/bash stranger
	echo "stranger ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/stranger
	as=(setpriv --reuid stranger --regid stranger --init-groups)
	chown -R stranger: /clone
fi
mv /clone "$home/xdplog"
cd "$home/xdplog"
# CARGO_HOME is not there yet, but for what says how registries are reached.
if [ -e /cargo-config.toml ]; then
	install -D -m 644 /cargo-config.toml "$home/.cargo/config.toml"
	chown -R --reference=. "$home/.cargo"
fi

run() {
	"${as[@]}" env -i HOME="$home" USER="$who" LANG=C.UTF-8 TERM=dumb \
		PATH="/usr/local/bin:${sbin}/usr/bin:/bin:/opt/rust/bin" "${values[@]}" "$@"
}
values=("$@")
begun=$SECONDS
say "make demo, as $who"
run sh .ci/demo.sh
demo=$((SECONDS - begun))
begun=$SECONDS
say "make test, as $who"
run make test
echo "demo ${demo} s, test $((SECONDS - begun)) s" >/passed
