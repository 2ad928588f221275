#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of make tree, make refresh and make series on a toy kernel: round trips, and what is refused.
. "$(dirname "$0")/lib.sh"

repo=$scratch/repo
toy "$repo"
export LINUX=$repo.linux
linux=$repo/build/linux
d=drivers/toy
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.org GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.org

# commit MESSAGE: everything in build/linux.
commit() { git -C "$linux" add -A && git -C "$linux" commit -qm "$1"; }

# state: the trees and messages of the series, without the lines that refresh takes out.
state() { git -C "$linux" log --reverse --format='%T %B' base..HEAD | sed '/^Folder: /d; /gone.c$/d' | cat -s; }

# amend SUBJECT COMMAND: changes the commit of that subject, and rebases the rest onto it.
amend() {
	local target tip
	target=$(git -C "$linux" log --format=%H --grep="^$1\$" base..HEAD) tip=$(git -C "$linux" rev-parse HEAD)
	git -C "$linux" checkout -q --detach "$target" &&
		(cd "$linux" && eval "$2") &&
		git -C "$linux" commit -qa --amend --no-edit &&
		git -C "$linux" rebase -q --onto HEAD "$target" "$tip" &&
		git -C "$linux" checkout -q -B series HEAD
}

build_series() {
	"$repo/scripts/tree" || return
	(
		cd "$linux" || exit
		sed -i 's/^30$/thirty/' $d/core.c && commit 'toy: spell a number

For the test.

Folder: toys' || exit
		seq 1 40 > $d/new.c && chmod +x $d/new.c && sed -i 's/^5$/five/' $d/core.c && commit 'toy: bring a driver

It comes whole.

Carries: drivers/toy/new.c' || exit
		sed -i 's/^210$/two hundred and ten/' $d/replaced.c && commit 'toy: keep the old one building' || exit
		git rm -q $d/old.c && seq 300 340 > $d/replaced.c && commit 'toy: replace and remove

Carries: drivers/toy/replaced.c
Removes: drivers/toy/old.c' || exit
		sed -i 's/^20$/twenty/' $d/new.c && sed -i 's/^320$/x/' $d/replaced.c && sed -i 's/^50$/fifty/' $d/core.c &&
			commit 'toy: change all of them'
	) && "$repo/scripts/refresh"
}

