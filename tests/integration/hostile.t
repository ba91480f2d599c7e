#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One user with 512 connections, and 48 on the message bus, does what costs the broker most (hostile.c, hostile-bus.c). No turn of
# the loop is long, the source loses nothing, and another user gets all events by each interface.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus;
use Test::More;

use constant { BURST => 200, TURN_USEC => 50_000 };

# As in /run: a file system on a disk may take long to write a page of the log again.
$ENV{TMPDIR} = '/dev/shm' if -w '/dev/shm';
Forkbus->needs_root;
Forkbus->needs_connector;

# For how many descriptors the kernel has room.
sub files { return Forkbus->read_file("/proc/$_[0]{pid}/status") =~ /^FDSize:\s+(\d+)/m ? $1 : undef }

# Read by a function until the ends of processes have come, or a loss is reported. Return: the pids without an end, and the loss.
sub missing {
    my ($wait_for, @pids) = @_;
    my %left = map { $_ => 1 } @pids;
    my @lost;
    $wait_for->(sub {
        delete $left{ $_->{pid} } if $_->{type} eq 'exit';
        push @lost, Forkbus::json($_) if $_->{type} eq 'lost';
        return !%left || @lost;
    }, 'the ends of the processes');
    return (sort(keys %left), @lost);
}

my $times = $ENV{FORKBUS_LONG} ? 600 : 160;

# dbus-daemon refuses users without a name in passwd.
my ($hostile, $other) = grep { defined } map { scalar getpwnam $_ } qw(nobody games mail man news lp);
plan(skip_all => 'there are no two ordinary users with names') if !defined $other;
my $work = Forkbus->installed(Forkbus->helper('workload'), Forkbus->directory);

# In a tool the broker is too slow to answer by D-Bus in time.
my ($kind) = Forkbus::slow() ? () : Forkbus::Bus->kinds;
my $bus    = $kind && Forkbus::Bus->start($kind);
my $broker = Forkbus->broker(source => 'connector', $bus ? (bus => 'system', env => $bus->env) : (),
    config => { Broker => { HeartbeatSec => '15s' } });
$bus->has_owner if $bus;
my $room   = files($broker);
my $attack = Forkbus::Attack->start($broker, uid => $hostile, bus => $bus);
ok(Forkbus->wait_until(sub { $broker->status->{connections} >= Forkbus::Attack::CONNECTIONS / 4 }),
    'an attack has begun, by many connections');

my $reader = $broker->subscribe({ types => ['exit'] }, uid => $other);
$reader->wait_ready;
my $client  = $bus && $bus->client(uid => $other);
my $signals = $client && $client->subscribe({ types => ['exit'] });
# It begins with this signal, not with the answer.
$client->wait_signal(sub { $_->{signal} eq 'Ready' && $_->{path} eq $signals }, 'Ready') if $client;
# Each burst is read before the next: the attack fills the log in less than half a minute, so a later reader would be too slow.
my %readers = ('the stream' => sub { $reader->wait_for(@_); $reader->forget });
$readers{'D-Bus'} = sub {
    my ($is_it, $what) = @_;
    my $is_of_it = sub {
        return 0 if ($_->{path} // '') ne $signals;
        local $_ = Forkbus::BusClient::event_of($_);
        return $is_it->();
    };
    $client->wait_signal($is_of_it, $what);
    $client->forget;
} if $client;
my %missing;
for (1 .. $times) {
    my @made = Forkbus::Workload->start(program => $work, arguments => ['burst=' . BURST], uid => $other)->go->finish;
    push @{ $missing{$_} }, missing($readers{$_}, map { $_->{pid} } @made) for sort keys %readers;
}
is_deeply($missing{$_}, [], "another user gets the ends of all ${\($times * BURST)} processes by $_") for sort keys %missing;

my $status = $broker->status;
is($status->{lost}{netlink}{times}, 0, 'the source has lost nothing');
SKIP: {
    skip 'a tool makes the broker slow', 1 if Forkbus::slow();
    cmp_ok($status->{longestTurn}{sinceStartUsec}, '<=', TURN_USEC, 'no turn was long');
}
is(files($broker), $room, 'the table of descriptors has not grown, which may take long');
my $done = $attack->stop;
cmp_ok($done->{$_}, '>', 0, "attacks: $_") for grep { $_ ne 'descriptors' } sort keys %$done;
diag(Forkbus::json({ longestTurn => $status->{longestTurn}, attacks => $done }));
$broker->stop;
done_testing;
