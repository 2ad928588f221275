#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A network device in userspace (vduse_net) for this kernel's own virtio_net: the interface, frames,
# and a daemon that is stopped or killed. It isn't offered the control virtqueue, since virtio_net
# waits for the answer to a command for ever: whatever the daemon does, 'ip link' returns.
#
# Environment: VDPA, another vdpa tool.
. "$(dirname "$0")/lib.sh"

need_root
need ip "$VDPA"
[ -x "$out/vduse_net" ] && [ -x "$out/guest_frames" ] || skip_all "vduse_net or guest_frames isn't built"
modprobe -q vduse || skip_all "no module vduse"
modprobe -qn virtio_vdpa || skip_all "no module virtio_vdpa"

mac=52:54:76:00:00:01
other_mac=52:54:76:00:00:02
work=$(mktemp -d)
daemon=
finish() {
	"$VDPA" dev del ksnet 2> /dev/null
	[ -z "$daemon" ] || kill -9 "$daemon" 2> /dev/null
	modprobe -rq virtio_vdpa
	rm -rf "$work"
}
trap finish EXIT

net_of() { ls /sys/bus/vdpa/devices/ksnet/virtio*/net 2> /dev/null; }
has_net() { [ "$(net_of)" ]; }
# frames MAC: how many of 8 frames to that address come back.
frames() { "$out/guest_frames" "$net" 8 "$1" | sed -n 's/.* sent=8 back=//p'; }
has_feature() { [ "$(cut -c$(($1 + 1)) /sys/bus/vdpa/devices/ksnet/virtio*/features)" = 1 ]; }
lacks_feature() { ! has_feature "$1"; }

# start [ARG...]: a daemon, its device, and the interface.
start() {
	"$out/vduse_net" ksnet $mac "$@" > "$work/daemon" 2>&1 &
	daemon=$!
	wait_for 10 "$VDPA" dev add name ksnet mgmtdev vduse
	wait_for 5 has_net
	net=$(net_of)
}

# soon_since NAME BEGIN: less than 20 s have gone by.
soon_since() { equal "$1" yes "$([ $((SECONDS - $2)) -lt 20 ] && echo yes)"; }

# soon NAME COMMAND...: it returns soon, with whatever status.
soon() {
	local name=$1 begin=$SECONDS
	shift
	"$@" > /dev/null 2>&1
	soon_since "$name" "$begin"
}

tap_begin
modprobe -rq vhost_vdpa
modprobe -rq virtio_vdpa
modprobe virtio_vdpa
start
check "it has an interface" test "$net"
equal "with the address that the daemon has" $mac "$(cat "/sys/class/net/$net/address")"
equal "and the MTU" 1500 "$(cat "/sys/class/net/$net/mtu")"
check "the features: MAC address" has_feature 5
check "not the control virtqueue" lacks_feature 17
check "nor commands to set the address" lacks_feature 23
check "up" ip link set "$net" up
equal "frames to it come back" 8 "$(frames $mac)"
equal "frames to another don't" 0 "$(frames $other_mac)"
equal "broadcast frames come back" 8 "$(frames ff:ff:ff:ff:ff:ff)"

kill -STOP $daemon
soon "stopped: another address" ip link set "$net" address $other_mac
soon "stopped: promiscuous" ip link set "$net" promisc on
soon "stopped: frames are sent" frames $mac
soon "stopped: down" ip link set "$net" down
soon "stopped: up" ip link set "$net" up
begin=$SECONDS
check "stopped: it is deleted" "$VDPA" dev del ksnet
soon_since "stopped: soon" $begin
equal "stopped: the interface is gone" "" "$(net_of)"
# The memory of a device that has been broken is gone, so it may get SIGBUS when it goes on.
kill -9 $daemon
wait $daemon 2> /dev/null

start
check "the next: up" ip link set "$net" up
equal "the next: frames come back" 8 "$(frames $mac)"
kill -9 $daemon
wait $daemon 2> /dev/null
soon "killed: frames are sent" frames $mac
begin=$SECONDS
check "killed: it is deleted" "$VDPA" dev del ksnet
soon_since "killed: soon" $begin
daemon=
tap_end
