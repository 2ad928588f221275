#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The example of Documentation/userspace-api/vhost-vdpa.rst: the C code of the document is compiled
# and run on a simulated device. DOC names the document, if it isn't found.
. "$(dirname "$0")/lib.sh"

need_root
tap_begin
for doc in "${DOC:-}" "$dir/../../../../Documentation/userspace-api/vhost-vdpa.rst"; do
	[ -z "$doc" ] || [ ! -e "$doc" ] || break
done
[ -e "$doc" ] || skip_all "no vhost-vdpa.rst: set DOC"
need gcc "$VDPA"
work=$(mktemp -d)
trap '"$VDPA" dev del vdpa0 2> /dev/null; rm -rf "$work"' EXIT

c_code "$doc" > "$work/example.c"
contains "the document has a program" '^(int )?main\(' "$(grep -E 'main\(' "$work/example.c")"
check "it compiles without a warning" gcc -Wall -Wextra -Werror -O2 \
	${HEADERS:+-I"$HEADERS"} -o "$work/example" "$work/example.c"
sim_load
check "a device" "$VDPA" dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56
ulimit -l unlimited
mkfifo "$work/stdin"
"$work/example" "$(vhost_dev vdpa0)" < "$work/stdin" > "$work/log" 2>&1 &
exec 3> "$work/stdin"
shows() { "$VDPA" dev config show vdpa0 | grep -q "mac $1"; }
check "the device has the address that the program sets" wait_for 10 shows 52:54:00:c0:ff:ee
exec 3>&-
wait $!
equal "it ends well" 0 $?
sed 's/^/# /' "$work/log"
check "the device has the address again that it was added with" shows 52:54:00:12:34:56
check "the device goes" "$VDPA" dev del vdpa0
tap_end
