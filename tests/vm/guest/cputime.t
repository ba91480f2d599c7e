#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The usage of processes, for times from less than a tick of the clock to many. A record has at least what the process itself had
# used before it ended, if it measures that, and at most the time that it lived. Mostly it is also at most what wait4(2) returns,
# which includes the rest of the exit; but wait4(2) lacks the time since the last tick if the parent is faster than the end of its
# child. If the host runs something else meanwhile, the guest counts that time as its own.
#
# Processes that do not measure themselves are so short that this rest is a visible part. So of these there are many, and the
# least disturbed tenth must have nearly all of wait4's time; if all were disturbed, there are more. A part of the time that is
# missing in each record is missing in these, too.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use Test::More;

# number, kind, description; either the time in µs that each has used before it ends, or a part of wait4's time
my @kinds = (
    [200, 'burst=200',        'fork and _exit',                 0,       0.75],
    [30,  'spawn',            'posix_spawn of a small program', 0,       0.75],
    [30,  'cpu=1',            '1 ms',                           1000],
    [20,  'cpu=5',            '5 ms',                           5000],
    [20,  'cpu=20',           '20 ms',                          20_000],
    [20,  'cpu=100',          '100 ms',                         100_000],
    [20,  'cpu-threads=20',   '20 ms in each of two threads',   40_000],
    [10,  'killed-threads=1', 'killed with its threads',        0,       0.50],
);

# A quantile: this part of the values is not higher.
sub part { my ($part, @values) = @_; return (sort { $a <=> $b } @values)[$part * $#values] }

ok(load(), 'the module loads');
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
$genl->start('exit');

# Each process of a kind: its record, its usage by wait4(2), and the time that its threads lived together, in µs.
sub measure {
    my ($times, $kind) = @_;
    my @said = workload($kind =~ /burst/ ? $kind : ($kind) x $times);
    @said = grep { $_->{usage} } @said;
    my %exit;
    for (1 .. 100) {
        %exit = (%exit, exits($genl->records(0.3)));
        last if !grep { !$exit{ $_->{pid} } } @said;
    }
    return map { [$exit{ $_->{pid} }, $_->{usage}, $_->{threads} * ($_->{goneUsec} - $_->{bornAfterUsec})] }
      grep { $exit{ $_->{pid} } } @said;
}

sub used   { return ($_[0]{USER_TIME} + $_[0]{SYSTEM_TIME}) / 1000 }
sub shares { return map { used($_->[0]) / $_->[1]{cpuUsec} } @_ }

for (@kinds) {
    my ($times, $kind, $what, $own, $least) = @$_;
    my @pairs = measure($times, $kind);
    is(scalar @pairs, $times, "$what: each has a record");
    if ($own) {
        is_deeply([grep { $_ < $own } map { used($_->[0]) } @pairs], [], 'with all that it has used');
    } else {
        my @new = @pairs;
        for (2 .. 8) {
            last if part(0.9, shares(@new)) >= $least;
            push @pairs, @new = measure($times, $kind);
        }
        my $share = part(0.9, shares(@new));
        ok($share >= $least, sprintf 'with %.1f%% of the time', 100 * $share);
        is(scalar(grep { used($_->[0]) == 0 } @pairs), 0, 'none is without');
    }
    is_deeply([grep { used($_->[0]) > $_->[2] } @pairs], [], 'and no more than there was');
    # Both times of wait4(2) are cut to microseconds.
    cmp_ok(part(0.5, map { used($_->[0]) - $_->[1]{cpuUsec} } @pairs), '<=', 2, 'nor, mostly, more than wait4(2) has');

    my %field = (MINOR_FAULTS => 'minorFaults', MAJOR_FAULTS => 'majorFaults', MAX_RSS => 'maxRssKib',
        READ_BYTES => 'readBytes', WRITE_BYTES => 'writeBytes');
    my @wrong = grep { my $pair = $_; grep { $pair->[0]{$_} != $pair->[1]{ $field{$_} } } keys %field } @pairs;
    is(scalar @wrong, 0, 'faults, memory and storage are as wait4(2) has them') or diag(explain($wrong[0]));
    # The exit itself causes one or two switches.
    @wrong = grep { my $more = $_->[1]{voluntarySwitches} + $_->[1]{involuntarySwitches} - $_->[0]{VOLUNTARY_SWITCHES}
              - $_->[0]{INVOLUNTARY_SWITCHES}; $more < 0 || $more > 8 } @pairs;
    is(scalar @wrong, 0, 'switches too, but those of the end') or diag(explain($wrong[0]));
}
# Realtime tasks do not maintain what the module needs to know how far the scheduler's clock lags behind. Up to a tick may be
# hidden then, but nothing wraps, and no more is added than the time that they lived.
my $tick = 1e6 / 100;
is(system("chrt --fifo --pid 1 $$"), 0, 'realtime');
for my $kind ([20, 'cpu=5', 5000], [20, 'cpu=20', 20_000], [200, 'burst=200', 0]) {
    my ($times, $name, $own) = @$kind;
    my @pairs = measure($times, $name);
    is(scalar @pairs, $times, "$name: each has a record");
    is_deeply([grep { $_ < $own - $tick } map { used($_->[0]) } @pairs], [], 'with what it has used, perhaps without a tick');
    is_deeply([grep { used($_->[0]) > $_->[2] } @pairs], [], 'and no more than there was');
}

undef $genl;
ok(unload(), 'the module unloads');
done_testing;
