#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What messages, ioctls, frames and requests cost, in instructions: no more than was recorded. And that more is seen.
. "$(dirname "$0")/lib.sh"

# compared SED_SCRIPT: with figures that were changed so.
compared() {
	sed -E "$1" "$top/build/bench.series" > "$scratch/recorded"
	"$top/tools/testing/selftests/vdpa/bench.sh" "$scratch/recorded" "$top/build/bench.series"
}

refused() { ! compared "$1"; }

# copies WANT COST: with requests of 128 KiB, many at once, that cost so much, and did when it was recorded.
copies() {
	local status=0
	sed -E "s/^(blk_.*_128k_depth_32) .*/\1 $2/" "$top/build/bench.series" > "$scratch/new"
	"$top/tools/testing/selftests/vdpa/bench.sh" "$scratch/new" "$scratch/new" || status=$?
	[ "$status" = "$1" ]
}

check 'nothing costs more than 3 % more than was recorded' "$top/scripts/bench"
check 'the same figures are right' compared ''
check 'a figure that is 4 % over is seen' refused 's/^map_4k ([0-9]+)/echo "map_4k $((\1 * 96 \/ 100))"/e'
check 'one that is missing is seen' refused '$ a another 1000'
check 'one that is not recorded is seen' refused '/^map_4k /d'
check 'a large request that costs less than twice its copy is right' copies 0 32767
check 'one that costs twice its copy is seen' copies 1 32768
finish
