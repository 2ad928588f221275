#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The selftests the kernel's way: installed or run by the kernel's own Makefile and runner, with nothing of this repository.
. "$(dirname "$0")/lib.sh"
# The VM doesn't see what is in /tmp here.
out=$top/build/kselftest

# ksft GOAL...: kselftest's Makefile in the tree.
ksft() {
	make -s -C "$top/build/linux/tools/testing/selftests" TARGETS=vdpa O="$out" "$@"
}

installed() {
	mkdir -p "$out"
	ksft INSTALL_PATH="$out/install" install &&
		diff <("$top/scripts/selftests" --list | sed 's/^/vdpa:/' | sort) <(sort "$out/install/kselftest-list.txt")
}

# ran COMMAND...: in the VM, it runs a C program and a shell program of them; more would only take longer.
ran() {
	"$top/scripts/vm" -- "$@" > "$scratch/tap" &&
		diff <(printf 'ok %s\n' '1 selftests: vdpa: ioctl' '2 selftests: vdpa: core.sh') <(grep -E '^(not )?ok ' "$scratch/tap")
}

# run_tests: what is built already is put into memory, as the VM can't write to this machine's disk.
run_tests() {
	cp -a "$out" /tmp/kselftest && mount --bind /tmp/kselftest "$out" &&
		ksft TEST_GEN_PROGS="$out/kselftest/vdpa/ioctl" TEST_PROGS=core.sh run_tests
}

check 'make install' installed
check 'run_kselftest.sh' ran "$out/install/run_kselftest.sh" -t vdpa:ioctl -t vdpa:core.sh
check 'make run_tests' ran bash -c "$(declare -f ksft run_tests); top=$top out=$out; run_tests"
finish
