#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every loss is reported: a full ring, an overrun socket, a listener that was away.
use strict;
use warnings;
use Errno 'ESTALE';
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use List::Util 'sum';
use Test::More;
use Time::HiRes 'sleep';

# The numbers that are missing or repeated in a list of records. LOST accounts for the numbers before it.
sub continuity {
    my ($last, @records) = @_;
    my %found = (holes => 0, doubles => 0, lost => 0);
    for my $record (@records) {
        my $first = $record->{SEQ} - ($record->{TYPE} eq 'lost' ? $record->{COUNT} : 0);
        $found{lost} += $record->{COUNT} if $record->{TYPE} eq 'lost';
        $found{holes}   += $first - $last - 1 if $first > $last + 1;
        $found{doubles} += 1                  if $first <= $last;
        $last = $record->{SEQ};
    }
    return { %found, last => $last };
}

sub types { my ($type, @records) = @_; return scalar grep { $_->{TYPE} eq $type } @records }

subtest 'everything arrives' => sub {
    load();
    my $genl = Genl->new(buffer => 64 << 20);
    $genl->join_group;
    $genl->start(qw(fork exit));
    my @said = workload('burst=3000');
    my @records = $genl->records(1);
    my $found = continuity(0, @records);
    is($genl->{overruns}, 0, 'the socket was not overrun');
    is_deeply([@$found{qw(holes doubles lost)}], [0, 0, 0], 'no hole, no double, nothing lost');
    my %exit = exits(@records);
    is(scalar(grep { !$exit{ $_->{pid} } } @said), 0, 'each of 3000 processes has its exit');
    my $status = $genl->status;
    is($status->{LAST}, $found->{last}, 'STATUS knows the last number');
    is($status->{SENT}, $found->{last}, 'all was sent');
    is($status->{RING_USED}, 0, 'and is history');
};

subtest 'a full ring counts what it lost' => sub {
    load(ring => 64, grace => 600);
    my $genl = Genl->new(buffer => 16 << 20);
    $genl->start(qw(fork exit));
    # The listener has not joined: nothing is sent, and the ring keeps the oldest records.
    my @said = workload('burst=1000');
    my $status = $genl->status;
    my $happened = $status->{LAST};
    cmp_ok(sum(values %{ $status->{LOST} }), '>', 1000, 'some are lost');
    my ($errno, $head, @held) = $genl->replay(0);
    is($errno, 0, 'REPLAY');
    is(@held + sum(values %{ $status->{LOST} }), $happened, 'held and lost events add up to all');
    is(continuity(0, @held)->{holes}, 0, 'held events have no gap');

    # A listener joins, and START has sent the earlier records: then the loss is reported, and new events.
    $genl->{largest} = 0;
    $genl->join_group;
    $genl->start(qw(fork exit));
    my @records = $genl->records(0.5);
    ok($genl->{largest} > 8192 && $genl->{largest} <= 16384, "no message is longer than 16 KiB: $genl->{largest}");
    my ($pid) = child(sub { 0 });
    push @records, $genl->records(0.5);
    my $found = continuity(0, @records);
    is_deeply([@$found{qw(holes doubles)}], [0, 0], 'every number is reported, or reported as lost');
    is($found->{lost}, sum(values %{ $status->{LOST} }), 'as many as STATUS reports');
    is($found->{last}, $genl->status->{LAST}, 'to the last one');
    is(scalar(of($pid, @records)), 2, 'later events are reported');
    ok((!grep { $_->{TYPE} eq 'lost' && !($_->{SINCE} > 0 && $_->{SINCE} <= $_->{TIME}) } @records), 'it has its begin');
    my %count = (fork => types('fork', @records), exit => types('exit', @records));
    # In addition: the shell that starts them, both sides of its pipe, and the last process.
    is($count{fork} + $status->{LOST}{fork}, @said + 4, 'the forks reported and lost are those that happened');
    is($count{exit} + $status->{LOST}{exit}, @said + 4, 'exits too');
};

