#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# isolation.sh TRACE MAPS: counts, from a trace of vhost_vdpa's events and /proc/PID/maps of QEMU,
# what was mapped in which address space: of the guest's memory (the memfd backend), and of QEMU's
# own. Prints mapped_ASID, guest_ASID, guest_bytes_ASID, own_ASID, and how many mappings of ASID 0
# share memory with one of ASID 1 (shared).
set -euo pipefail

perl - "$1" "$2" <<'END'
use strict;
my ($trace, $maps) = @ARGV;
my (@guest, @in, %n);

sub overlap { my ($a, $b) = @_; $a->[0] < $b->[1] && $a->[1] > $b->[0] }

open my $m, '<', $maps or die;
while (<$m>) {
	push @guest, [hex $1, hex $2] if /^([0-9a-f]+)-([0-9a-f]+) .*memory-backend-memfd/;
}
die "no guest memory in $maps\n" unless @guest;
$n{$_} = 0 for map { ("mapped_$_", "guest_$_", "guest_bytes_$_", "own_$_") } 0, 1;
open my $t, '<', $trace or die;
while (<$t>) {
	next unless /vhost_vdpa_map:/;
	my %f = /(\w+)=(\S+)/g;
	my ($start, $size, $asid) = (hex $f{uaddr}, hex $f{size}, $f{asid});
	my $range = [$start, $start + $size];
	my $is_guest = grep { overlap($range, $_) } @guest;
	push @{$in[$asid]}, $range;
	$n{"mapped_$asid"}++;
	$n{$is_guest ? "guest_$asid" : "own_$asid"}++;
	$n{"guest_bytes_$asid"} += $size if $is_guest;
}
$n{shared} = grep { my $a = $_; grep { overlap($a, $_) } @{$in[1]} } @{$in[0]};
print "$_=$n{$_}\n" for sort keys %n;
END
