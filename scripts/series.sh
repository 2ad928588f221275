# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by tree, refresh, export: how entries of the series become commits of build/linux.
#
# patches/series names the entries in order, FOLDER/NAME.patch. A folder is a sub-series: its entries stand together, and
# its file COVER is the subject of its cover letter, an empty line, and the text.
#
# An entry is the commit message, a line '---', a diff without authors. The trailers
# 'Carries: PATH' and 'Removes: PATH' name whole files that come or go with it. A carried file is
# stored at its own path as it is after the last entry; later entries hold their hunks on it,
# and its earlier versions are found by applying those backwards.
#
# Everything is done on git's objects with indexes of its own; no working tree is touched.

# shellcheck disable=SC2154
git_dir=$linux/.git

export GIT_AUTHOR_NAME=linux GIT_AUTHOR_EMAIL=linux@localhost \
	GIT_COMMITTER_NAME=linux GIT_COMMITTER_EMAIL=linux@localhost

# entries ROOT: the entries in the order of the series, FOLDER/NAME.patch.
entries() { sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$1/patches/series" 2> /dev/null || true; }

# folders ROOT: the folders in the order of the series.
folders() { entries "$1" | sed 's,/[^/]*$,,' | uniq; }

# cover FILE: it is a COVER.
cover() { [ -f "$1" ] && awk 'NR == 1 && !/[^ \t]/ || NR == 2 && /./ { bad = 1 } END { exit bad || !NR }' "$1"; }

# check_folders ROOT: stops with a message unless ROOT's patches/series and COVERs are as described above.
check_folders() {
	local root=$1 line folder
	while read -r line; do
		[[ $line =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*\.patch$ ]] ||
			die "patches/series: '$line' is not of the form FOLDER/NAME.patch"
	done < <(entries "$root")
	folder=$(folders "$root" | sort | uniq -d | head -1)
	[ -z "$folder" ] || die "patches/series: the entries of $folder don't stand together"
	while read -r folder; do
		cover "$root/patches/$folder/COVER" ||
			die "patches/$folder/COVER is missing or incomplete: its first line is the subject, the second is empty, the text follows"
	done < <(folders "$root")
}

# message_of FILE, diff_of FILE: the two parts of an entry.
message_of() { sed '/^---$/,$d' "$1"; }
diff_of() { sed '1,/^---$/d' "$1"; }

# trailers NAME: the values of that trailer in the message on standard input.
trailers() { sed -n "s/^$1: *//p"; }

# kgit COMMAND ARG...: git on the repository of build/linux, wherever we are.
kgit() { git --git-dir="$git_dir" "$@"; }

# misfit WORD...: as die, with status 2: the series doesn't fit the base.
misfit() { (die "$@") || exit 2; }

# derive ROOT WORK: makes the commits of ROOT's series on top of the base; prints the last one. WORK is a folder
# for temporary files. Dates and names are fixed, so that equal input gives equal commits.
derive() {
	local root=$1 work=$2 entry file path mode list k names=() folders=() commit
	local -A born=() whole=()
	check_folders "$root"
	mapfile -t names < <(entries "$root")
	mapfile -t folders < <(folders "$root")
	rm -rf "$work"
	mkdir -p "$work" "${folders[@]/#/$work/}"

	# The carried files as they are after the last entry.
	export GIT_INDEX_FILE=$work/back
	: > "$work/list"
	for entry in "${names[@]}"; do
		file=$root/patches/$entry
		[ -f "$file" ] || die "patches/series names $entry, which is not in patches/"
		grep -qx -e '---' "$file" || die "patches/$entry has no line '---' between message and diff"
		message_of "$file" > "$work/$entry.message"
		diff_of "$file" > "$work/$entry.diff"
		while read -r path; do
			[ -z "${born[$path]:-}" ] || die "patches/$entry carries $path, as ${born[$path]} does already"
			[ -f "$root/$path" ] || die "patches/$entry carries $path, which is not in the repository"
			born[$path]=$entry
			mode=100644
			[ ! -x "$root/$path" ] || mode=100755
			printf '%s %s\n' "$mode" "$path" >> "$work/list"
		done < <(trailers Carries < "$work/$entry.message")
	done
	# A name takes one line here and in git's lists: no file of a kernel tree needs more.
	cut -d' ' -f2- "$work/list" | (cd "$root" && kgit --work-tree="$root" hash-object -w --no-filters --stdin-paths) > "$work/blobs"
	paste -d' ' "$work/blobs" "$work/list" | sed 's/^\(\S*\) \(\S*\) /\2 \1\t/' | kgit update-index --add --index-info

	# Backwards: each entry's hunks on carried files go, until the entry that carries the file.
	for ((k = ${#names[@]} - 1; k >= 0; k--)); do
		entry=${names[k]}
		list=()
		if [ -s "$work/$entry.diff" ]; then
			kgit apply --numstat "$work/$entry.diff" > "$work/stat" 2> "$work/error" ||
				die "patches/$entry has no diff that git can read: $(head -1 "$work/error")"
			while IFS=$'\t' read -r _ _ path; do
				# Only files that an earlier entry carries are in this index still.
				[ -z "${born[$path]:-}" ] || [ -n "${whole[$path]:-}" ] || list+=("--include=$path")
			done < "$work/stat"
			[ ${#list[@]} = 0 ] ||
				kgit apply -R --cached --whitespace=nowarn "${list[@]}" "$work/$entry.diff" 2> "$work/error" ||
				die "patches/$entry: its hunks on carried files don't go backwards: $(head -1 "$work/error")"
		fi
		while read -r path; do
			whole[$path]=$(kgit ls-files -s -- ":(literal)$path" | cut -f1)
			kgit update-index --force-remove -- "$path"
		done < <(trailers Carries < "$work/$entry.message")
	done

	# Forwards: one commit an entry.
	export GIT_INDEX_FILE=$work/forth
	commit=$(kgit rev-parse base)
	kgit read-tree "$commit"
	for k in "${!names[@]}"; do
		entry=${names[k]}
		while read -r path; do
			kgit cat-file -e "$commit:$path" 2> /dev/null || misfit "patches/$entry removes $path, which isn't there"
			printf '0 0000000000000000000000000000000000000000\t%s\n' "$path"
		done < <(trailers Removes < "$work/$entry.message") > "$work/changes"
		while read -r path; do
			printf '%s\t%s\n' "${whole[$path]}" "$path"
		done < <(trailers Carries < "$work/$entry.message") >> "$work/changes"
		[ ! -s "$work/changes" ] || kgit update-index --add --index-info < "$work/changes"
		[ ! -s "$work/$entry.diff" ] ||
			kgit apply --cached --whitespace=nowarn "$work/$entry.diff" 2> "$work/error" ||
			misfit "patches/$entry doesn't apply: $(head -1 "$work/error")"
		GIT_AUTHOR_DATE="$((946684860 + 60 * k)) +0000"
		export GIT_AUTHOR_DATE GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
		commit=$(kgit commit-tree "$(kgit write-tree)" -p "$commit" < "$work/$entry.message")
	done
	unset GIT_INDEX_FILE GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	rm -rf "$work"
	echo "$commit"
}

# inputs ROOT: a hash of everything that derive reads.
inputs() {
	local root=$1 entry
	{
		kgit rev-parse base
		entries "$root"
		while read -r entry; do
			sha256sum < "$root/patches/$entry" || true
			message_of "$root/patches/$entry" | trailers Carries | while read -r path; do
				stat -c %A "$root/$path" || true
				sha256sum < "$root/$path" || true
			done || true
		done < <(entries "$root")
	} 2> /dev/null | sha256sum | cut -d' ' -f1
}

# patches_hash ROOT: a hash of the entries alone, without the whole files.
patches_hash() { { entries "$1"; cat "$1"/patches/*/*.patch 2> /dev/null || true; } | sha256sum | cut -d' ' -f1; }

# record COMMIT INPUTS PATCHES: COMMIT is what the files of the repository with these hashes make.
record() {
	kgit update-ref refs/vdpa/made "$1"
	kgit config vdpa.inputs "$2"
	kgit config vdpa.patches "$3"
}
