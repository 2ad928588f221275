#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The selftests as on any machine: installed by the kernel's Makefile, run by kselftest's own runner.
. "$(dirname "$0")/lib.sh"
# The VM doesn't see what is in /tmp here.
out=$top/build/kselftest

installed() {
	mkdir -p "$out"
	make -s -C "$top/build/linux/tools/testing/selftests" TARGETS=vdpa O="$out" INSTALL_PATH="$out/install" install &&
		diff <("$top/scripts/selftests" --list | sed 's/^/vdpa:/' | sort) <(sort "$out/install/kselftest-list.txt")
}

run_them() {
	"$top/scripts/vm" -- "$out/install/run_kselftest.sh" -t vdpa:ioctl -t vdpa:core.sh > "$scratch/tap" &&
		diff <(printf 'ok %s\n' '1 selftests: vdpa: ioctl' '2 selftests: vdpa: core.sh') <(grep -E '^(not )?ok ' "$scratch/tap")
}

check 'make install' installed
check 'run_kselftest.sh' run_them
finish
