#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# There are many events, and a client does not read: others lose nothing, neither the bus nor the broker grows, no client is
# disconnected, and a client that reads again gets the rest from the log, or the exact number of events that are overwritten.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec slow);
use List::Util qw(max min sum);
use Test::More;

use constant {
    BLOCK   => 500,
    BLOCKS  => 7,
    LOG     => 1024 * 1024,
    WINDOW  => 256,

    # In a tool fewer do the same, since each signal takes so long.
    READERS => slow() ? 5 : 20,
    MANY    => slow() ? 100 : 500,

    # How much the bus and the broker may grow in a flood while a client is stopped: signals on their way, 2 KiB each with the
        # overhead of the bus, and memory that allocators keep. In the broker, EncodingCache= below is full before.
    GROWTH_KIB => 5 * 1024,
};

my $made = 0;

# About 500 bytes in the log, and 700 as a signal.
sub block {
    my ($count) = @_;
    return join '', map {
        $made++;
        sprintf '{"type":"fork","timeUsec":%d,"bootUsec":%d,"pid":%d,"startUsec":%d,"ppid":1,"uid":%d,'
          . '"comm":"n%d","cgroup":"/%s"}' . "\n",
          1700000000000000 + $made, $made, 100 + $made % 100, $made, $made % 7, $made, 'x' x 400
    } 1 .. $count;
}

sub flood {
    my ($feed, $count) = @_;
    waitpid $feed->write_beside(block($count), 1), 0;
    return $feed->settle;
}

sub until_reported {
    my ($client, $path, $seq) = @_;
    return if grep { $_->{path} eq $path && $_->{to} >= $seq } @{ $client->{runs} };
    $client->wait_line(sub { exists $_->{to} && $_->{path} eq $path && $_->{to} >= $seq }, "event $seq of $path");
}

# The numbers that a client received, as ranges: "1-4711" without a gap.
sub runs {
    my ($client, $path) = @_;
    my @runs;
    for my $run (grep { $_->{path} eq $path } @{ $client->{runs} }) {
        if (@runs && $runs[-1][1] + 1 == $run->{from}) {
            $runs[-1][1] = $run->{to};
        } else {
            push @runs, [@$run{qw(from to)}];
        }
    }
    return join ' ', map { "$_->[0]-$_->[1]" } @runs;
}

sub losses {
    my ($client, $path) = @_;
    return map { Forkbus::BusClient::event_of($_) } grep { $_->{signal} eq 'Lost' } $client->signals($path);
}

# Wait until no more signals arrive. Return: the number of signals.
sub comes_to_rest {
    my ($root, $since, @paths) = @_;
    my ($sent, $same) = (-1, 0);
    Forkbus->wait_until(sub {
        my $before = $sent;
        $sent = sum(map { $root->get('Sent', $_) } @paths) - $since;
        $same = $sent == $before && $sent >= WINDOW / 2 ? $same + 1 : 0;
        return $same > 5;
    }) or die "it does not come to rest: $sent";
    return $sent;
}

# --- one client is stopped, others read ------------------------------------------------------------------------------

