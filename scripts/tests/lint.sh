#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the repository's own files: the scripts, and that series, whole files and MAINTAINERS agree.
. "$(dirname "$0")/lib.sh"
cd "$top" || exit

shell() {
	local files
	mapfile -t files < <(git ls-files -co --exclude-standard scripts tools .ci | while read -r f; do
		[ ! -f "$f" ] || ! head -1 "$f" | grep -qE '^#!/bin/(ba)?sh' || echo "$f"; done)
	[ ${#files[@]} -gt 5 ] && shellcheck -x "${files[@]}"
}

# Each entry is in patches/series once, each folder has a COVER, and nothing else is in patches/.
entries() {
	local entry
	diff <({ cat patches/series; sed 's,/.*,/COVER,' patches/series | uniq; printf '%s\n' BASE series; } | sort) \
		<(cd patches && find . -type f -printf '%P\n' | sort) &&
		(
			. scripts/lib.sh
			. scripts/series.sh
			check_folders "$top"
		) || return
	while read -r entry; do
		! grep -H '^Folder:' "patches/$entry" || return
	done < patches/series
}

# Each whole file is carried by one entry, and each carried file is here. tools/vdpa is this repository's own.
carried_files() { for f in patches/*/*.patch; do sed '/^---$/,$d' "$f" | sed -n 's/^Carries: *//p'; done | sort; }
carried() {
	diff <(carried_files) <(git ls-files -co --exclude-standard drivers include tools Documentation samples net lib ':!tools/vdpa' | sort)
}

# The series adds MAINTAINERS to the kernel's file; its files are there, and every file that the series brings is one of them.
maintainers() {
	local file files missing
	scripts/tree && awk -v entry="$(cat MAINTAINERS)" '
		{ text = text $0 "\n" }
		END { exit !entry || index(text, "\n" entry "\n\n") == 0 }' build/linux/MAINTAINERS ||
		{ echo "no patch adds this entry to the kernel's MAINTAINERS"; return 1; }
	# A star is for the files of that folder, as in the kernel.
	mapfile -t files < <(sed -n 's/^F:[[:space:]]*/:(glob)/p' MAINTAINERS)
	for file in "${files[@]}"; do
		[ "$(git -C build/linux ls-files -- "$file" | head -1)" ] || { echo "there is no $file"; return 1; }
	done
	missing=$(comm -23 <(carried_files) <(git ls-files -co --exclude-standard -- "${files[@]}" | sort))
	[ -z "$missing" ] || { echo "not in MAINTAINERS: $missing"; return 1; }
}

# The links of the README. A patch that moved is found by its name: change the link.
links() {
	local link bad=0
	while read -r link; do
		[ ! -e "$link" ] || continue
		bad=1
		echo "README.md links to $link, which isn't there; perhaps: $(find patches -name "${link##*/}")"
	done < <(grep -oE '\]\([^)#]+' README.md | sed 's/^](//' | grep -vE '^[a-z]+:')
	return $bad
}

# Nothing here names a mirror or a folder of one machine.
places() {
	! git grep -nIE 'deb\.debian\.org|ftp\.[a-z.]*debian|/work/|/home/' -- . ':!scripts/tests/lint.sh' ':!tools/testing/selftests'
}

# Where the README says that a reader starts, in the form `FILE`: `NAME`. If that has moved, change the table.
starts() {
	local file name bad=0 rows=0
	scripts/tree || return
	while IFS=' ' read -r file name; do
		rows=$((rows + 1))
		grep -qwF -- "${name%()}" "build/linux/$file" || { echo "README.md: $file has no $name"; bad=1; }
	done < <(sed -n 's/^|.*| `\([^`]*\)`: `\([^`]*\)` |$/\1 \2/p' README.md)
	[ $bad = 0 ] && [ $rows = 19 ]
}

# Each file names its license, and the text of each license and exception named is in LICENSES.
license() {
	local file bad=0 tag
	while read -r file; do
		head -3 "$file" | grep -q SPDX-License-Identifier || { echo "$file names none"; bad=1; }
	done < <(git ls-files -co --exclude-standard scripts drivers include tools Documentation .ci Makefile | grep -vE '/(settings|config)$|^Documentation/ABI/')
	while read -r tag; do
		grep -rqxE "(Valid-License-Identifier|SPDX-Exception-Identifier): ${tag//+/\\+}" LICENSES || { echo "LICENSES has no $tag"; bad=1; }
	done < <(git grep -hIoE 'SPDX-License-Identifier: [^*>]*' -- . ':!LICENSES' ':!scripts/tests' ':!patches' | sed 's/^[^:]*: //; s/ \(WITH\|OR\|AND\) /\n/g' | tr -d '() ' | sort -u | grep .)
	return $bad
}

# The tables of costs in the README and in the document are what was recorded.
costs() {
	local bad=0 rows=0 row figure
	while read -r row figure; do
		rows=$((rows + 1))
		grep -qx "$row $figure" scripts/bench.recorded || { echo "README.md: $row doesn't take ${figure}"; bad=1; }
	done < <(sed -nE 's/^\| `([a-z0-9_]+)` \|.* ([0-9]+) \|$/\1 \2/p' README.md)
	[ $rows -gt 10 ] && scripts/growth --table | grep -q 1000000 || return
	! scripts/growth --table | grep -vxF -f Documentation/userspace-api/vhost-vdpa.rst || return
	return $bad
}

# They are the base's.
copying() {
	local file
	scripts/tree && for file in COPYING $(git ls-files -co LICENSES); do
		git -C build/linux show "base:$file" | cmp - "$file" || return
	done
}

# git ignores the programs that the selftests build, and nothing else there.
ignored() {
	local tests=tools/testing/selftests/vdpa
	# shellcheck disable=SC2016
	scripts/tree && diff <(sed 1d build/linux/$tests/.gitignore) <(make -s -C $tests KSRC="$PWD/build/linux" --no-print-directory \
		--eval 'list:; @for p in $(notdir $(TEST_GEN_PROGS) $(TEST_GEN_PROGS_EXTENDED)); do echo $$p; done' list | LC_ALL=C sort)
}

ci() { [ -x .ci/run ] && grep -q 'make test' .ci/run && grep -q 'make test' README.md; }

check 'shellcheck has nothing to say' shell
check 'patches/series and patches/ agree' entries
check 'every whole file is carried by one entry' carried
check 'MAINTAINERS is what the series adds' maintainers
check 'no place of one machine is named' places
check 'the links of the README lead somewhere' links
check 'the nineteen changes are where the README says' starts
check 'the costs in the README and the document are what was recorded' costs
check 'every file names its license, and the texts are here' license
check 'COPYING and LICENSES are those of the kernel' copying
check 'git ignores what the selftests build' ignored
check 'CI runs the command of the README' ci
finish
