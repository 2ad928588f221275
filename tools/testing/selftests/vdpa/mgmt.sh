#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The management interface through iproute2's vdpa tool, unmodified. VDPA names another one; both
# the installed one and that one are tested then.
. "$(dirname "$0")/lib.sh"

need_root
mac=52:54:00:12:34:56
tools=(vdpa)
[ "$VDPA" = vdpa ] || tools+=("$VDPA")
need vdpa perl

trap 'vdpa dev del t0; vdpa dev del t1; vdpa dev del t2' EXIT 2> /dev/null
tap_begin
sim_load

# json TEXT PATH...: the values at these places, 'dev/t0/type'.
json() {
	perl -MJSON::PP -e '
		my $d = decode_json(shift);
		print join(" ", map { my $v = $d; $v = $v->{$_} for split m{/}; ref $v ? "@$v" : $v } @ARGV), "\n"
	' "$@" 2>&1
}

test_tool() {
	local v="$1" out_dir=$out version out
	version=$("$v" -V | sed -n 's/.*iproute2-//p')
	note "iproute2 $version"
	t() { echo "$version: $1"; }

	out=$("$v" mgmtdev show 2>&1)
	contains "$(t "mgmtdev show")" '^vdpasim_net:' "$out"
	contains "$(t "mgmtdev show: class")" 'supported_classes net' "$out"
	contains "$(t "mgmtdev show: virtqueues")" 'max_supported_vqs 3' "$out"
	for feature in MTU MAC STATUS CTRL_VQ CTRL_MAC_ADDR VERSION_1 ACCESS_PLATFORM; do
		contains "$(t "mgmtdev show: feature $feature")" "dev_features.*\\b$feature\\b" "$out"
	done
	contains "$(t "mgmtdev show of one")" '^vdpasim_net:' "$("$v" mgmtdev show vdpasim_net 2>&1)"
	out=$("$v" -j mgmtdev show 2>&1)
	equal "$(t "mgmtdev show -j")" "net 3" \
		"$(json "$out" mgmtdev/vdpasim_net/supported_classes mgmtdev/vdpasim_net/max_supported_vqs)"
	refuse "$(t "mgmtdev show of none")" 'No such device' "$v" mgmtdev show nobody

	equal "$(t "no device yet")" "" "$("$v" dev show 2>&1)"
	check "$(t "dev add")" "$v" dev add name t0 mgmtdev vdpasim_net mac $mac mtu 1400
	check "$(t "dev add without a MAC")" "$v" dev add name t1 mgmtdev vdpasim_net
	equal "$(t "dev show")" "t0: type network mgmtdev vdpasim_net vendor_id 0 max_vqs 3 max_vq_size 256" \
		"$("$v" dev show t0 2>&1 | sed 's/ *$//')"
	equal "$(t "dev show of all")" "t0: t1:" "$("$v" dev show | awk '{ print $1 }' | sort | xargs)"
	equal "$(t "dev show -j")" "network vdpasim_net 3 256" \
		"$(json "$("$v" -j dev show t0)" dev/t0/type dev/t0/mgmtdev dev/t0/max_vqs dev/t0/max_vq_size)"

	out=$("$v" dev config show t0 2>&1)
	contains "$(t "dev config show: MAC")" "mac $mac" "$out"
	contains "$(t "dev config show: MTU")" 'mtu 1400' "$out"
	contains "$(t "dev config show: link")" 'link up' "$out"
	lacks "$(t "dev config show: no negotiated features before a driver")" 'negotiated_features +[A-Z]' "$out"
	# The tool's own name for the link has a blank at its end.
	equal "$(t "dev config show -j")" "$mac up 1400" \
		"$(json "$("$v" -j dev config show t0)" config/t0/mac "config/t0/link " config/t0/mtu)"
	equal "$(t "dev config show of all")" "t0: t1:" "$("$v" dev config show | awk '/mac/ { print $1 }' | sort | xargs)"
	out=$("$v" dev config show t1 2>&1)
	contains "$(t "a MAC of its own")" 'mac [0-9a-f][26ae]:' "$out"
	lacks "$(t "not the other one's")" "$mac" "$out"
	contains "$(t "the usual MTU")" 'mtu 1500' "$out"

	refuse "$(t "the name is taken")" 'File exists' "$v" dev add name t0 mgmtdev vdpasim_net
	refuse "$(t "no such management device")" 'No such device|not found' "$v" dev add name t2 mgmtdev nobody
	refuse "$(t "a name with a slash")" 'Invalid|name' "$v" dev add name a/b mgmtdev vdpasim_net
	refuse "$(t "a name that is a dot")" 'Invalid|name' "$v" dev add name .. mgmtdev vdpasim_net
	refuse "$(t "an empty name")" 'Invalid|name' "$v" dev add name "" mgmtdev vdpasim_net
	for name in uevent bind unbind module; do
		refuse "$(t "a name that sysfs has: $name")" 'name' "$v" dev add name $name mgmtdev vdpasim_net
	done
	refuse "$(t "a very long name")" 'Invalid|name|range|long' \
		"$v" dev add name "$(printf 'x%.0s' {1..200})" mgmtdev vdpasim_net
	refuse "$(t "a multicast MAC")" 'Invalid|address|MAC' "$v" dev add name t2 mgmtdev vdpasim_net mac 01:00:5e:00:00:01
	refuse "$(t "a MAC of zeroes")" 'Invalid|address|MAC' "$v" dev add name t2 mgmtdev vdpasim_net mac 00:00:00:00:00:00
	refuse "$(t "an MTU below the least")" 'Invalid|MTU|range' "$v" dev add name t2 mgmtdev vdpasim_net mtu 67
	out=$("$v" dev add name t2 mgmtdev vdpasim_net max_vqp 2 2>&1) && fail "$(t "max_vqp 2")" ||
		contains "$(t "max_vqp 2 is refused with a reason")" '(Error:|error:|kernel).*[a-z]{4}' "$out"
	if "$v" dev help 2>&1 | grep -q device_features; then
		refuse "$(t "features that it doesn't have")" 'feature' \
			"$v" dev add name t2 mgmtdev vdpasim_net device_features 0x4000000000000000
		check "$(t "features chosen")" "$v" dev add name t2 mgmtdev vdpasim_net device_features 0x300010020
		contains "$(t "features chosen: offered")" '^features=0x300010020$' \
			"$("$out_dir/vdpa_groups" "$(vhost_dev t2)" 2>&1)"
		"$v" dev del t2 2> /dev/null
	else
		skip "$(t "device_features")" "iproute2 $version has no device_features"
	fi
	equal "$(t "none of these was added")" "t0: t1:" "$("$v" dev show | awk '{ print $1 }' | sort | xargs)"

	# As nobody: look, but don't touch.
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$@"; }
	refuse "$(t "dev add needs CAP_NET_ADMIN")" 'not permitted' as_nobody "$v" dev add name t2 mgmtdev vdpasim_net
	refuse "$(t "dev del needs CAP_NET_ADMIN")" 'not permitted' as_nobody "$v" dev del t0
	check "$(t "dev show doesn't")" as_nobody "$v" dev show t0
	check "$(t "dev config show doesn't")" as_nobody "$v" dev config show t0

	refuse "$(t "dev del of none")" 'No such device|not found' "$v" dev del t2
	check "$(t "dev del")" "$v" dev del t0
	refuse "$(t "it is gone")" 'No such device|not found' "$v" dev show t0
	check "$(t "the name is free")" "$v" dev add name t0 mgmtdev vdpasim_net
	check "$(t "dev del again")" "$v" dev del t0
	check "$(t "dev del of the other")" "$v" dev del t1
	equal "$(t "nothing is left")" "" "$("$v" dev show 2>&1)"
}

