#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The vDPA core and virtio-vdpa: loads their KUnit tests, the modules vdpa_test (CONFIG_VDPA_KUNIT_TEST) and virtio_vdpa_test
# (CONFIG_VIRTIO_VDPA_KUNIT_TEST), and repeats their results from the kernel's log.
. "$(dirname "$0")/lib.sh"

need_root
modprobe -qn vdpa_test || skip_all "no module vdpa_test"

# run SUITE WHEN: a test for each case of the suite, with what the log says about those that fail.
run() {
	local suite=$1 when=$2 marker log line planned seen=0
	marker="selftest: core: $when"
	echo "$marker" > /dev/kmsg
	check "$when: the module loads" modprobe "${suite}_test"
	log=$(dmesg -t | tac | sed "/^$marker\$/q" | tac)
	modprobe -r "${suite}_test"

	planned=$(sed -n 's/^ *1\.\.\([0-9]*\)$/\1/p' <<< "$log")
	while IFS= read -r line; do
		line=${line#"${line%%[! ]*}"}
		case $line in
		"ok "*" - $suite" | "not ok "*" - $suite") ;;
		"ok "*" - "*) seen=$((seen + 1)); pass "$when: ${line#* - }" ;;
		"not ok "*" - "*) seen=$((seen + 1)); fail "$when: ${line#* - }" ;;
		*) note "$line" ;;
		esac
	done <<< "$log"
	equal "$when: all cases ran" "${planned:-no plan}" "$seen"
}

tap_begin
run vdpa "no bus driver"
modprobe -q vhost_vdpa
modprobe -q virtio_vdpa
run vdpa "bus drivers that refuse the devices"
run virtio_vdpa "virtio-vdpa"
modprobe -qr virtio_vdpa
tap_end
