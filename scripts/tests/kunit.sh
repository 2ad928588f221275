#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The KUnit suites of the vDPA core and of virtio-vdpa, as a program: the kernel's kunit.py builds a User Mode Linux of what
# drivers/vdpa/.kunitconfig asks for, and runs it. The VM runs them as modules (core.sh).
. "$(dirname "$0")/lib.sh"

tree=$top/build/linux
out=$top/build/kunit

# run: the suites; what they say is in $scratch/said.
run() {
	mkdir -p "$out" && cp "$tree/drivers/vdpa/.kunitconfig" "$out/" &&
		(cd "$tree" && tools/testing/kunit/kunit.py run --build_dir "$out" --jobs "$(nproc)" --raw_output) > "$scratch/said" 2>&1 ||
		{ tail -40 "$scratch/said"; return 1; }
}

# passed SUITE: its own verdict, after tests of which none failed. User Mode Linux ends lines as a terminal does.
passed() {
	tr -d '\r' < "$scratch/said" > "$scratch/output.log"
	grep -E "^ok [0-9]+ - $1$" "$scratch/output.log" && grep -E '^ +1\.\.[1-9]' "$scratch/output.log" &&
		! grep 'not ok' "$scratch/output.log" ||
		{ grep -A30 'TAP version' "$scratch/output.log"; return 1; }
}

check 'User Mode Linux builds and runs' run
check 'the suite vdpa passes' passed vdpa
check 'the suite virtio_vdpa passes' passed virtio_vdpa
finish
