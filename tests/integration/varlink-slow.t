#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Subscribers on the Varlink face that do not read cost no memory beyond their sockets and the rest of one reply, and do not
# delay others. When they read again, they get the exact number of missed events. Clients that call and do not read cost no
# more either.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(now_usec slow true);
use Forkbus::Exact;
use Test::More;

use constant {
    BLOCK => 500,
    LAPS  => 10,
    LOG   => 512 * 1024,
    STUCK => 40,

    # EncodingCache= below, which all share, and for each stuck subscriber the rest of a reply and a chunk of lines.
    GROWTH_KIB => 1024 + 40 * 64,
};

my $feed   = Forkbus::Feed->new(log_size => LOG, config => { Limits => { EncodingCache => '1M' } });
my $broker = $feed->broker;

my $written = 0;

sub block {
    my ($count) = @_;
    return join '', map {
        $written++;
        sprintf '{"type":"fork","timeUsec":%d,"bootUsec":%d,"pid":%d,"startUsec":%d,"ppid":1,"uid":%d,"comm":"number %d"}'
          . "\n", 1700000000000000 + $written, $written, 100 + $written % 1000, $written, $written % 7, $written
    } 1 .. $count;
}

my $reader = $broker->varlink->subscribe;
$reader->wait_ready;
my @stuck = map { $broker->varlink->subscribe($_ % 2 ? undef : { filter => { comm => "*$_*" } }) } 1 .. STUCK;
$_->wait_ready for @stuck;
my $place = (split /:/, $stuck[0]{cursor})[1];

# A client that sends calls all the time, and does not read the answers.
my $asker = $broker->varlink;
my $info  = $asker->text_of('org.varlink.service.GetInterfaceDescription', { interface => 'org.forkbus1' });
my $asked = 0;
while (defined(my $count = syswrite $asker->{socket}, $info x 100)) {
    $asked += $count;
}
ok($!{EAGAIN}, "calls of a client that reads no answers are no longer read, after $asked bytes");

# The first lap may fill caches, buffers of sockets, pools.
my $pid = $feed->write_beside(block(BLOCK), 40);
waitpid $pid, 0;
$feed->settle;
my $before = $broker->memory;

my $log     = $broker->status->{log};
my $per_lap = ($log->{nextSeq} - $log->{firstSeq}) * LOG / $log->{used};
my $times   = int(LAPS * $per_lap / BLOCK) + 1;
my $filled  = $log->{nextSeq} - 1;
my $goal    = $filled + $times * BLOCK;
$pid = $feed->write_beside(block(BLOCK), $times);
my @reported = $reader->catch_up($broker, $goal);
waitpid $pid, 0;
is($feed->settle, $goal, 'all that was written is in the log, ' . int($times * BLOCK / $per_lap) . ' times round');
my $after = $broker->memory;
SKIP: {
    skip 'the memory is not only its own', 1 if slow();
    cmp_ok($after - $before, '<=', GROWTH_KIB, "memory: $before KiB before, $after KiB after");
}

# Check that events are in order, and that each loss is exactly the gap. Return: the last number, losses, errors.
sub follow {
    my ($next, @events) = @_;
    my ($lost, @wrong) = (0);
    for my $event (@events) {
        if ($event->{type} eq 'lost') {
            $lost++;
            push @wrong, "reason $event->{reason}" if $event->{reason} ne 'slow';
            push @wrong, "from $event->{from} instead of $next" if $event->{from} != $next;
            push @wrong, "count $event->{count}" if $event->{count} != $event->{to} - $event->{from} + 1;
            $next = $event->{to} + 1;
        } else {
            push @wrong, "$event->{seq} instead of $next" if $event->{seq} != $next;
            $next = $event->{seq} + 1;
        }
    }
    return ($next, $lost, splice @wrong, 0, 10);
}

my ($next, $lost, @wrong) = follow($reported[0]{type} eq 'lost' ? $reported[0]{from} : $reported[0]{seq}, @reported);
is_deeply(\@wrong, [], "a client that reads gets all events, or the exact number of lost ones ($lost losses)");
is($next, $goal + 1, 'up to the end');

$log = $broker->status->{log};
my @late = $stuck[0]->catch_up($broker, $goal);
($next, $lost, @wrong) = follow($place + 1, @late);
is_deeply(\@wrong, [], 'a stuck subscriber gets complete replies, and its loss is exact');
is($lost, 1, 'in one loss');
is((grep { $_->{type} eq 'lost' } @late)[0]{to}, $log->{firstSeq} - 1, 'which ends where the log begins');
is($next, $goal + 1, 'and all else up to the end');

# After this they get live events again.
$feed->write(split /\n/, block(10));
my $end = $feed->settle;
is(scalar($stuck[0]->forget->catch_up($broker, $end)), 10, 'then it gets current events');

sub comm_at {
    my ($seq) = @_;
    return 'number ' . (2 * BLOCK + $seq - $goal) if $seq > $goal;
    return 'number ' . (($seq > $filled ? BLOCK : 0) + 1 + ($seq - $place - 1) % BLOCK);
}

# One with a costly pattern can also lose events before its socket is full, where the feed is faster than its search of the log.
for my $i (1 .. $#stuck) {
    my $pattern = $i % 2 ? qr/@{[$i + 1]}/ : qr//;
    my @events = map { $_->{seq} // ($_->{type} eq 'lost' ? $_ : ()) } $stuck[$i]->catch_up($broker, $end);
    @wrong = inexact($place + 1, $end, sub { comm_at($_[0]) =~ $pattern }, @events);
    is_deeply(\@wrong, [], 'so it is with the others: ' . ($i + 1));
}

# The calling client gets complete answers to all accepted calls.
my $whole = int($asked / length $info);
$asker->expect(('org.varlink.service.GetInterfaceDescription') x ($whole + 1))->end_input;
my $answers = 0;
while (my $reply = $asker->reply) {
    $answers++ if length $reply->{parameters}{description} == length $asker->description('org.forkbus1');
}
is($answers, $whole, 'a client that called without reading gets all answers when it reads');

Forkbus::Varlink->as_described;
$broker->stop;
done_testing;
