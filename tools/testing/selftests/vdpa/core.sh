#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The vDPA core: loads the module vdpa_test (CONFIG_VDPA_TEST), which tests what the core refuses to
# parents and users, names that collide, and when a parent's resources are freed.
. "$(dirname "$0")/lib.sh"

need_root
modprobe -qn vdpa_test || skip_all "no module vdpa_test"

# run NAME: loads the module; it says in the log what failed.
run() {
	local said
	echo "selftest: vdpa_test: $1" > /dev/kmsg
	check "$1" modprobe vdpa_test
	said=$(dmesg | tac | sed '/selftest: vdpa_test/q' | tac | grep -o 'vdpa_test: .*')
	contains "$1: the log says so" 'all [1-9][0-9]* tests passed' "$said"
	modprobe -qr vdpa_test
}

tap_begin
run "the core, no bus driver"
modprobe -q vhost_vdpa
modprobe -q virtio_vdpa
run "the core, bus drivers that don't want the devices"
modprobe -qr virtio_vdpa
tap_end