sub test_stopped {
    my ($feed, $bus, $kind) = @_;
    my $broker = $feed->broker;
    my $root   = $bus->client;
    my @readers = map { $bus->client(runs => 1) } 1 .. READERS;
    my %path    = map { $_->name => $_->subscribe({}) } @readers;
    my $first   = $broker->status->{log}{nextSeq};
    my $stopped = $bus->client(runs => 1);
    my @paths   = map { $stopped->subscribe({}) } 1 .. 3;

    # Blocks of events that fit the log, one after the other, so that readers can keep up. This fills all caches.
    my $run = sub {
        my ($blocks) = @_;
        my $end;
        for (1 .. $blocks) {
            $end = flood($feed, BLOCK);
            until_reported($_, $path{ $_->name }, $end) for @readers;
        }
        return $end;
    };
    my $end = $run->(3);
    until_reported($stopped, $_, $end) for @paths;
    my ($bus_before, $broker_before) = ($bus->memory, $broker->memory);

    # The log has all events.
    my $sent = sum(map { $root->get('Sent', $_) } @paths);
    $stopped->signal_process('STOP');
    my $stop = $end;
    $end = $run->(3);
    my $under_way = comes_to_rest($root, $sent, @paths);
    cmp_ok($under_way, '<=', WINDOW, "$kind: $under_way signals are pending for a stopped client");
    cmp_ok($under_way, '>=', WINDOW / 2, 'as many as may be');
    $stopped->signal_process('CONT');
    until_reported($stopped, $_, $end) for @paths;
    is_deeply([map { runs($stopped, $_) } @paths], [("$first-$end") x 3], 'it reads again, and gets the rest from the log');
    is_deeply([map { losses($stopped, $_) } @paths], [], 'nothing is lost');

    # The log overwrites events that it did not get.
    $sent = sum(map { $root->get('Sent', $_) } @paths);
    $stopped->signal_process('STOP');
    $stop = $end;
    $end  = $run->(BLOCKS);
    $under_way = comes_to_rest($root, $sent, @paths);
    cmp_ok($under_way, '<=', WINDOW, "and stopped again, $under_way");
    my $log = $broker->status->{log};
    cmp_ok($log->{firstSeq}, '>', $stop + WINDOW, 'the log has passed it');
  SKIP: {
        skip 'the memory is not only its own', 1 if slow();
        my $growth = $broker->memory - $broker_before;
        cmp_ok($growth, '<=', GROWTH_KIB, "the broker has grown by $growth KiB of " . GROWTH_KIB);
    }
    my $growth = $bus->memory - $bus_before;
    cmp_ok($growth, '<=', GROWTH_KIB, "the bus by $growth KiB: what happened comes to "
        . int(@paths * BLOCKS * BLOCK * 0.7) . ' KiB');
    $stopped->signal_process('CONT');
    until_reported($stopped, $_, $end) for @paths;
    for my $path (@paths) {
        my @losses = losses($stopped, $path);
        is(scalar @losses, 1, 'it reads again: one loss');
        my $lost = $losses[0];
        is($lost->{reason}, 'slow', 'by its own slowness');
        is($lost->{to}, $log->{firstSeq} - 1, 'up to where the log begins');
        is($lost->{count}, $lost->{to} - $lost->{from} + 1, 'counted');
        is(runs($stopped, $path), "$first-" . ($lost->{from} - 1) . ' ' . ($lost->{to} + 1) . "-$end",
            'and all else is there, once');
        is($root->get('Dropped', $path), $lost->{count}, 'the property Dropped has the same number');
    }

    # All the others.
    my @wrong = grep { $_ ne "$first-$end" } map { runs($_, $path{ $_->name }) } @readers;
    is_deeply(\@wrong, [], READERS . " others have received each of " . ($end - $first + 1) . ' events, once');
    is_deeply([map { losses($_, $path{ $_->name }) } @readers], [], 'none has lost any');
    unlike($bus->said, qr/disconnect/i, 'the bus has disconnected no client') or diag($bus->said);
    unlike($broker->stderr, qr/has gone|does not let/, 'nor the broker');
    $_->leave for @readers, $stopped;
    Forkbus->wait_until(sub { $root->get('Subscribers') == 0 });
}

# --- many subscriptions ----------------------------------------------------------------------------------------------

