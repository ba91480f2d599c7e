#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Changes on the bus: subscribers that end, a restart of the bus or of the broker, a name that another program owns.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec true);
use List::Util 'sum';
use Test::More;

use constant { BUS_ERROR => 'org.freedesktop.DBus.Error.', WINDOW => 256 };
use constant DRIVER => ('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus');

my $made = 0;

sub block {
    my ($count) = @_;
    return join '', map {
        $made++;
        json({ type => 'fork', timeUsec => now_usec(), pid => $made, startUsec => $made, ppid => 1, uid => 0,
            comm => "p$made" }) . "\n"
    } 1 .. $count;
}

sub flood {
    my ($feed, $count) = @_;
    waitpid $feed->write_beside(block($count), 1), 0;
    return $feed->settle;
}

# Check that the broker works: a new subscription gets an event.
sub works {
    my ($feed, $bus, $name) = @_;
    my $client = $bus->client;
    my $path   = $client->subscribe({});
    my $seq    = flood($feed, 1);
    my @reported   = $client->catch_up($path, $seq);
    return is($reported[-1]{signal}, 'ProcessForked', $name);
}

# --- subscribers -----------------------------------------------------------------------------------------------------

sub test_deaths {
    my ($feed, $bus) = @_;
    my $broker = $feed->broker;
    my $root   = $bus->client;
    my %ways   = (
        'killed'               => sub { $_[0]->leave },
        'ended'                => sub { $_[0]->end },
        'killed while stopped' => sub {
            my ($client, @paths) = @_;
            $client->signal_process('STOP');
            flood($feed, 2 * WINDOW);
            waits_for_answer($root, @paths);
            $client->leave;
        },
    );
    # Calls may arrive before the broker knows that it owns its name.
    ok($broker->says(qr/on the \w+ bus as /), 'the broker has its name');
    my $said = length $broker->stderr;
    for my $how (sort keys %ways) {
        my $client = $bus->client;
        my @paths = map { $client->subscribe({ comm => "*$_" }) } 0 .. 8;
        push @paths, $client->subscribe({});
        is($root->get('Subscribers'), scalar @paths, "$how: it has " . @paths . ' subscriptions');
        $ways{$how}->($client, @paths);
        ok(Forkbus->wait_until(sub { $root->get('Subscribers') == 0 }), 'they go with it');
        is_deeply([grep { ($root->get('Sent', $_)->{error} // '') ne BUS_ERROR . 'UnknownObject' } @paths], [],
            'and their objects');
        is($broker->status->{views}, 0, 'and all that was kept for them');
    }
    is(substr($broker->stderr, $said), '', 'the broker finds nothing remarkable in that');

    # Others are not affected: errors for clients that died are not taken for a refusal by the bus.
    my $reader = $bus->client(runs => 1);
    my $path   = $reader->subscribe({});
    my @dying  = map { my $client = $bus->client; [$client, $client->subscribe({})] } 1 .. 5;
    $_->[0]->signal_process('STOP') for @dying;
    my $end   = flood($feed, 2 * WINDOW);
    for (@dying) {
        waits_for_answer($root, $_->[1]);
        $_->[0]->leave;
        $end = flood($feed, 2 * WINDOW);
    }
    $reader->wait_line(sub { exists $_->{to} && $_->{to} >= $end }, "event $end");
    pass('meanwhile another one reads all');
    is(substr($broker->stderr, $said), '', 'and the broker logs nothing');

    # It may subscribe again at once.
    works($feed, $bus, 'new clients are served');
}

# Publish until so many signals are pending for a stopped client that the broker pings it.
sub waits_for_answer {
    my ($root, @paths) = @_;
    Forkbus->wait_until(sub { sum(map { $root->get('Sent', $_) } @paths) >= WINDOW / 2 }) or die 'nothing is sent';
}

# --- the bus ---------------------------------------------------------------------------------------------------------

sub test_restarts {
    my ($feed, $bus) = @_;
    my $broker = $feed->broker;
    for my $time (1 .. 2) {
        my $client = $bus->client;
        my @paths  = map { $client->subscribe({ snapshot => true }) } 1 .. 3;
        my $said   = length $broker->stderr;
        $bus->stop;
        ok($broker->says(qr/disconnected from the bus/, $said), "the bus ends ($time): the broker logs this");
        my $stream = $broker->subscribe({ since => $broker->beginning });
        my $seq    = flood($feed, 10);
        $stream->catch_up($broker, $seq);
        pass('other faces go on');
        is($broker->status->{subscribers}, 1, 'the subscriptions went with it');
        $bus->up;
        ok($bus->has_owner, 'the bus was restarted: the broker is there again');
        my $root = $bus->client;
        is($root->get('Subscribers'), 1, 'without the earlier clients');
        is($root->get('Sent', $paths[0])->{error}, BUS_ERROR . 'UnknownObject', 'nor their objects');
        works($feed, $bus, 'and it serves new ones');
    }
}

sub test_late_bus {
    my ($kind) = @_;
    my $bus = Forkbus::Bus->start($kind)->stop;
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($feed->broker->says(qr/no system bus yet/), 'no bus: the broker logs this, and runs');

    # The broker tries to reconnect after 1, 2, 4 s: more than once.
    my $stream = $feed->broker->subscribe({});
    $stream->wait_for(sub { $_->{type} eq 'heartbeat' }, 'a heartbeat') for 1 .. 15;
    is(scalar(() = $feed->broker->stderr =~ /no system bus/g), 1, 'once');
    $bus->up;
    ok($bus->has_owner, 'later there is one: so is the broker');
    works($feed, $bus, 'and it serves');
    $feed->broker->stop("$kind, late");
    $bus->stop;
}

# --- the name --------------------------------------------------------------------------------------------------------

sub test_name {
    my ($kind) = @_;
    my $bus   = Forkbus::Bus->start($kind);
    my $other = $bus->client;
    is_deeply($other->ask(DRIVER, 'RequestName', 'su', 'org.forkbus1', 4), { reply => [1] }, 'another client owns the name');
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($feed->broker->says(qr/the name org\.forkbus1 is taken on the bus/), 'the broker logs this, and runs');
    my ($status, $owner) = $bus->busctl('call', DRIVER, 'GetNameOwner', 's', 'org.forkbus1');
    like($owner, qr/"\Q${\$other->name}\E"/, 'it does not take it away');
    $other->leave;
    ok(Forkbus->wait_until(sub { $bus->has_owner }), 'it leaves: the broker follows');
    works($feed, $bus, 'and serves');

    # Polkit refuses it, too.
    my $taker = $bus->client;
    is_deeply($taker->ask(DRIVER, 'RequestName', 'su', 'org.forkbus1', 2 | 4), { reply => [3] },
        'nobody takes it from the broker');
    $feed->broker->stop("$kind, name");
    $bus->stop;
}

# --- the broker ------------------------------------------------------------------------------------------------------

# After the restart of a broker a client subscribes again from its cursor.
sub test_resume {
    my ($kind) = @_;
    my $bus    = Forkbus::Bus->start($kind);
    my $feed   = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    my $broker = $feed->broker;
    $bus->has_owner;
    my $client = $bus->client;
    $client->match(q{type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.forkbus1'});
    my $path = $client->subscribe({});
    my $seq  = flood($feed, 100);
    $client->catch_up($path, $seq);
    my $cursor = $client->get('Cursor', $path);
    is((split /:/, $cursor)[1], $seq, 'the cursor of a subscription is up to where all is reported');
    is($broker->end('KILL'), 9, 'the broker is killed');
    $client->wait_signal(sub { $_->{signal} eq 'NameOwnerChanged' && $_->{args}[2] eq '' }, 'its departure');
    $feed->write(split /\n/, block(100));
    $broker->restart;
    $client->wait_signal(sub { $_->{signal} eq 'NameOwnerChanged' && $_->{args}[2] ne '' }, 'its return');
    $client->{signals} = [];
    $path = $client->subscribe({ since => $cursor });
    my $last = sub { $_->{signal} eq 'ProcessForked' && $_->{args}[1] == $made };
    $client->wait_signal($last, 'the last event');
    my @pids = map { $_->{signal} eq 'ProcessForked' ? $_->{args}[1] : () } $client->signals($path);
    is_deeply(\@pids, [$made - 99 .. $made], 'the next broker sends the events after the cursor');
    is_deeply([grep { $_->{signal} eq 'Lost' } $client->signals($path)], [], 'and nothing is lost: the feed has waited');

    # The broker ends while all this is in progress.
    $client->subscribe({ since => $broker->beginning, snapshot => true }) for 1 .. 50;
    $client->send('org.forkbus1', '/org/forkbus1', 'org.forkbus1.Manager', 'ListProcesses', 'a{sv}', {}) for 1 .. 4;
    my $stopped = $bus->client;
    $stopped->subscribe({ since => $broker->beginning });
    $stopped->signal_process('STOP');
    my $writer = $feed->write_beside(block(1000), 5);
    $broker->stop("$kind, during all this");
    kill 'KILL', $writer;
    waitpid $writer, 0;
    $bus->stop;
}

for my $kind (Forkbus::Bus->kinds) {
    note($kind);
    my $bus  = Forkbus::Bus->start($kind);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($bus->has_owner, "$kind: the broker is there");
    test_deaths($feed, $bus);
    test_restarts($feed, $bus);
    $feed->broker->stop($kind);
    $bus->stop;
    test_late_bus($kind);
    test_name($kind);
    test_resume($kind);
}
done_testing;
