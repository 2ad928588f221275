#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The vDPA core: loads the KUnit tests in the module vdpa_test (CONFIG_VDPA_KUNIT_TEST), and repeats their results from the
# kernel's log.
. "$(dirname "$0")/lib.sh"

need_root
modprobe -qn vdpa_test || skip_all "no module vdpa_test"

# run WHEN: a test for each case of the suite, with what the log says about those that fail.
run() {
	local when=$1 marker log line planned seen=0
	marker="selftest: core: $when"
	echo "$marker" > /dev/kmsg
	check "$when: the module loads" modprobe vdpa_test
	log=$(dmesg -t | tac | sed "/^$marker\$/q" | tac)
	modprobe -r vdpa_test

	planned=$(sed -n 's/^ *1\.\.\([0-9]*\)$/\1/p' <<< "$log")
	while IFS= read -r line; do
		line=${line#"${line%%[! ]*}"}
		case $line in
		"ok "*" - vdpa" | "not ok "*" - vdpa") ;;
		"ok "*" - "*) seen=$((seen + 1)); pass "$when: ${line#* - }" ;;
		"not ok "*" - "*) seen=$((seen + 1)); fail "$when: ${line#* - }" ;;
		*) note "$line" ;;
		esac
	done <<< "$log"
	equal "$when: all cases ran" "${planned:-no plan}" "$seen"
}

tap_begin
run "no bus driver"
modprobe -q vhost_vdpa
modprobe -q virtio_vdpa
run "bus drivers that refuse the devices"
modprobe -qr virtio_vdpa
tap_end