# The whole files are what the tree has at its end, the patches don't hold them.
whole_files() {
	cmp "$repo/$d/new.c" "$linux/$d/new.c" && [ -x "$repo/$d/new.c" ] && cmp "$repo/$d/replaced.c" "$linux/$d/replaced.c" &&
		[ ! -e "$repo/$d/core.c" ] && ! grep -l -e '--- a/drivers/toy/old.c' "$repo"/patches/*/* &&
		! grep new.c "$repo/patches/toys/toy-bring-a-driver.patch" | grep -v Carries &&
		grep -q '^+++ b/drivers/toy/new.c' "$repo/patches/toys/toy-change-all-of-them.patch"
}

# again: the same trees and messages come out of the files here alone.
again() {
	state > "$scratch/before"
	rm -rf "$repo/build"
	"$repo/scripts/tree" && state > "$scratch/after" && diff "$scratch/before" "$scratch/after"
}

same_commits() {
	local first
	first=$(git -C "$linux" rev-parse HEAD)
	rm -rf "$repo/build"
	"$repo/scripts/tree" && [ "$first" = "$(git -C "$linux" rev-parse HEAD)" ]
}

nothing_to_do() {
	touch -d '1 hour ago' "$linux/$d/core.c" "$linux/.git/HEAD"
	local before
	before=$(stat -c '%Y %i' "$linux/$d/core.c" "$linux/.git/HEAD")
	"$repo/scripts/tree" && [ "$before" = "$(stat -c '%Y %i' "$linux/$d/core.c" "$linux/.git/HEAD")" ]
}

# A carried file changes in an early commit, a patched one in a late commit.
edit_both_ends() {
	amend 'toy: bring a driver' "sed -i 's/^3\$/three/' $d/new.c" &&
		amend 'toy: change all of them' "sed -i 's/^55\$/fifty-five/' $d/core.c" &&
		"$repo/scripts/refresh" && again && grep -q '^three$' "$repo/$d/new.c" &&
		git -C "$linux" show HEAD~3:$d/new.c | grep -q '^three$' &&
		grep -q fifty-five "$repo/patches/toys/toy-change-all-of-them.patch"
}

# A commit whose subject changes is a new entry, where it was.
renamed() {
	git -C "$linux" commit -q --amend -m 'toy: change everything' && "$repo/scripts/refresh" && again &&
		[ "$(tail -1 "$repo/patches/series")" = toys/toy-change-everything.patch ] &&
		[ ! -e "$repo/patches/toys/toy-change-all-of-them.patch" ]
}

# series_is LINE...: these are the lines of patches/series.
series_is() { diff <(printf '%s\n' "$@") "$repo/patches/series"; }

# cover FOLDER: gives it a COVER.
cover() { mkdir -p "$repo/patches/$1" && printf '%s\n' "The folder $1" '' "What $1 is for." > "$repo/patches/$1/COVER"; }

# message SUBJECT TEXT: changes the message of that commit; no tree changes.
message() { text="$2" amend "$1" 'git commit -q --allow-empty --amend -m "$text"'; }

# The last commit goes to a folder of its own; one between two others to that of the one before it; the rest stays.
new_folder() {
	local last
	message 'toy: change everything' $'toy: change everything\n\nFolder: games' &&
		fails_with 'patches/games/COVER is missing' "$repo/scripts/refresh" && [ ! -e "$repo/patches/games" ] &&
		cover games && "$repo/scripts/refresh" && again &&
		! grep -r 'Folder:' "$repo/patches" &&
		seq 400 410 > "$linux/$d/between.c" && commit "toy: between

Carries: $d/between.c" &&
		last=$(git -C "$linux" rev-parse HEAD~) && git -C "$linux" rebase -q --onto HEAD~2 HEAD~ &&
		git -C "$linux" cherry-pick "$last" > /dev/null && "$repo/scripts/refresh" &&
		series_is toys/toy-{spell-a-number,bring-a-driver,keep-the-old-one-building,replace-and-remove,between}.patch \
			games/toy-change-everything.patch && again
}

# An entry goes to another folder, under the same name.
other_folder() {
	message 'toy: between' "toy: between

Carries: $d/between.c
Folder: games" && "$repo/scripts/refresh" &&
		[ "$(sed -n 5p "$repo/patches/series")" = games/toy-between.patch ] && [ ! -e "$repo/patches/toys/toy-between.patch" ] && again
}

# What stands apart, or in a folder of no name, is refused, and nothing is written.
apart() {
	cp -r "$repo/patches" "$scratch/patches" &&
		message 'toy: bring a driver' $'toy: bring a driver\n\nFolder: games' &&
		fails_with "'toy: keep the old one building' goes to the folder toys, which ends before 'toy: bring a driver'" "$repo/scripts/refresh" &&
		message 'toy: bring a driver' $'toy: bring a driver\n\nFolder: ../games' &&
		fails_with 'is no name for a folder' "$repo/scripts/refresh" && diff -r "$repo/patches" "$scratch/patches" &&
		git -C "$linux" reset -q --hard refs/vdpa/made
}

# In patches/ too: a folder in two pieces, a COVER without a text, an entry in no folder.
bad_folders() {
	local series=$repo/patches/series
	cp "$series" "$scratch/keep"
	{ tail -1 "$scratch/keep"; head -n -1 "$scratch/keep"; } > "$series"
	fails_with "the entries of games don't stand together" "$repo/scripts/tree" || return
	sed 's,^games/,,' "$scratch/keep" > "$series"
	fails_with 'is not of the form FOLDER/NAME.patch' "$repo/scripts/tree" || return
	sed 's,^games/,games/no-,' "$scratch/keep" > "$series"
	fails_with 'patches/series names games/no-toy-between.patch, which is not in patches/' "$repo/scripts/tree" || return
	cp "$scratch/keep" "$series"
	echo text >> "$repo/$d/new.c"
	printf 'Subject\ntext\n' > "$repo/patches/games/COVER"
	fails_with 'patches/games/COVER is missing or incomplete' "$repo/scripts/tree" || return
	sed -i '$d' "$repo/$d/new.c"
	cover games
}

two_of_a_subject() {
	git -C "$linux" commit -q --allow-empty -m 'toy: between' && fails_with "two commits have the subject 'toy: between'" "$repo/scripts/refresh" &&
		git -C "$linux" reset -q --hard HEAD~
}

# A series put in another order: the folders are where the lines are, whatever they were.
anew() {
	cover first && cover second &&
		fails_with "'toy: spell a number' is in no folder yet" "$repo/scripts/refresh" --anew &&
		message 'toy: spell a number' $'toy: spell a number\n\nFor the test.\n\nFolder: first' &&
		message 'toy: replace and remove' "toy: replace and remove

Folder: second
Carries: $d/replaced.c
Carries: $d/gone.c
Removes: $d/old.c" &&
		echo >> "$repo/patches/toys/toy-spell-a-number.patch" &&
		fails_with 'undo one of the two' "$repo/scripts/refresh" && "$repo/scripts/refresh" --anew &&
		series_is first/toy-{spell-a-number,bring-a-driver,keep-the-old-one-building}.patch \
			second/toy-{replace-and-remove,between,change-everything}.patch &&
		! grep -r gone.c "$repo/patches" && [ -z "$(find "$repo/patches/toys" "$repo/patches/games" -name '*.patch')" ] && again &&
		rm -r "$repo/patches/toys" "$repo/patches/games"
}

# An edit of a whole file here reaches the end of the tree, and every earlier version.
edit_here() {
	sed -i 's/^38$/thirty-eight/' "$repo/$d/new.c"
	"$repo/scripts/tree" && git -C "$linux" show HEAD~3:$d/new.c | grep -q thirty-eight && again
}

trailers_by_themselves() {
	seq 7 > "$linux/$d/late.c"
	git -C "$linux" rm -q $d/core.c
	commit 'toy: one more file' && "$repo/scripts/refresh" && cmp "$linux/$d/late.c" "$repo/$d/late.c" &&
		grep -qx "Carries: $d/late.c" "$repo/patches/games/toy-one-more-file.patch" &&
		grep -qx "Removes: $d/core.c" "$repo/patches/games/toy-one-more-file.patch" && "$repo/scripts/tree" &&
		git -C "$linux" reset -q --hard HEAD~ && "$repo/scripts/refresh" && [ ! -e "$repo/$d/late.c" ] && again
}

mails() {
	local clone=$scratch/clone out=$repo/build/series today folder
	today=$(date +'%d %b %Y')
	mkdir -p "$out/gone" && touch "$out/0001-old.patch" "$out/gone/0001-old.patch" &&
		"$repo/scripts/export" && rm -rf "$clone" && git clone -q "$linux" "$clone" && git -C "$clone" checkout -q --detach base || return
	[ "$(cat "$out/ORDER")" = $'first\nsecond' ] && [ "$(LC_ALL=C ls "$out")" = $'ORDER\nfirst\nsecond' ] || return
	while read -r folder; do
		git -C "$clone" am -q "$out/$folder"/*.patch || return
	done < "$out/ORDER"
	[ "$(git -C "$clone" rev-parse "HEAD^{tree}")" = "$(git -C "$linux" rev-parse "HEAD^{tree}")" ] &&
		[ "$(git -C "$clone" log --format=%T base..)" = "$(git -C "$linux" log --format=%T base..)" ] &&
		[ "$(git -C "$clone" log --format=%s%an base..)" = "$(git -C "$linux" log --format='%sA Tester' base..)" ] &&
		git -C "$clone" log -1 | grep -q 'Signed-off-by: A Tester <tester@example.org>' &&
		! git -C "$clone" log | grep -E 'Carries:|Removes:|Folder:' &&
		! grep -L "^Date: .*$today\|^Date: .*$(date +'%d %b %Y')" "$out"/*/*.patch | grep . &&
		grep -q '^Subject: \[PATCH 5.10 second 2/3\] toy: between$' "$out/second/0002-toy-between.patch" &&
		grep -q '^Subject: \[PATCH 5.10 first 0/3\] The folder first$' "$out/first/0000-cover-letter.txt" &&
		grep -q '^Part 2 of 2, on Linux 5.10.1 and, in this order: first.$' "$out/second/0000-cover-letter.txt" &&
		grep -q '^What second is for.$' "$out/second/0000-cover-letter.txt" &&
		grep -q '^A Tester (3):$' "$out/second/0000-cover-letter.txt" && grep -q '^ [0-9] files changed' "$out/second/0000-cover-letter.txt"
}