for tool in "${tools[@]}"; do
	test_tool "$tool"
done

# A management device of another class.
test_blk() {
	local v=$1 version
	version=$("$v" -V | sed -n 's/.*iproute2-//p')
	t() { echo "$version: block: $1"; }

	contains "$(t "mgmtdev show")" 'vdpasim_blk: *supported_classes block *max_supported_vqs 2' "$("$v" mgmtdev show | xargs)"
	check "$(t "dev add")" "$v" dev add name t0 mgmtdev vdpasim_blk
	equal "$(t "dev show")" "t0: type block mgmtdev vdpasim_blk vendor_id 0 max_vqs 2 max_vq_size 256" \
		"$("$v" dev show t0 2>&1 | sed 's/ *$//')"
	contains "$(t "dev config show")" '^t0:' "$("$v" dev config show t0 2>&1)"
	refuse "$(t "a MAC")" "doesn't take mac|not supported" "$v" dev add name t1 mgmtdev vdpasim_blk mac $mac
	refuse "$(t "an MTU")" "doesn't take mtu|not supported" "$v" dev add name t1 mgmtdev vdpasim_blk mtu 1500
	check "$(t "dev del")" "$v" dev del t0
	equal "$(t "nothing is left")" "" "$("$v" dev show 2>&1)"
}

