#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A subscriber resumes after the broker was killed or stopped: it gets all events of the log, then a loss that covers the
# outage, then live events. An invalid cursor gets a clear error.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(is_exit_of json now_usec);
use Test::More;

sub position { return (split /:/, $_[0])[1] }
sub epoch    { return (split /:/, $_[0])[0] }

# Return: errors in numbers that must be consecutive.
sub holes {
    my ($next, @events) = @_;
    my @wrong;
    for my $event (grep { exists $_->{seq} } @events) {
        push @wrong, "$event->{seq} instead of $next" if $event->{seq} != $next;
        $next = $event->{seq} + 1;
    }
    return @wrong;
}

# The losses that the restarted broker reports for the outage; other programs may cause losses of other kinds.
sub is_outage {
    my ($event) = @_;
    return $event->{type} eq 'lost' && ($event->{detail} // '') =~ /not running/;
}

# --- over an outage -------------------------------------------------------------------------------------------------

# A signal ends the broker while events are published, and it is started again.
sub outage {
    my ($signal) = @_;
    my $broker   = Forkbus->broker(source => 'connector', log_size => '8M');
    my $workload = Forkbus::Workload->start(arguments => ['loop=1'])->go;
    my $stream   = $broker->subscribe({});
    my $count    = 0;
    $stream->wait_for(sub { ($_->{ppid} // 0) == $workload->pid && $_->{type} eq 'exit' && ++$count == 100 }, 'exits');
    my $cursor = epoch($broker->status->{cursor}) . ":$stream->{events}[-1]{seq}";
    $stream->forget;
    $stream->wait_for(sub { ($_->{ppid} // 0) == $workload->pid && $_->{type} eq 'exit' && ++$count == 300 }, 'exits');

    $broker->end($signal);
    my $gone = now_usec();
    my @seen = $stream->events;
    push @seen, map { Forkbus::parse($_) } $stream->rest;

    # A process that no broker reports.
    my %unreported = (kind => 'unreported', beginUsec => now_usec());
    $unreported{pid} = fork // die "fork: $!\n";
    POSIX::_exit(0) if !$unreported{pid};
    waitpid $unreported{pid}, 0;
    my $back_after = $unreported{endUsec} = now_usec();
    $broker->restart;

    my $back = $broker->subscribe({ since => $cursor });
    $count = 0;
    $back->wait_for(sub { is_outage($_) }, 'the loss');
    $back->wait_for(sub { ($_->{ppid} // 0) == $workload->pid && $_->{type} eq 'exit' && ++$count == 50 }, 'live events');
    my @lived = $workload->finish;
    $back->settle;
    my @reported = $back->events;

    is(epoch($broker->status->{cursor}), epoch($cursor), "$signal: the log is continued");
    is_deeply([holes(position($cursor) + 1, @reported)], [], "$signal: nothing is missing or doubled after the cursor");
    my %reported = map { $_->{seq} => $_ } @reported;
    is_deeply([map { $reported{ $_->{seq} } } grep { exists $_->{seq} } @seen], [grep { exists $_->{seq} } @seen],
        "$signal: what was reported before is reported in the same words");
    my @lost = grep { is_outage($_) } @reported;
    is(scalar @lost, 1, "$signal: there is one loss");
    is($lost[0]{reason}, 'unarmed', "$signal: because there was no listener");
    cmp_ok($lost[0]{sinceUsec}, '<=', $gone, "$signal: it begins before the broker was gone");
    cmp_ok($lost[0]{untilUsec}, '>=', $back_after,  "$signal: and ends after it came back");
    ok(!(grep { is_exit_of($_, \%unreported) } @reported), "$signal: processes that lived only meanwhile are not reported");

    # A process whose end is not reported ended in the time of the reported loss.
    my %exits;
    push @{ $exits{ $_->{pid} } }, $_ for grep { $_->{type} eq 'exit' } @reported;
    my $is_reported = sub { my ($made) = @_; grep { is_exit_of($_, $made) } @{ $exits{ $made->{pid} } // [] } };
    shift @lived while @lived && !$is_reported->($lived[0]);
    my @missing = grep { !$is_reported->($_) } @lived;
    cmp_ok(@lived - @missing, '>', 100, "$signal: many are reported: of " . @lived . ' all but ' . @missing);
    my @losses      = grep { $_->{type} eq 'lost' } @reported;
    my @unexplained = grep {
        my $made = $_;
        !grep { $made->{endUsec} >= $_->{sinceUsec} && $made->{beginUsec} <= $_->{untilUsec} } @losses
    } @missing;
    is_deeply(\@unexplained, [], "$signal: unreported processes ended in the time of the loss")
      or diag(json([\@losses, \@unexplained]));
    $broker->stop($signal);
}

SKIP: {
    my $reported = Forkbus->probe('connector');
    skip "the proc connector cannot be heard here: $reported->{found}", 1 if !$reported->{works};
    outage('KILL');
    outage('TERM');
}

# --- cursors and times ----------------------------------------------------------------------------------------------

my $feed   = Forkbus::Feed->new(log_size => '512K');
my $broker = $feed->broker;
my $now    = now_usec();
my $number = 0;

sub session {
    my ($time) = @_;
    return { type => 'session', timeUsec => $time, pid => 1, startUsec => 1, comm => 'number ' . ++$number };
}

$feed->write(map { session($now) } 1 .. 100);
my $last  = $feed->settle;
my $epoch = epoch($broker->status->{cursor});

# Return: all later events, up to the last one.
sub reported_since {
    my ($since) = @_;
    my $stream = $broker->subscribe({ since => $since, types => ['session'] });
    $stream->catch_up($broker, $last);
    return $stream->events;
}

is_deeply([map { $_->{seq} } reported_since("$epoch:$last")], [], 'from the end on there is nothing');
is_deeply([map { $_->{seq} } reported_since("$epoch:" . ($last - 3))], [$last - 2 .. $last], 'after a cursor, all later events');
my @since = reported_since('-1h 2min');
is(scalar(grep { $_->{type} eq 'session' } @since), 100, 'since a time before all events: all of them');
is(scalar(grep { $_->{type} eq 'lost' } @since), 0, 'and no loss, as nothing was forgotten');
is(scalar(reported_since('-0s')), 0, 'since now: nothing');

my @other = reported_since('0123456789abcdef:5');
is($other[0]{type} . ' ' . ($other[0]{reason} // ''), 'lost epoch', 'a cursor of another log: its events are lost');
is(scalar(grep { $_->{type} eq 'session' } @other), 100, 'and all of this one is reported');

# Impossible requests.
for my $since ("$epoch:" . ($last + 1), "$epoch:18446744073709551615") {
    my @answer = map { Forkbus::parse($_) } $broker->subscribe({ since => $since })->rest;
    is(scalar @answer, 1, 'a cursor from the future is refused');
    is($answer[0]{key}, 'since', 'by its key');
    like($answer[0]{detail}, qr/future/, 'which names the reason');
}
for my $since ('', ':', '5', "$epoch:", "$epoch:x", "$epoch:-1", "$epoch:1:1", "$epoch:18446744073709551616", ' -5min', '-',
    '-5parsecs', '5min', 5, ["$epoch:1"], undef, Cpanel::JSON::XS::true, substr($epoch, 1) . ':1', uc("a$epoch") . ':1')
{
    my @answer = map { Forkbus::parse($_) } $broker->subscribe({ since => $since })->rest;
    is_deeply([map { "$_->{error} $_->{key}" } @answer], ['invalidRequest since'], 'refused: ' . json($since));
}

# Overwritten events. There was an hour between the last fifty events and all others.
while ($broker->status->{log}{firstSeq} <= $last) {
    $feed->write(map { session($now - 3_600_000_000) } 1 .. 500);
    $feed->settle;
}
$feed->write(map { session($now - 1_000_000) } 1 .. 50);
my $old = $last;
$last = $feed->settle;
my $first = $broker->status->{log}{firstSeq};
my @expired = reported_since("$epoch:" . ($old - 10));
is("$expired[0]{type} $expired[0]{reason}", 'lost expired', 'events after a cursor that is too old are lost');
is_deeply([@{ $expired[0] }{qw(from to count)}], [$old - 9, $first - 1, $first - 1 - ($old - 10)], 'exactly');
is($expired[1]{seq}, $first, 'then come the remaining events');
is_deeply([holes($first, @expired)], [], 'without a hole');
@since = reported_since('-30min');
is_deeply([map { $_->{seq} } @since], [$last - 49 .. $last], 'since a time: all later events, and no loss');
my $begin = now_usec();
@since = reported_since('-10h');
my ($earliest, $latest) = map { $_ - 36_000_000_000 } $begin, now_usec();
is("$since[0]{type} $since[0]{reason}", 'lost expired', 'of a time that is too long ago, likewise');
ok($since[0]{sinceUsec} >= $earliest && $since[0]{sinceUsec} <= $latest, 'from that time')
  or diag(json([$earliest, $since[0], $latest]));
is($since[0]{untilUsec}, $since[1]{timeUsec}, 'to the oldest event that is left');
$broker->stop;
done_testing;
