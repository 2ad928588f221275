#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# virtio_net's control commands. On the simulator, through virtio_vdpa: the device is a thread of the same kernel, which
# has to get the CPU while the driver waits. And the receive modes, as QEMU's device filters: for that, two virtio-net-pci
# devices on one hub are needed, with these MAC addresses:
#   -netdev hubport,id=h0,hubid=0 -device virtio-net-pci,netdev=h0,mac=52:54:00:00:00:01
#   -netdev hubport,id=h1,hubid=0 -device virtio-net-pci,netdev=h1,mac=52:54:00:00:00:02
. "$(dirname "$0")/lib.sh"

need_root
need perl ip vdpa

# net_of MAC: the name of the interface that has it.
net_of() { ip -o link | sed -n "s/^[0-9]*: \([^:@]*\).* link\/ether $1 .*/\1/p"; }

has_net() { [ "$(net_of "$1")" ]; }

# send INTERFACE MAC: a frame of 60 bytes to that address.
send() {
	perl -e '
		use Socket;
		my ($net, $to) = @ARGV;
		my $index = `cat /sys/class/net/$net/ifindex`;
		socket(my $s, 17, SOCK_RAW, 0) or die "socket: $!";
		my $frame = pack("H12 H12 n x46", $to =~ s/://gr, "525400000001", 0x88b5);
		send($s, $frame, 0, pack("S n l S C C x8", 17, 0x88b5, $index, 0, 0, 6)) or die "send: $!";
	' "$1" "$2"
}

# passes MAC: a frame to it comes through the filter of the second interface.
passes() {
	local before after
	before=$(< "/sys/class/net/$two/statistics/rx_packets")
	send "$one" "$1" || return
	sleep 0.1
	after=$(< "/sys/class/net/$two/statistics/rx_packets")
	[ "$after" -gt "$before" ]
}
stopped() { ! passes "$1"; }

test_simulator() {
	local mac=52:54:00:00:00:03 net i
	sim_load
	modprobe -rq vhost_vdpa
	modprobe -q virtio_vdpa || { skip "simulator" "no module virtio_vdpa"; return; }
	check "simulator: a device" vdpa dev add name vn0 mgmtdev vdpasim_net mac $mac
	wait_for 5 has_net $mac
	net=$(net_of $mac)
	check "simulator: up" ip link set "$net" up
	check "simulator: promiscuous" ip link set "$net" promisc on
	check "simulator: not promiscuous" ip link set "$net" promisc off
	check "simulator: multicast" ip maddr add 01:00:5e:01:02:03 dev "$net"
	for i in 4 5 6; do
		check "simulator: MAC address $i" ip link set "$net" address 52:54:00:00:00:0$i
	done
	check "simulator: del" vdpa dev del vn0
	modprobe -rq virtio_vdpa
}

# What QEMU lets pass after each change. The driver sends it later, so wait for it.
test_modes() {
	local other=52:54:00:00:00:99 group=01:00:5e:01:02:03 i driver=/sys/bus/virtio/drivers/virtio_net dev
	ip link set "$one" up
	ip link set "$two" up
	check "modes: the link works" wait_for 5 passes 52:54:00:00:00:02
	check "modes: another's frame is filtered" wait_for 5 stopped $other
	ip link set "$two" promisc on
	check "modes: promiscuous" wait_for 5 passes $other
	ip link set "$two" promisc off
	check "modes: not promiscuous" wait_for 5 stopped $other
	check "modes: a group's frame is filtered" wait_for 5 stopped $group
	ip maddr add $group dev "$two"
	check "modes: in the group" wait_for 5 passes $group
	ip maddr del $group dev "$two"
	check "modes: out of the group" wait_for 5 stopped $group
	ip link set "$two" allmulticast on
	check "modes: all groups" wait_for 5 passes $group
	ip link set "$two" allmulticast off
	check "modes: not all groups" wait_for 5 stopped $group

	for i in {1..50}; do
		ip link set "$two" promisc on
		ip link set "$two" promisc off
	done
	check "modes: the last change counts" wait_for 5 stopped $other

	dev=$(basename "$(readlink -f "/sys/class/net/$two/device")")
	for i in {1..5}; do
		ip link set "$two" up
		ip link set "$two" promisc on
		echo "$dev" > $driver/unbind
		echo "$dev" > $driver/bind
		wait_for 5 has_net 52:54:00:00:00:02
		two=$(net_of 52:54:00:00:00:02)
	done
	ip link set "$two" up
	check "modes: works after unbind and bind" wait_for 5 passes 52:54:00:00:00:02
	check "modes: the mode is the new driver's" wait_for 5 stopped $other
}

tap_begin
test_simulator
one=$(net_of 52:54:00:00:00:01)
two=$(net_of 52:54:00:00:00:02)
if [ "$one" ] && [ "$two" ]; then
	test_modes
else
	skip "modes" "no two virtio-net-pci devices with the addresses that this wants"
fi
tap_end