subtest 'an overrun is mended by REPLAY' => sub {
    load(ring => 4096);
    my $genl = Genl->new(buffer => 4096);
    $genl->join_group;
    $genl->start(qw(fork exit));
    my @said = workload('burst=2000');
    my @records = $genl->records(0.5);
    cmp_ok($genl->{overruns}, '>', 0, 'the socket was overrun');
    my $broken = continuity(0, @records);
    my $asker = Genl->new;
    my $from = 0;
    my @whole;
    for (@records) { last if $_->{SEQ} != $from + 1; $from = $_->{SEQ}; push @whole, $_ }
    my ($errno, $head, @replayed) = $asker->replay($from, INSTANCE => $asker->status->{INSTANCE});
    is($errno, 0, "REPLAY from $from");
    ok($asker->{largest} > 4096 && $asker->{largest} <= 32768, "no message is longer than 32 KiB: $asker->{largest}");
    cmp_ok($head->{FIRST}, '<=', $from + 1, 'the ring still holds it');
    my $found = continuity(0, @whole, @replayed);
    is_deeply([@$found{qw(holes doubles lost)}], [0, 0, 0], 'nothing is missing, nothing double');
    my %exit = exits(@whole, @replayed);
    is(scalar(grep { !$exit{ $_->{pid} } } @said), 0, 'each of 2000 processes has its exit');

    ($errno) = $asker->replay(0, INSTANCE => 1);
    is($errno, ESTALE, 'REPLAY of another instance is refused');
};

subtest 'a REPLAY while the ring goes round' => sub {
    load(ring => 64);
    my $genl = Genl->new(buffer => 64 << 20);
    $genl->join_group;
    $genl->start(qw(fork exit));
    workload('burst=500');
    my $asker = Genl->new;
    my $pid = fork // die;
    if (!$pid) { workload('burst=1500'); POSIX::_exit(0) }
    my ($bad, $times) = (0, 0);
    for (1 .. 20) {
        my ($errno, $head, @records) = $asker->replay(0);
        $times++ if !$errno;
        # Overwritten records are gaps; order and content stay valid.
        for (1 .. $#records) { $bad++ if $records[$_]{SEQ} <= $records[ $_ - 1 ]{SEQ} || !$records[$_]{TYPE} }
    }
    waitpid $pid, 0;
    is($times, 20, 'each is answered');
    is($bad, 0, 'in order');
    my $found = continuity(0, $genl->records(0.5));
    is_deeply([@$found{qw(holes doubles lost)}], [0, 0, 0], 'and a listener misses nothing');
};

subtest 'grace' => sub {
    # Long, so that a slow machine can come back within it.
    load(grace => 60);
    my $types = sub { Genl->new->status->{ARMED} };
    my $genl = Genl->new(buffer => 16 << 20);
    $genl->join_group;
    $genl->start(qw(fork exit));
    my ($last) = map { $_->{SEQ} } ($genl->records(0.3))[-1];
    undef $genl;
    is($types->(), Genl::mask(qw(fork exit)), 'the types of a listener stay armed when it leaves');
    my @said = workload('burst=100');
    $genl = Genl->new(buffer => 16 << 20);
    $genl->join_group;
    $genl->start(qw(fork exit));
    my ($errno, $head, @replayed) = $genl->replay($last);
    my %exit = exits(@replayed);
    is(scalar(grep { !$exit{ $_->{pid} } } @said), 0, 'a listener that returns has missed nothing');
    is(types('armed', @replayed), 0, 'nothing had changed');
    parameter('grace', 1);
    undef $genl;
    my $tries = 0;
    sleep 0.1 while $types->() && $tries++ < 600;
    is($types->(), 0, 'after the grace time nothing is armed');
    my $before = Genl->new->status->{LAST};
    workload('burst=10');
    is(Genl->new->status->{LAST}, $before, 'and nothing reported');
    $genl = Genl->new;
    $genl->start('exit');
    ($errno, $head, @replayed) = $genl->replay($head->{LAST});
    is_deeply([map { $_->{MASK} } grep { $_->{TYPE} eq 'armed' } @replayed], [0, Genl::mask('exit')],
        'REPLAY reports the time without events');
    is($genl->stop, 0, 'STOP');
    is($types->(), 0, 'ends it at once');
    isnt($genl->stop, 0, 'and only once');
    is(parameter('grace'), 1, 'the parameter is readable');
    parameter('grace', 0);
    $genl->start('exit');
    undef $genl;
    is($types->(), 0, 'and can be changed: 0 is no grace at all');
};

ok(unload(), 'the module unloads');
done_testing;