unrefreshed_commit() {
	seq 3 > "$linux/$d/more.c"
	commit 'toy: unrefreshed' && "$repo/scripts/tree" && [ -e "$linux/$d/more.c" ] &&
		echo '# x' >> "$repo/patches/series" && "$repo/scripts/tree" &&
		echo 99 >> "$repo/$d/new.c" &&
		fails_with "run 'make refresh'" "$repo/scripts/tree" && [ -e "$linux/$d/more.c" ] &&
		git -C "$linux" reset -q --hard HEAD~ && sed -i '$d' "$repo/$d/new.c"
}

uncommitted() {
	echo x >> "$linux/$d/new.c" && echo 99 >> "$repo/$d/new.c" &&
		fails_with 'not committed' "$repo/scripts/tree" && fails_with 'not committed' "$repo/scripts/refresh" &&
		git -C "$linux" checkout -q . && sed -i '$d' "$repo/$d/new.c"
}

both_sides() {
	"$repo/scripts/tree" && sed -i 's/^39$/here/' "$repo/$d/new.c" && sed -i 's/^38$/there/; s/^thirty-eight$/there/' "$linux/$d/new.c" &&
		commit 'toy: conflict' && fails_with 'changed both here and in build/linux' "$repo/scripts/refresh" &&
		git -C "$linux" reset -q --hard HEAD~ && sed -i 's/^here$/39/' "$repo/$d/new.c"
}

