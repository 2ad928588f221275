#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh RECORDED NEW [BASE]: a table of what bench printed: recorded some time ago, now, and on
# another kernel. Fails if anything costs more than 3 % more than was recorded, is missing or isn't
# recorded, if a block request of 4 KiB costs more than 1.5 times as much as a frame of 4 KiB, or if
# one of 128 KiB, one of many at once, costs twice as much as its copy or more.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: bench.sh RECORDED NEW [BASE]" >&2; exit 2; }
awk '
	FNR == 1 { file++ }
	/^#/ || !NF { next }
	file == 1 { recorded[$1] = $2; next }
	file == 2 { new[$1] = $2; name[n++] = $1; next }
	{ base[$1] = $2 }
	function fail(row, why) {
		print "# " row ": " why
		bad++
	}
	function bounded(row, frame) {
		if (new[row] > 1.5 * new[frame])
			fail(row, "more than 1.5 times " frame)
	}
	function mostly_copies(row) {
		# With QEMU -icount each of the 16384 steps of "rep movsq" for 128 KiB is an instruction.
		if (new[row] >= 2 * 131072 / 8)
			fail(row, "twice its copy or more")
	}
	END {
		line = "%-24s %10s %10s %10s  %s\n"
		printf line, "instructions", "base", "recorded", "now", "now/recorded"
		for (i = 0; i < n; i++) {
			row = name[i]
			ratio = recorded[row] ? new[row] / recorded[row] : 0
			printf line, row, base[row], recorded[row], new[row], sprintf("%.3f", ratio)
			if (!recorded[row])
				fail(row, "not recorded")
			if (ratio > 1.03)
				fail(row, "costs more than was recorded")
		}
		for (row in recorded)
			if (!(row in new))
				fail(row, "not measured")
		bounded("blk_read_4k", "frame_4k")
		bounded("blk_write_4k", "frame_4k")
		bounded("blk_read_4k_depth_32", "frame_4k_depth_32")
		bounded("blk_write_4k_depth_32", "frame_4k_depth_32")
		mostly_copies("blk_read_128k_depth_32")
		mostly_copies("blk_write_128k_depth_32")
		exit !n || bad > 0
	}
' "$@"
