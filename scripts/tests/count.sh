#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of scripts/test: what it makes of a program's TAP and exit status.
. "$(dirname "$0")/lib.sh"
repo=$scratch/repo
fake=$repo/scripts/tests/fake.sh
toy "$repo"
install /dev/null "$fake"

# counts COUNTS EXIT LINE...: a program that prints LINEs and ends with EXIT is counted as COUNTS, the last lines.
counts() {
	local counts=$1 status=$2 expected failed=0 output
	shift 2
	{ echo '#!/bin/sh'; printf "echo '%s'\n" "$@"; echo "exit $status"; } > "$fake"
	case $counts in
	*[1-9]' passed, 0 failed') expected=0 ;;
	*) expected=1 ;;
	esac
	output=$("$repo/scripts/test" fake) || failed=1
	echo "$output"
	[ "$failed" = "$expected" ] && [ "${output##* s)$'\n'}" = "$counts" ]
}

# at_once: a line is passed on when it comes, not when the program ends.
at_once() {
	local line
	mkfifo "$scratch/go"
	printf '#!/bin/bash\necho 1..1\nread -t 60 <> "%s"\necho ok 1\n' "$scratch/go" > "$fake"
	while read -r -t 30 line; do
		[ "$line" != 1..1 ] || echo > "$scratch/go"
		[ "$line" != '1 passed, 0 failed' ] || return 0
	done < <("$repo/scripts/test" fake)
	return 1
}

# in_vm COUNTS STATUS LINE...: a VM whose selftests print LINEs, and that ends with STATUS, is counted as COUNTS.
in_vm() {
	local counts=$1 output
	{ echo "[ \"\$1\" = --run ] || exit 0"; printf "echo '%s'\n" "${@:3}"; echo "exit $2"; } > "$repo/scripts/selftests"
	for output in tree kernel; do echo : > "$repo/scripts/$output"; done
	output=$("$repo/scripts/test" migrate) || true
	echo "$output"
	[ "${output##* s)$'\n'}" = "$counts" ]
}

check 'tests that pass are counted' counts '2 passed, 0 failed' 0 1..2 'ok 1 - a' 'ok 2'
check 'tests that fail are counted' counts '1 passed, 1 failed' 1 1..2 'ok 1' 'not ok 2 - b'
check 'a test that fails counts, whatever the exit status' counts '0 passed, 1 failed' 0 1..1 'not ok 1'
check 'a skipped test has not passed' counts $'1 skipped\n1 passed, 0 failed' 0 1..2 'ok 1' 'ok 2 - b # SKIP no hardware'
check 'a program that skips itself has not passed' counts $'1 skipped\n0 passed, 0 failed' 4 '1..0 # SKIP nothing to test'
check 'an exit status alone is a failure' counts '1 passed, 1 failed' 3 1..1 'ok 1'
check 'a program that prints nothing fails' counts '0 passed, 1 failed' 0 ''
check 'a program without a plan fails' counts '1 passed, 1 failed' 0 'ok 1'
check 'a test of the plan that is missing is a failure' counts '1 passed, 1 failed' 0 1..2 'ok 1'
check 'a test beyond the plan is a failure' counts '2 passed, 1 failed' 0 1..1 'ok 1' 'ok 2'
check 'what is indented or a comment is no test' counts '1 passed, 0 failed' 0 1..1 '# not ok 1' '    not ok 1' 'ok 1'
check 'a line is passed on at once' at_once
check 'a VM is one more test' in_vm '2 passed, 0 failed' 0 '#### migrate.sh' 'ok 1' 1..1 '#### exit 0'
check 'what its kernel reports is a failure' in_vm '1 passed, 1 failed' 99 '#### migrate.sh' 'ok 1' 1..1 '#### exit 0'
check 'a VM that does not start is a failure' in_vm '0 passed, 1 failed' 1
finish