if modprobe -q vdpa_sim_blk capacity=3 queues=2; then
	for tool in "${tools[@]}"; do
		test_blk "$tool"
	done
	check "rmmod vdpa_sim_blk" modprobe -r vdpa_sim_blk
	for parameter in capacity=0 capacity=1048577 queues=0 queues=17; do
		refuse "vdpa_sim_blk doesn't take $parameter" 'Invalid' modprobe vdpa_sim_blk $parameter
	done
else
	skip "block" "no module vdpa_sim_blk"
fi

# driver_override: of two bus drivers, the device is bound to the one that is named.
test_override() {
	local sys=/sys/bus/vdpa device=/sys/bus/vdpa/devices/t0 driver other
	driver_of() { basename "$(readlink "$device/driver")"; }

	modprobe -q virtio_vdpa || { skip "driver_override" "no module virtio_vdpa"; return; }
	check "driver_override: a device" vdpa dev add name t0 mgmtdev vdpasim_net
	equal "driver_override: none at first" "(null)" "$(cat $device/driver_override)"
	for driver in virtio_vdpa vhost_vdpa virtio_vdpa; do
		other=vhost_vdpa
		[ $driver = virtio_vdpa ] || other=virtio_vdpa
		echo $driver > $device/driver_override
		equal "driver_override: $driver is read back" $driver "$(cat $device/driver_override)"
		echo t0 > "$device/driver/unbind"
		refuse "driver_override: the other one can't be bound" . sh -c "echo t0 > $sys/drivers/$other/bind"
		check "driver_override: probe" sh -c "echo t0 > $sys/drivers_probe"
		equal "driver_override: $driver is bound" $driver "$(driver_of)"
	done

	# Drivers that are loaded later
	echo t0 > $device/driver/unbind
	printf vhost_vdpa > $device/driver_override
	modprobe -r virtio_vdpa && modprobe virtio_vdpa
	equal "driver_override: a driver that isn't named leaves the device alone" "" "$(readlink $device/driver)"
	modprobe -r vhost_vdpa && modprobe vhost_vdpa
	equal "driver_override: the named one takes it" vhost_vdpa "$(driver_of)"

	echo none > $device/driver_override
	echo t0 > $device/driver/unbind
	echo t0 > $sys/drivers_probe 2> /dev/null
	equal "driver_override: no driver has the name" "" "$(readlink $device/driver)"
	echo > $device/driver_override
	equal "driver_override: removed" "(null)" "$(cat $device/driver_override)"
	check "driver_override: any driver" sh -c "echo t0 > $sys/drivers_probe"
	contains "driver_override: one is bound" 'vdpa$' "$(readlink $device/driver)"
	refuse "driver_override: longer than a page" 'Invalid' \
		perl -e 'open(F, ">", shift); syswrite(F, "x" x 4095) or die "$!\n"' $device/driver_override
	equal "driver_override: that changed nothing" "(null)" "$(cat $device/driver_override)"
	echo vhost_vdpa > $device/driver_override
	check "driver_override: the device goes" vdpa dev del t0
	modprobe -rq virtio_vdpa
}
test_override

# Nobody has to load the management interface.
modprobe -r vdpa_sim_net
modprobe -r vdpa_mgmt
contains "vdpa_mgmt is loaded when vdpa asks for it" '^0 vdpa_mgmt' "$(vdpa dev show; echo "$? $(lsmod | grep -o ^vdpa_mgmt)")"
sim_load

# Modules with devices go, and take them along.
check "a device" vdpa dev add name t0 mgmtdev vdpasim_net
check "rmmod vdpa_sim_net" modprobe -r vdpa_sim_net
equal "its devices are gone" "" "$(ls /sys/bus/vdpa/devices)"
lacks "its management device is gone" "^vdpasim_net:" "$(vdpa mgmtdev show 2>&1)"
check "modprobe again" modprobe vdpa_sim_net
contains "it is back" '^vdpasim_net:' "$(vdpa mgmtdev show)"
equal "no device by itself" "" "$(vdpa dev show)"
tap_end
