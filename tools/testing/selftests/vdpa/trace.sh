#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The trace events of vhost_vdpa: there, with their fields, and telling what happened. Their
# formats have to be such that perf and trace-cmd can print them.
. "$(dirname "$0")/lib.sh"

need_root
trace=/sys/kernel/tracing
[ -d $trace/events ] || trace=/sys/kernel/debug/tracing
[ -d $trace/events ] || skip_all "no tracefs"
modprobe -q vhost_vdpa || skip_all "no module vhost_vdpa"
[ -x "$out/trace_load" ] || skip_all "trace_load isn't built"
trap 'echo 0 > $trace/events/vhost_vdpa/enable; "$VDPA" dev del vdpa0 2> /dev/null' EXIT

tap_begin
declare -A fields=(
	[map]="dev asid iova size uaddr perm" [unmap]="dev asid iova size"
	[refuse]="dev type asid iova size errno limit pinned wanted"
	[set_group_asid]="dev group asid" [reset]="dev" [suspend]="dev" [resume]="dev")
for event in map unmap refuse set_group_asid reset suspend resume; do
	format=$trace/events/vhost_vdpa/vhost_vdpa_$event/format
	if [ ! -r "$format" ]; then
		fail "event vhost_vdpa_$event"
		continue
	fi
	pass "event vhost_vdpa_$event"
	for field in ${fields[$event]}; do
		contains "vhost_vdpa_$event: $field" "\\b$field=" "$(sed -n 's/^print fmt: //p' "$format")"
	done
	# What userspace can't evaluate when it prints a record.
	lacks "vhost_vdpa_$event: plain format" '->|\*[a-z]|[a-z_]+_to_[a-z]+\(' \
		"$(sed -n 's/^print fmt: //p' "$format" | sed 's/REC->//g')"
done

sim_load
check "a device" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_net
echo > $trace/trace
echo 1 > $trace/events/vhost_vdpa/enable
check "something to trace" "$out/trace_load" "$(vhost_dev vdpa0)"
echo 0 > $trace/events/vhost_vdpa/enable
seen=$(grep -v '^#' $trace/trace)
while read -r name pattern; do
	contains "$name" "$pattern" "$seen"
done <<'END'
map vhost_vdpa_map: dev=vdpa0 .*asid=1 .*iova=0x10000 .*size=0x2000
unmap vhost_vdpa_unmap: dev=vdpa0 .*asid=1 .*iova=0x10000 .*size=0x2000
refused_overlap vhost_vdpa_refuse: dev=vdpa0 .*asid=0 .*iova=0x50000 .*errno=17
refused_asid vhost_vdpa_refuse: dev=vdpa0 .*asid=9 .*iova=0x60000
refused_limit vhost_vdpa_refuse: dev=vdpa0 .*errno=12 limit=16 pinned=1 wanted=16
group vhost_vdpa_set_group_asid: dev=vdpa0 .*group=1 .*asid=1
reset vhost_vdpa_reset: dev=vdpa0$
suspend vhost_vdpa_suspend: dev=vdpa0$
resume vhost_vdpa_resume: dev=vdpa0$
END
equal "no event was lost" 0 "$(trace_lost $trace)"

if command -v perf > /dev/null && perf list 2> /dev/null | grep -q vhost_vdpa_map; then
	data=$(mktemp)
	check "perf record" perf record -q -e 'vhost_vdpa:*' -o "$data" "$out/trace_load" "$(vhost_dev vdpa0)"
	contains "perf script prints the fields" 'vhost_vdpa_map: dev=vdpa0 .*asid=1 .*iova=0x10000' \
		"$(perf script -i "$data" 2>&1)"
	rm -f "$data"
else
	skip "perf" "there is no perf that sees the events"
fi
if command -v trace-cmd > /dev/null; then
	data=$(mktemp)
	check "trace-cmd record" trace-cmd record -q -e vhost_vdpa -o "$data" "$out/trace_load" "$(vhost_dev vdpa0)"
	contains "trace-cmd report prints the fields" 'vhost_vdpa_map:.*dev=vdpa0 .*asid=1 .*iova=0x10000' \
		"$(trace-cmd report -i "$data" 2>&1)"
	rm -f "$data"
else
	skip "trace-cmd" "there is no trace-cmd here"
fi
check "the device goes" "$VDPA" dev del vdpa0
tap_end
