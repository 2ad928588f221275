#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# virtio_vdpa: the simulator's network device under this kernel's own virtio_net. Which bus driver
# takes a device; the MAC address, given at 'vdpa dev add' and changed over the control virtqueue;
# frames; devices that are bound, unbound, added and deleted under traffic.
#
# Environment: ROUNDS, how often (100).
. "$(dirname "$0")/lib.sh"

need_root
need ip "$VDPA"
modprobe -qn virtio_vdpa || skip_all "no module virtio_vdpa"
[ -x "$out/traffic" ] && [ -x "$out/guest_frames" ] || skip_all "traffic or guest_frames isn't built"

mac=52:54:76:00:00:01
new_mac=52:54:76:00:00:02
bus=/sys/bus/vdpa
traffic_pid=
finish() {
	[ -z "$traffic_pid" ] || kill "$traffic_pid" 2> /dev/null
	echo 1 > "$bus/drivers_autoprobe"
	"$VDPA" dev del vn0 2> /dev/null
	modprobe -rq virtio_vdpa
}
trap finish EXIT

# The bus driver of a device, and the name of its network interface.
driver_of() { basename "$(readlink "$bus/devices/$1/driver" 2> /dev/null)"; }
net_of() { ls "$bus/devices/$1"/virtio*/net 2> /dev/null; }
has_net() { [ "$(net_of "$1")" ]; }
# stat QUEUE NAME: one of the statistics.
address() { cat "/sys/class/net/$1/address"; }
# frames MAC: how many of 8 frames to that address come back.
frames() { "$out/guest_frames" "$net" 8 "$1" | sed -n 's/.* sent=8 back=//p'; }

test_choice() {
	local first second
	for first in vhost_vdpa virtio_vdpa; do
		second=vhost_vdpa
		[ $first = vhost_vdpa ] && second=virtio_vdpa
		modprobe -rq vhost_vdpa
		modprobe -rq virtio_vdpa
		modprobe $first
		modprobe $second
		check "choice: add, $first loaded first" "$VDPA" dev add name vn0 mgmtdev vdpasim_net
		equal "choice: $first takes the device" $first "$(driver_of vn0)"
		echo vn0 > $bus/devices/vn0/driver/unbind
		echo vn0 > $bus/drivers_probe
		equal "choice: again" $first "$(driver_of vn0)"
		check "choice: del" "$VDPA" dev del vn0
	done

	# A driver that is loaded later takes devices that have none, and no others.
	modprobe -rq vhost_vdpa
	modprobe -rq virtio_vdpa
	check "choice: add, no driver loaded" "$VDPA" dev add name vn0 mgmtdev vdpasim_net
	equal "choice: the device has no driver" "" "$(driver_of vn0)"
	modprobe vhost_vdpa
	modprobe virtio_vdpa
	equal "choice: the first one that comes takes it" vhost_vdpa "$(driver_of vn0)"
	check "choice: del" "$VDPA" dev del vn0

	# The user's choice, made before any driver sees the device.
	for first in virtio_vdpa vhost_vdpa; do
		echo 0 > $bus/drivers_autoprobe
		check "choice: add, no probing" "$VDPA" dev add name vn0 mgmtdev vdpasim_net
		equal "choice: no driver sees it" "" "$(driver_of vn0)"
		echo $first > $bus/devices/vn0/driver_override
		echo vn0 > $bus/drivers_probe
		echo 1 > "$bus/drivers_autoprobe"
		equal "choice: $first by driver_override" $first "$(driver_of vn0)"
		check "choice: del" "$VDPA" dev del vn0
	done
}

test_net() {
	check "net: a device" "$VDPA" dev add name vn0 mgmtdev vdpasim_net mac $mac mtu 1400
	check "net: it has an interface" wait_for 5 has_net vn0
	net=$(net_of vn0)
	equal "net: the address given at add" $mac "$(address "$net")"
	equal "net: the MTU given at add" 1400 "$(cat "/sys/class/net/$net/mtu")"
	check "net: up" ip link set "$net" up
	equal "net: frames to it come back" 8 "$(frames $mac)"
	equal "net: frames to another don't" 0 "$(frames $new_mac)"

	check "net: another address" ip link set "$net" address $new_mac
	contains "net: the device has it" "mac $new_mac" "$("$VDPA" dev config show vn0)"
	equal "net: frames to the new one come back" 8 "$(frames $new_mac)"
	equal "net: frames to the old one don't" 0 "$(frames $mac)"
	refuse "net: a multicast address" . ip link set "$net" address 01:00:5e:00:00:01
	contains "net: that changes nothing" "mac $new_mac" "$("$VDPA" dev config show vn0)"

	# The next driver finds the device as it was added.
	echo vn0 > $bus/drivers/virtio_vdpa/unbind
	equal "net: unbound, the interface is gone" "" "$(net_of vn0)"
	echo vn0 > $bus/drivers/virtio_vdpa/bind
	check "net: bound again" wait_for 5 has_net vn0
	net=$(net_of vn0)
	equal "net: the address given at add again" $mac "$(address "$net")"
	check "net: up again" ip link set "$net" up
	equal "net: frames come back again" 8 "$(frames $mac)"
	check "net: del, with the interface up" "$VDPA" dev del vn0
	equal "net: the interface is gone" 0 "$(ip -o link | grep -c "$mac")"
}

# One round: the device comes, goes to the driver, away from it and back, and goes, with frames all
# the time.
round() {
	local i
	"$VDPA" dev add name vn0 mgmtdev vdpasim_net mac $mac || return
	for i in 1 2; do
		wait_for 10 has_net vn0 || return
		net=$(net_of vn0)
		ip link set "$net" up || return
		ip link set "$net" address $new_mac || return
		[ $i = 2 ] || echo vn0 > $bus/drivers/virtio_vdpa/unbind || return
		[ $i = 2 ] || echo vn0 > $bus/drivers/virtio_vdpa/bind || return
	done
	"$VDPA" dev del vn0
}

test_rounds() {
	local rounds=${ROUNDS:-100} i start=$SECONDS
	"$out/traffic" 10000 52:54:76 > "$work" &
	traffic_pid=$!
	for ((i = 0; i < rounds; i++)); do
		round || break
	done
	kill $traffic_pid
	wait $traffic_pid
	traffic_pid=
	note "$i rounds in $((SECONDS - start)) s, $(nproc) CPU(s); $(cat "$work")"
	equal "rounds: all $rounds" "$rounds" $i
	contains "rounds: there was traffic, both ways" 'sent=[0-9]{3,} back=[0-9]{3,}' "$(cat "$work")"
	equal "rounds: nothing is left" "" "$("$VDPA" dev show; ls $bus/devices)"
}

tap_begin
sim_load
test_choice
modprobe -rq vhost_vdpa
modprobe virtio_vdpa
test_net
work=$(mktemp)
test_rounds
rm -f "$work"
check "virtio_vdpa is unused again" modprobe -r virtio_vdpa
tap_end
