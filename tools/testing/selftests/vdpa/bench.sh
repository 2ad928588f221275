#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh BASE NEW: compares what bench printed on two kernels, and fails if anything costs more
# than 2 % more. Then what the base doesn't have: a control command, and requests of the block
# device, of which one of 4 KiB may cost 1.5 times as much as a frame of that size.
set -euo pipefail

[ $# = 2 ] || { echo "usage: bench.sh BASE NEW" >&2; exit 2; }
awk '
	function new_row(name, frame) {
		if (!(name in new))
			return
		printf "%-24s %10s %10d", name, "", new[name]
		if (frame) {
			printf "  %.3f of %s", new[name] / new[frame], frame
			bad += new[name] > 1.5 * new[frame]
		}
		print ""
	}
	NR == FNR { base[$1] = $2; next }
	{ new[$1] = $2 }
	$1 in base {
		ratio = $2 / base[$1]
		printf "%-24s %10d %10d  %.3f\n", $1, base[$1], $2, ratio
		n++
		if (ratio > 1.02)
			bad++
	}
	END {
		new_row("command")
		new_row("packet_4k")
		new_row("packet_4k_depth_32")
		new_row("blk_read_4k", "packet_4k")
		new_row("blk_write_4k", "packet_4k")
		new_row("blk_read_4k_depth_32", "packet_4k_depth_32")
		new_row("blk_write_4k_depth_32", "packet_4k_depth_32")
		new_row("blk_read_128k")
		new_row("blk_write_128k")
		new_row("blk_read_128k_depth_32")
		new_row("blk_write_128k_depth_32")
		exit !n || bad > 0
	}
' "$1" "$2"
