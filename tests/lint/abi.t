#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What programs that are linked with libforkbus rely on: its names and its numbers. What libforkbus.abi has must stay.
# New fields are added there by "make generate", all else by hand.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More;

my @kept = grep { !/^#/ } split /\n/, content('tests/lint/libforkbus.abi');

# Enumerators and flags of the header, comments aside.
my $header = content('clients/lib/forkbus.h') =~ s{/\*.*?\*/}{}gsr;
my @numbers = $header =~ /^\t(FORKBUS_\w+ = \d+),?\s*$/mg;
push @numbers, map { s/\s+/ /gr } $header =~ /^#define (FORKBUS_\w+\s+\S.*?)\s*$/mg;
is_deeply([sort @numbers], [grep { /^FORKBUS_/ } @kept], 'the numbers of forkbus.h are those that were promised');

# Functions: declared, in the map, and in the library.
my @functions = sort map { s/.*\bforkbus_/forkbus_/sr } $header =~ /^[^#\n]*?\b(forkbus_\w+)\(/mg;
my @promised  = grep { /^forkbus_/ } @kept;
is_deeply(\@functions, \@promised, 'so are its functions');
is_deeply([sort { $a cmp $b } content('clients/lib/libforkbus.map') =~ /^\t(forkbus_\w+);$/mg], \@promised, 'the map has them');

my $build = $ENV{FORKBUS_BUILD};
SKIP: {
    $build && -e "$build/lib/libforkbus.so" or skip 'nothing is built', 4;
    my $version = 'LIBFORKBUS_0';
    my @names   = map { (split)[-1] } qx(nm -D --defined-only '$build/lib/libforkbus.so');
    is_deeply([sort grep { $_ ne $version } map { s/@@\Q$version\E$//r } @names], \@promised,
        'it exports them, and nothing else');
    my @archive = grep { /^\S+ [A-TV-Z] / && !/__(?:asan|odr_asan|ubsan)/ } qx(nm '$build/lib/libforkbus.a');
    is_deeply([sort map { (split)[-1] } @archive], \@promised, 'so does the archive');
    my $dynamic = qx(readelf -d '$build/lib/libforkbus.so');
    like($dynamic, qr/SONAME.*\[libforkbus\.so\.0\]/, 'its name is libforkbus.so.0');
    my @needed = grep { !/^lib(?:c|asan|ubsan|m|gcc_s|pthread)\./ } $dynamic =~ /NEEDED.*\[(.*?)\]/g;
    is_deeply(\@needed, ['libjansson.so.4'], 'it needs jansson alone');
}

done_testing;
