#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The usage of processes, compared with wait4(2), for times from less than a tick of the clock to many. The record does not
# include the rest of the exit after it is made, which is a visible part for the shortest processes, even more in an emulated
# kernel. And if the host runs something else meanwhile, the guest counts that time as its own. So there are many processes of
# each kind, the least disturbed ones are used, and if all were disturbed, there are more.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

# number, kind, description, and the smallest acceptable part of wait4's time
my @kinds = (
    [200, 'burst=200',       'fork and _exit',                  0.75],
    [30,  'spawn',           'posix_spawn of a small program',  0.75],
    [30,  'cpu=1',           '1 ms',                            0.80],
    [20,  'cpu=5',           '5 ms',                            0.90],
    [20,  'cpu=20',          '20 ms',                           0.95],
    [20,  'cpu=100',         '100 ms',                          0.98],
    [20,  'cpu-threads=20',  '20 ms in each of two threads',    0.93],
    [10,  'killed-threads=1', 'killed with its threads',        0.50],
);

# A quantile: this part of the values is not higher.
sub part { my ($part, @values) = @_; return (sort { $a <=> $b } @values)[$part * $#values] }

ok(load(), 'the module loads');
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
$genl->start('exit');

# Each process of a kind: its record, and its usage by wait4(2).
sub measure {
    my ($times, $kind) = @_;
    my @said = workload($kind =~ /burst/ ? $kind : ($kind) x $times);
    my %exit = exits($genl->records(0.3));
    return map { [$exit{ $_->{pid} }, $_->{usage}] } grep { $_->{usage} && $exit{ $_->{pid} } } @said;
}

sub shares {
    return map { ($_->[0]{USER_TIME} + $_->[0]{SYSTEM_TIME}) / 1000 / $_->[1]{cpuUsec} } @_;
}

for (@kinds) {
    my ($times, $kind, $what, $least) = @$_;
    my @pairs;
    for (1 .. 8) {
        @pairs = measure($times, $kind);
        last if part(0.9, shares(@pairs)) >= $least;
    }
    my $waited = part(0.5, map { $_->[1]{cpuUsec} } @pairs);
    my @shares = shares(@pairs);
    my $share  = part(0.9, @shares);
    my $text   = sprintf '%s: %.1f%%, median %.1f%%, of %.2f ms', $what, 100 * $share, 100 * part(0.5, @shares), $waited / 1000;
    ok($share >= $least, "$text, as it should be");
    cmp_ok(part(0.5, @shares), '<=', 1.02, 'nor is it too much');
    is(scalar(grep { $_->[0]{USER_TIME} + $_->[0]{SYSTEM_TIME} == 0 } @pairs), 0, 'none is without');

    my %field = (MINOR_FAULTS => 'minorFaults', MAJOR_FAULTS => 'majorFaults', MAX_RSS => 'maxRssKib',
        READ_BYTES => 'readBytes', WRITE_BYTES => 'writeBytes');
    my @wrong = grep { my $pair = $_; grep { $pair->[0]{$_} != $pair->[1]{ $field{$_} } } keys %field } @pairs;
    is(scalar @wrong, 0, 'faults, memory and storage are as wait4(2) has them') or diag(explain($wrong[0]));
    # The exit itself causes one or two switches.
    @wrong = grep { my $more = $_->[1]{voluntarySwitches} + $_->[1]{involuntarySwitches} - $_->[0]{VOLUNTARY_SWITCHES}
              - $_->[0]{INVOLUNTARY_SWITCHES}; $more < 0 || $more > 8 } @pairs;
    is(scalar @wrong, 0, 'switches too, but those of the end') or diag(explain($wrong[0]));
}
undef $genl;
ok(unload(), 'the module unloads');
done_testing;
