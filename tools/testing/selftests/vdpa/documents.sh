#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs every command of Documentation/admin-guide/vdpa.rst, and compares what it prints with what the
# document says. A command is a line of a literal block ('::') that begins with '# '; the lines below
# it are its output, in which '...' stands for anything; as the last line, for any number of lines.
# Environment: DOCUMENTS, the folder, if it isn't found.
. "$(dirname "$0")/lib.sh"

need_root
need "$VDPA" ip perl
documents=${DOCUMENTS:-$dir/../../../../Documentation}
[ -e "$documents/admin-guide/vdpa.rst" ] || skip_all "no document: set DOCUMENTS"
modprobe -qn virtio_vdpa || skip_all "no module virtio_vdpa"

# extract FILE: the literal blocks, without their indentation; other blocks aren't run.
extract() {
	awk '
		/^[^ \t].*::$/ || /^::$/ { if ($0 !~ /^\.\. /) { block = 1; next } }
		block && /^[^ \t]/ { block = 0 }
		block && /^\t/ { print substr($0, 2) }
	' "$1"
}

# matches PATTERN TEXT: whether the text is what the document says.
matches() {
	local pattern=$1 rest
	[ "$pattern" ] || { [ -z "$2" ]; return; }
	# Everything is literal but the dots.
	pattern=$(sed -e 's/[][\\^$*+?(){}|]/\\&/g' -e 's/\./\\./g' -e 's/\\\.\\\.\\\./.*/g' <<< "$pattern")
	# Dots that are the last line stand for any number of lines.
	rest=$(sed -z -e 's/\n\.\*\n$/(\\n.*)?/' -e 's/\n$//' <<< "$pattern")
	perl -e 'exit($ARGV[1] =~ /\A(?:$ARGV[0])\n?\z/s ? 0 : 1)' "$rest" "$2"
}

# run FILE: its commands, one after the other, in one shell of their own.
run() {
	local line command='' want='' n=0
	coproc RUNNER { bash 2>&1; }
	while IFS= read -r line; do
		if [[ $line == '# '* ]]; then
			[ -z "$command" ] || one
			command=${line#'# '} want=''
			n=$((n + 1))
		else
			want+=${want:+$'\n'}$line
		fi
	done < <(extract "$1"; echo)
	want=${want%$'\n'}
	[ -z "$command" ] || one
	note "$n commands"
	eval "exec ${RUNNER[1]}>&-"
	wait "$RUNNER_PID" 2> /dev/null
	[ $n -ge 30 ] && pass "the document has its commands" || fail "the document has its commands"
}

# one: the command that run is at.
one() {
	local got='' line status=''
	printf '%s\necho "@@status $?"\n' "$command" >&"${RUNNER[1]}"
	while IFS= read -t 120 -r line <&"${RUNNER[0]}"; do
		[[ $line == '@@status '* ]] && { status=${line#* }; break; }
		got+=${got:+$'\n'}${line%% }
	done
	want=${want%%+($'\n')}
	if [ "$status" = 0 ] && matches "$want" "$got"; then
		pass "$command"
	else
		fail "$command (status ${status:-none})"
		printf '# %s\n' "wanted:" "${want//$'\n'/$'\n'# }" "got:" "${got//$'\n'/$'\n'# }"
	fi
}

shopt -s extglob
tap_begin
sim_load
modprobe -rq vdpa_sim_net
trap 'echo 1 > /sys/bus/vdpa/drivers_autoprobe; "$VDPA" dev del vdpa0 2> /dev/null; modprobe -rq virtio_vdpa' EXIT
PATH=${VDPA%/*}:$PATH run "$documents/admin-guide/vdpa.rst"
tap_end
