#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module builds for all kernels without warnings of the compiler at W=1, sparse or checkpatch.pl.
use strict;
use warnings;
use FindBin '$Bin';
use lib "$Bin/../lint";
use Calls qw(uses circles);
use Test::More;

my $top = "$Bin/../..";

# Run a command. Return: its status and output.
sub said {
    my (@command) = @_;
    my $text = qx(@command 2>&1);
    return ($? >> 8, $text);
}

plan skip_all => 'there is no kernel module in this tree' if !-e "$top/kmod/Kbuild";

# The headers of 7 do not have the kernel's support for sparse.
my %sparse = map { $_ => 1 } qw(6.1 6.12 6.1-arm64 6.12-arm64);
for my $kernel (qw(6.1 6.12 6.12-rt 7 6.1-arm64 6.12-arm64)) {
  SKIP: {
        my ($status, $text) = said("$Bin/kernels", $kernel);
        skip((split /\n/, $text)[-1], 2) if $status == 77;
        ($status, $text) = said("$Bin/build", $kernel, 'KCFLAGS=-Werror', $sparse{$kernel} ? 'C=2' : ());
        is($status, 0, "it is built for $kernel") or diag($text);
        unlike($text, qr/warning:|error:|WARNING/, 'and there is nothing to complain about') or diag($text);
        next if $kernel ne '6.12';
        my ($built) = $text =~ m{^(\S+)/forkbus\.ko$}m;
        my @objects = map { "$built/" . s{.*/(.*)c$}{$1o}r } glob "$top/kmod/*.c";
        my @circles = circles(uses(@objects));
        ok(!@circles, 'and its parts call each other in no circle') or diag(join "\n", @circles);
    }
}

SKIP: {
    my ($status, $text) = said("$Bin/checkpatch");
    skip((split /\n/, $text)[-1], 2) if $status == 77;
    my @files = grep { !/\.mod\.c$/ } glob("$top/kmod/*.[ch] $top/proto/forkbus_netlink.h");
    ($status, $text) = said("$Bin/checkpatch", @files);
    is($status, 0, 'checkpatch.pl --strict finds nothing') or diag($text);

    # Headers in compat-include must compare kernel versions.
    my @compat = glob("$top/kmod/compat-include/*.h $top/kmod/compat-include/*/*.h");
    skip('nothing in compat-include', 1) if !@compat;
    ($status, $text) = said("$Bin/checkpatch", '--ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON', @compat);
    is($status, 0, 'nor in compat-include, except for versions of kernels') or diag($text);
}

done_testing;
