#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 'vdpa dev vstats show' on the simulator's devices: what each virtqueue of the network device has
# done, with the installed vdpa tool and, if VDPA names one, another. Both drop what the kernel tells
# of a block device; introspection.c tests that.
. "$(dirname "$0")/lib.sh"
. "$dir/disk.sh"

need_root
need vdpa ip
modprobe -qn virtio_vdpa || skip_all "no module virtio_vdpa"
[ -x "$out/guest_frames" ] || skip_all "guest_frames isn't built"
mac=52:54:76:00:00:01
other=52:54:76:00:00:99
trap 'vdpa dev del vs0 2> /dev/null; modprobe -rq virtio_vdpa' EXIT

t() { echo "$version: $*"; }
# stat QUEUE NAME: a number, as the tool prints it.
stat() { $v dev vstats show vs0 qidx "$1" | grep -oE "\\b$2 [0-9]+" | sed 's/.* //'; }
# stats QUEUE NAME...: several.
stats() {
	local queue=$1 name values=()
	shift
	for name in "$@"; do values+=("$name=$(stat "$queue" "$name")"); done
	echo "${values[@]}"
}
# frames MAC COUNT: sends frames of 114 bytes.
frames() { "$out/guest_frames" "$net" "$2" "$1" > /dev/null; }

test_tool() {
	local v=$1 version net i
	version=$($v -V | sed 's/.*iproute2-//')

	check "$(t "a device")" "$v" dev add name vs0 mgmtdev vdpasim_net mac $mac
	for i in 0 1 2; do
		note "$($v dev vstats show vs0 qidx $i)"
	done
	net=$(ls /sys/bus/vdpa/devices/vs0/virtio*/net)
	equal "$(t "receive queue, nothing yet")" "packets=0 bytes=0 errors=0 drops=0" \
		"$(stats 0 packets bytes errors drops)"
	equal "$(t "transmit queue, nothing yet")" "packets=0 bytes=0 errors=0 filtered=0" \
		"$(stats 1 packets bytes errors filtered)"
	equal "$(t "control queue, nothing yet")" "commands=0 successes=0" "$(stats 2 commands successes)"

	ip link set "$net" up
	frames $mac 8
	equal "$(t "8 frames sent")" "packets=8 bytes=912 errors=0 filtered=0" \
		"$(stats 1 packets bytes errors filtered)"
	equal "$(t "8 frames received")" "packets=8 bytes=912 errors=0 drops=0" \
		"$(stats 0 packets bytes errors drops)"
	frames $other 5
	equal "$(t "5 frames for somebody else")" "packets=13 bytes=1482 errors=0 filtered=5" \
		"$(stats 1 packets bytes errors filtered)"
	equal "$(t "these aren't received")" "packets=8 bytes=912 errors=0 drops=0" \
		"$(stats 0 packets bytes errors drops)"
	check "$(t "another address")" ip link set "$net" address 52:54:76:00:00:02
	equal "$(t "one command")" "commands=1 successes=1" "$(stats 2 commands successes)"
	refuse "$(t "a bad address")" . ip link set "$net" address 01:00:00:00:00:00

	# They outlive the driver, and its resets.
	echo vs0 > /sys/bus/vdpa/drivers/virtio_vdpa/unbind
	equal "$(t "unbound")" "packets=13 bytes=1482 errors=0 filtered=5" \
		"$(stats 1 packets bytes errors filtered)"

	contains "$(t "type of queue 0")" 'queue_type rx' "$($v dev vstats show vs0 qidx 0)"
	contains "$(t "type of queue 1")" 'queue_type tx' "$($v dev vstats show vs0 qidx 1)"
	contains "$(t "JSON")" '^\{"vstats":\{"vs0":\{.*"packets":13,"bytes":1482,"errors":0,"filtered":5\}\}\}$' \
		"$($v -j dev vstats show vs0 qidx 1)"
	# An older tool doesn't fail, though it says that it did.
	contains "$(t "no such queue")" 'virtqueue|Invalid' "$($v dev vstats show vs0 qidx 3 2>&1)"
	contains "$(t "no such queue, far off")" 'virtqueue|Invalid' "$($v dev vstats show vs0 qidx 4294967295 2>&1)"
	contains "$(t "no such device")" 'No such' "$($v dev vstats show nobody qidx 0 2>&1)"
	check "$(t "del")" "$v" dev del vs0
}

# The tool says nothing of a disk's requests, and doesn't fail; debugfs has them.
test_disk() {
	local v=$1 version node i
	version=$($v -V | sed 's/.*iproute2-//')

	check "$(t "a disk")" "$v" dev add name vs0 mgmtdev vdpasim_blk
	for i in 0 1 2 3; do
		contains "$(t "a disk's queue $i")" '^vs0: *$' "$($v dev vstats show vs0 qidx $i)"
	done
	equal "$(t "a disk, JSON")" '{"vstats":{"vs0":{}}}' "$($v -j dev vstats show vs0 qidx 0)"
	for i in 4 65536 4294967295; do
		contains "$(t "a disk has no queue $i")" 'virtqueue|Invalid' "$($v dev vstats show vs0 qidx $i 2>&1)"
	done
	node=$(disk_of vs0) || fail "$(t "there is a disk")"
	check "$(t "write")" dd if=/dev/zero of="$node" bs=64k count=3 oflag=direct
	equal "$(t "a disk's statistics in debugfs")" "196608 bytes written" "$(awk '
		$2 == "bytes_written" { n += $3 } END { print n " bytes written" }' /sys/kernel/debug/vdpa/vs0/statistics)"
	check "$(t "del a disk")" "$v" dev del vs0
}

tap_begin
sim_load
modprobe -q vdpa_sim_blk || skip_all "no module vdpa_sim_blk"
modprobe -rq vhost_vdpa
modprobe virtio_vdpa
modprobe -q virtio_blk
# No frames but those of the test.
[ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
for tool in vdpa $([ "$VDPA" = vdpa ] || echo "$VDPA"); do
	test_tool "$tool"
	test_disk "$tool"
done
tap_end
