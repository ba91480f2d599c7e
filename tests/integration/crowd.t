#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A thousand subscribers of a hundred users: a tenth stops reading, a tenth reconnects again and again. Each gets all events of
# its user and none of another's, as long as they fit the log; what does not fit is reported as lost, exactly. The broker's
# memory stays within what is configured. All the time one more user attacks the broker.
#
# 20,000 events a second are published for 5 seconds; with FORKBUS_LONG=1 (make check-long) for a minute.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json parse run slow);
use Test::More;
use Time::HiRes 'time';

Forkbus->needs_root;

use constant {
    USERS => 100,
    STEP  => 50,          # µs between two events
    BASE  => 64400,       # the first user; the attacker is the one after the last
    CACHE => 8 * 1024,    # KiB, EncodingCache= below
};

my $per_user    = slow() ? 1 : 10;
my $subscribers = USERS * $per_user;
my $seconds     = $ENV{FORKBUS_LONG} ? 60 : 5;

# As many of each user, and of the attacker: two for each process.
my $each   = int((slow() ? 20_000 : $seconds * 1_000_000 / STEP) / (2 * (USERS + 1))) * 2;
my $events = $each * (USERS + 1);

# One user gets at most a quarter of the memory for 4096 connections (see BUDGET in forkbusd.conf(5)): 8 KiB each for filters, 32
# for requests and unsent lines, 16 for trees.
use constant ATTACKER => 4096 * (8 + 32 + 16) / 4;

sub crowd {
    my ($log_size) = @_;
    my $feed = Forkbus::Feed->new(
        speed    => 1,
        log_size => $log_size,
        config   => { Limits => { Connections => 4096, EncodingCache => '8M' } }
    );
    my $broker = $feed->broker;
    my $before = $broker->memory;
    my $attack = Forkbus::Attack->start($broker, uid => BASE + USERS);
    my $began  = time;
    my ($status, $out, $err) = run([
            Forkbus->helper('crowd'),
            $broker->stream, $feed->path, BASE, USERS, $subscribers, $events, STEP
        ],
        seconds => 20 * $seconds + 20 * Forkbus::patience());
    is($status, 0, "log of $log_size: the crowd has what it waits for") or diag($err);
    my $totals = parse($out);
    my $memory = $broker->memory - $before;
    my $took = time - $began;
    diag(sprintf '%d events in %.1f s with connecting, memory grown by %d KiB, turns up to %d µs: %s', $events, $took, $memory,
        $broker->status->{longestTurn}{sinceStartUsec}, json($totals));
    my $attacks = $attack->stop;
    cmp_ok($attacks->{$_}, '>', 0, "attacks: $_") for grep { $_ ne 'descriptors' } sort keys %$attacks;
    return ($broker, $totals, $memory);
}

sub sum_of {
    my ($totals, $key) = @_;
    my $sum = 0;
    $sum += $_->{$key} for values %$totals;
    return $sum;
}

# All of it fits: an event takes less than 250 bytes there.
my ($broker, $totals, $memory) = crowd((16 + int $events * 250 / 1_000_000) . 'M');
my $wanted = $each * $subscribers;
is(sum_of($totals, 'foreign'), 0,       'nobody gets an event of another user');
is(sum_of($totals, 'missing'), 0,       'nobody misses an event without a report');
is(sum_of($totals, 'lost'),    0,       'nothing is lost that fits the log, not even by who stopped');
is(sum_of($totals, 'events'),  $wanted, 'each subscriber gets each event of its user, once');
SKIP: {
    skip 'the memory is not only its own', 1 if slow();
    # The encoded events, for each subscriber its state and the rest of a line, and what the attacker may have.
    cmp_ok($memory, '<=', CACHE + $subscribers * 4 + ATTACKER, "the broker's memory grows by no more than is configured");
}
my $reconnecting = $totals->{reconnecting};
cmp_ok($reconnecting->{connections}, '>', $reconnecting->{done}, 'there were reconnections') if !slow();
$broker->stop;

# A log that holds a fraction of it: those who stopped lose events, and know which.
($broker, $totals) = crowd('1M');
is(sum_of($totals, 'foreign'), 0, 'a small log: nobody gets an event of another user');
is(sum_of($totals, 'missing'), 0, 'and nobody misses an event without a report');
is(sum_of($totals, 'events') + sum_of($totals, 'lost'), $wanted, 'each event is received or reported as lost');
cmp_ok($totals->{stopped}{lost}, '>', 0, 'those who stopped have lost events') if !slow();
$broker->stop;
done_testing;
