#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A subscriber that does not read costs no memory beyond its socket and the rest of one line, and does not delay others. When
# it reads again, it gets the exact number of missed events.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(slow);
use Forkbus::Exact;
use Test::More;

use constant {
    BLOCK => 500,          # events that are written at once
    LAPS  => 30,           # how often the log is overwritten, at least
    LOG   => 512 * 1024,
    STUCK => 50,

    # How much the broker's own memory may grow: EncodingCache= below, which all share and which may not be full after the
        # first lap, and the rest of a line for each stuck subscriber. A single queue of all events would need 15 times as much,
        # and there are fifty subscribers.
    GROWTH_KIB => 1024 + 50 * 4,
};

my $feed   = Forkbus::Feed->new(log_size => '512K', config => { Limits => { EncodingCache => '1M' } });
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

# Some do not read, at several positions; one reads; one waits for an event that comes only at the end.
my $reader = $broker->subscribe({});
my @stuck  = map { $broker->subscribe($_ % 2 ? {} : { comm => "*$_*" }) } 1 .. STUCK - 1;
my $stuck  = $broker->subscribe({});
my $rare   = $broker->subscribe({ comm => 'the last one' });
my %ready  = map { $_ => $_->wait_ready } $reader, $stuck, $rare, @stuck;

# The first lap may fill caches, buffers of sockets, pools.
my $text  = block(BLOCK);
my $begin = position_of($ready{$reader}) + 1;
my $pid  = $feed->write_beside($text, 40);
waitpid $pid, 0;
$feed->settle;
my $before = $broker->memory;

# At full speed, while one subscriber reads.
my $log     = $broker->status->{log};
my $per_lap = ($log->{nextSeq} - $log->{firstSeq}) * LOG / $log->{used};
my $times   = int(LAPS * $per_lap / BLOCK) + 1;
my $goal    = $log->{nextSeq} - 1 + $times * BLOCK;
$pid = $feed->write_beside($text, $times);
my @lines = @{ $reader->catch_up_lines($broker, $goal) };
waitpid $pid, 0;
my $last = $feed->settle;
is($last, $goal, 'all that was written is in the log, ' . int($times * BLOCK / $per_lap) . ' times round');
my $after = $broker->memory;
SKIP: {
    skip 'the memory is not only its own', 1 if slow();
    cmp_ok($after - $before, '<=', GROWTH_KIB, "memory: $before KiB before, $after KiB after");
}

# Check that lines are complete and in order, and that each loss is exactly the gap between numbers. Return: errors.
sub follow {
    my ($next, @lines) = @_;
    my ($lost, @wrong) = (0);
    for my $line (@lines) {
        if ($line =~ /^\{"seq":(\d+),.*\}\z/) {
            push @wrong, "$1 instead of $next" if $1 != $next;
            $next = $1 + 1;
            next;
        }
        my $event = eval { Forkbus::parse($line) };
        if (!$event || $event->{type} ne 'lost' || $event->{reason} ne 'slow') {
            push @wrong, "no event: $line";
            next;
        }
        push @wrong, "from $event->{from} instead of $next" if $event->{from} != $next;
        push @wrong, "count $event->{count}" if $event->{count} != $event->{to} - $event->{from} + 1;
        $next = $event->{to} + 1;
        $lost++;
    }
    return ($next, $lost, @wrong);
}

sub position_of { return (split /:/, $_[0]{cursor})[1] }

my ($next, $lost, @wrong) = follow(position_of($ready{$reader}) + 1, @lines);
is_deeply(\@wrong, [], 'a client that reads gets all events, or the exact number of lost ones');
is($next, $last + 1, 'up to the end');
diag("the reader lost $lost times");

# Now it reads: it gets lines that were in its socket, then one loss, then the events of the log.
$log   = $broker->status->{log};
@lines = @{ $stuck->catch_up_lines($broker, $last) };
($next, $lost, @wrong) = follow(position_of($ready{$stuck}) + 1, @lines);
is_deeply(\@wrong, [], 'a stuck subscriber gets complete lines, and its loss is exact');
is($lost, 1, 'in one loss');
is($next, $last + 1, 'and all else up to the end');
my ($loss) = map { Forkbus::parse($_) } grep { /"lost"/ } @lines;
is($loss->{to}, $log->{firstSeq} - 1, 'the loss ends where the log begins');
is_deeply([grep { !eval { Forkbus::parse($_) } } @lines], [], 'every line is JSON');

# After this it gets live events again, like the others.
$feed->write(split /\n/, block(10));
$feed->write({ type => 'exec', timeUsec => 1, pid => 1, startUsec => 1, comm => 'the last one' });
my $end = $feed->settle;
is(@{ $stuck->catch_up_lines($broker, $end) } + 0, 11, 'then it gets current events');
my @rare = $rare->catch_up($broker, $end);
is_deeply([map { "$_->{type} $_->{seq}" } @rare], ["exec $end"], 'a subscriber with few matching events loses nothing');

sub comm_at {
    my ($seq) = @_;
    return 'the last one' if $seq == $end;
    return 'number ' . ($seq > $last ? BLOCK + $seq - $last : 1 + ($seq - $begin) % BLOCK);
}

# One with a costly pattern can also lose events before its socket is full, where the feed is faster than its search of the log.
for my $i (0 .. $#stuck) {
    my $pattern = $i % 2 ? qr/@{[$i + 1]}/ : qr//;
    my @reported = map { /^\{"seq":(\d+),/ ? $1 : Forkbus::parse($_) } @{ $stuck[$i]->catch_up_lines($broker, $end) };
    @wrong = inexact($begin, $end, sub { comm_at($_[0]) =~ $pattern }, @reported);
    is_deeply(\@wrong, [], 'so it is with the others: ' . ($i + 1));
}
cmp_ok($broker->status->{lost}{slow}{times}, '>=', 1, 'status counts it');
$broker->stop;
done_testing;
