#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh BASE NEW: compares what bench printed on two kernels, and fails if anything costs more
# than 2 % more. What only the new one has is printed, too.
set -euo pipefail

[ $# = 2 ] || { echo "usage: bench.sh BASE NEW" >&2; exit 2; }
awk '
	NR == FNR { base[$1] = $2; next }
	!($1 in base) { printf "%-24s %10s %10d\n", $1, "-", $2 }
	$1 in base {
		ratio = $2 / base[$1]
		printf "%-24s %10d %10d  %.3f\n", $1, base[$1], $2, ratio
		n++
		if (ratio > 1.02)
			bad++
	}
	END { exit !n || bad > 0 }
' "$1" "$2"
