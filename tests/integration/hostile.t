#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One user with 512 connections does what costs the broker most (hostile.c). No turn of the loop is long, the source loses
# nothing, and another user gets all events.
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

my $times = $ENV{FORKBUS_LONG} ? 300 : 8;
my ($hostile, $other) = Forkbus::nobody();
my $work = Forkbus->installed(Forkbus->helper('workload'), Forkbus->directory);

my $broker = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '15s' } });
my $room   = files($broker);
my $attack = Forkbus::Attack->start($broker, uid => $hostile);
cmp_ok($broker->status->{connections}, '>=', Forkbus::Attack::CONNECTIONS / 4, 'an attack has begun, by many connections');

my $reader = $broker->subscribe({ types => ['exit'] }, uid => $other);
$reader->wait_ready;
my %made;
for (1 .. $times) {
    my @made = Forkbus::Workload->start(program => $work, arguments => ['burst=' . BURST], uid => $other)->go->finish;
    $made{ $_->{pid} }++ for @made;
}
my %got;
$got{ $_->{pid} }++ for grep { $_->{type} eq 'exit' } $reader->catch_up($broker);
my @missing = grep { ($got{$_} // 0) < $made{$_} } sort keys %made;
is_deeply(\@missing, [], 'another user gets the ends of all ' . $times * BURST . ' processes');

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