sub test_many {
    my ($feed, $bus, $kind) = @_;
    my $broker  = $feed->broker;
    my $root    = $bus->client;
    my @clients = map { $bus->client(runs => 1) } 1 .. 10;
    my %paths;
    for my $client (@clients) {
        $paths{ $client->name } = [map { $client->subscribe({}) } 1 .. MANY / @clients];
    }
    is($root->get('Subscribers'), MANY, "$kind: " . MANY . ' subscriptions');
    my $first = $broker->status->{log}{nextSeq};
    my $end   = flood($feed, 100);
    for my $client (@clients) {
        until_reported($client, $_, $end) for @{ $paths{ $client->name } };
    }
    my @wrong = grep { $_ ne "$first-$end" } map { my $client = $_; map { runs($client,
        $_) } @{ $paths{ $client->name } } } @clients;
    is_deeply(\@wrong, [], 'each gets every event once');

    # No subscription of a connection is favoured: under load all of them get events.
    my $one = $clients[0];
    my @of_one = @{ $paths{ $one->name } };
    $_->leave for @clients[1 .. $#clients];
    $one->signal_process('STOP');
    $first = $end + 1;
    $end = flood($feed, 3 * BLOCK);
    my $most = sub { max(map { $_->{path} eq $_[0] ? $_->{to} : 0 } @{ $one->{runs} }) };
    $one->signal_process('CONT');
    $one->{runs} = [];
    $one->wait_line(sub { exists $_->{to} && $_->{to} >= $end - BLOCK }, 'two thirds');
    my @places = map { $most->($_) } @of_one;
    cmp_ok(min(@places), '>=', $first + BLOCK / 2, 'when one of ' . @of_one . ' subscriptions of a connection has two thirds,'
          . ' the last is at ' . (min(@places) - $first)) or diag("@places");
    $one->leave;
    Forkbus->wait_until(sub { $root->get('Subscribers') == 0 });
}

# --- clients that do not answer --------------------------------------------------------------------------------------

# A user has more unresponsive clients than the broker pings at once: other users are not affected.
sub test_unanswered {
    my ($feed, $bus, $kind) = @_;
    my ($uid, $other) = map { scalar getpwnam $_ } qw(nobody games);
    return note('there are no two ordinary users with names, or no root') if $> != 0 || !defined $uid || !defined $other;
    my $root    = $bus->client;
    my @stopped = map { $bus->client(runs => 1, uid => $uid) } 1 .. 12;
    my @paths   = map { $_->subscribe({ types => ['lost'] }) } @stopped;
    my @readers = ($bus->client(runs => 1, uid => $other), $bus->client(runs => 1));
    my $late    = $bus->client(runs => 1, uid => $uid);
    my $text = sub {
        my ($count) = @_;
        return join '', map {
            $made++;
            map { json({ type => 'fork', timeUsec => now_usec(), pid => $made, startUsec => $made, uid => $_ })
                . "\n" } $uid, $other
        } 1 .. $count;
    };
    my @live = map { $_->subscribe({}) } @stopped;
    $_->signal_process('STOP') for @stopped;
    my @reading = map { $_->subscribe({}) } @readers;
    my $first = $feed->broker->status->{log}{nextSeq};
    waitpid $feed->write_beside($text->(400), 1), 0;
    $feed->settle;
    comes_to_rest($root, 0, $_) for @live;
    my $path = $late->subscribe({});
    for (1 .. 3) {
        waitpid $feed->write_beside($text->(400), 1), 0;
    }
    my $end = $feed->settle;
    until_reported($readers[0], $reading[0], $end);
    until_reported($readers[1], $reading[1], $end);
    is(runs($readers[1], $reading[1]), "$first-$end", "$kind: 12 of a user are stopped: root gets all");
    my $count = sum(map { $_->{to} - $_->{from} + 1 } @{ $readers[0]{runs} });
    is($count, 4 * 400, 'another user gets all');
    $_->leave for @stopped;
    my $last = $end - 1;
    until_reported($late, $path, $last);
    is(sum(map { $_->{to} - $_->{from} + 1 } @{ $late->{runs} }), 3 * 400, 'the same user when they have gone');
    is_deeply([losses($late, $path)], [], 'and nothing is lost');
}

# A bus with a shorter timeout than the broker's, which sends an error in place of the missing answer. But the broker must answer
# the calls of this test in time.
sub test_impatient {
    my $timeout = slow() ? 5000 : 1000;
    my $bus = Forkbus::Bus->start('dbus-daemon', policies => qq(  <limit name="reply_timeout">$timeout</limit>\n));
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($bus->has_owner, 'a bus that soon answers in the place of others');
    my $client  = $bus->client(runs => 1);
    my $path    = $client->subscribe({});
    my $first   = $feed->broker->status->{log}{nextSeq};
    my $monitor = $bus->watch('busctl', "--address=${\$bus->address}", '--json=short', 'monitor');
    $monitor->says(qr/Monitoring bus/);
    $client->signal_process('STOP');
    my $end = flood($feed, 2 * BLOCK);
    ok($monitor->says(qr/"error_name":"org\.freedesktop\.DBus\.Error\.NoReply"/), 'it does');
    my $under_way = comes_to_rest($bus->client, 1, $path);
    cmp_ok($under_way, '<=', WINDOW, "that is no answer: $under_way signals are on their way, and no more");
    $client->signal_process('CONT');
    until_reported($client, $path, $end);
    is(runs($client, $path), "$first-$end", 'a client that reads again is pinged again, and gets all');
    unlike($feed->broker->stderr, qr/does not let/, 'and nothing is wrong');
    $monitor->stop;
    $feed->broker->stop('impatient');
    $bus->stop;
}

my @kinds = Forkbus::Bus->kinds;
test_impatient() if grep { $_ eq 'dbus-daemon' } @kinds;
for my $kind (@kinds) {
    note($kind);
    my $bus = Forkbus::Bus->start($kind);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env, log_size => LOG,
        config => { Limits => { EncodingCache => '1M' } });
    ok($bus->has_owner, "$kind: the broker is there");
    test_stopped($feed, $bus, $kind);
    test_many($feed, $bus, $kind);
    test_unanswered($feed, $bus, $kind);
    $feed->broker->stop($kind);
    $bus->stop;
}
done_testing;