broken_patch() {
	local patch=$repo/patches/first/toy-spell-a-number.patch
	cp "$patch" "$scratch/keep"
	sed -i 's/^-30$/-31/' "$patch"
	fails_with "patches/first/toy-spell-a-number.patch doesn't apply" "$repo/scripts/tree"
	local status=$?
	cp "$scratch/keep" "$patch"
	return $status
}

broken_whole_file() {
	sed -i 's/^twenty$/twenty-one/' "$repo/$d/new.c"
	fails_with "patches/second/toy-change-everything.patch: its hunks on carried files don't go backwards" "$repo/scripts/tree"
	local status=$?
	sed -i 's/^twenty-one$/twenty/' "$repo/$d/new.c"
	return $status
}

missing_whole_file() {
	mv "$repo/$d/new.c" "$scratch/keep"
	fails_with "carries drivers/toy/new.c, which is not in the repository" "$repo/scripts/tree" || return
	mv "$scratch/keep" "$repo/$d/new.c"
}

no_identity() {
	git -C "$repo" config --unset user.name
	HOME=$scratch XDG_CONFIG_HOME=$scratch fails_with 'set user.name and user.email' "$repo/scripts/export"
}

check 'a series made in build/linux is written back' build_series
check 'whole files are stored whole, and in no patch' whole_files
check 'the tree made anew has the same trees and messages' again
check 'equal files give equal commits' same_commits
check 'nothing is done when nothing has changed' nothing_to_do
check 'a whole file changed early and a patched file changed late round-trip' edit_both_ends
check 'a commit with another subject is another entry' renamed
check 'a commit goes to a new folder, or to that of the one before it' new_folder
check 'an entry goes to another folder' other_folder
check 'a commit apart from its folder is refused' apart
check 'a folder in pieces or without a COVER is refused' bad_folders
check 'two commits of one subject are refused' two_of_a_subject
check 'a whole file edited here reaches every version' edit_here
check 'new and deleted files get their trailers' trailers_by_themselves
check 'with --anew, folders are made from the messages alone' anew
check 'the exported series applies with git am, and gives the same trees' mails
check 'a commit that is not refreshed is kept' unrefreshed_commit
check 'changes that are not committed are kept' uncommitted
check 'a whole file changed on both sides is refused' both_sides
check 'an entry that does not apply is named' broken_patch
check 'an entry that does not go backwards is named' broken_whole_file
check 'a whole file that is missing is named' missing_whole_file
check 'no git identity gives one line' no_identity
finish
