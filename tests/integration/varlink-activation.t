#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A service manager may pass the Varlink socket: the broker uses it, by its name or as the only one, ignores other sockets,
# and does not remove it. Calls that came before the broker wait for it.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus;
use IO::Socket::UNIX;
use Test::More;

my $dir     = Forkbus->directory;
my $number  = 0;
my %options = (source => "replay:" . Forkbus->write_file("$dir/nothing", '') . '@flat');

sub listening {
    my $path = "$dir/socket" . ++$number;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 10) or die "$path: $!\n";
    return ($path, $socket);
}

sub link_to {
    my ($path) = @_;
    return Forkbus::Varlink->new($path);
}
sub pid_at { return link_to($_[0])->ask('GetStatus')->{pid} }

# --- accepted sockets ------------------------------------------------------------------------------------------------

my ($path, $socket) = listening();
my $early  = link_to($path)->call('GetStatus');
my $broker = Forkbus->broker(%options, sockets => [[varlink => $socket]]);
is($early->answer->{pid}, $broker->pid, 'a call from before waits for the broker');
is(pid_at($path), $broker->pid, 'others come');
my $link = link_to($path)->subscribe({ snapshot => Forkbus::true() });
$link->wait_ready;
pass('and subscribe');
ok(!-e $broker->dir . '/org.forkbus1', 'there is no socket of its own');
$broker->stop;
ok(-S $path, 'the socket stays');
my $between = link_to($path)->call('GetStatus');
$broker->restart;
is($between->answer->{pid}, $broker->pid, 'a call from between waits for the next broker');
$broker->stop('again');

my (undef, $some) = listening();
($path, $socket) = listening();
my $late = Forkbus->broker(%options, sockets => [[other => $some], [varlink => $socket], [varlink => $some]]);
is(pid_at($path), $late->pid, 'one of several, by its name');
my $inode = (stat $some)[1];
my @kept = grep { (readlink($_) // '') eq "socket:[$inode]" } glob '/proc/' . $late->pid . '/fd/*';
is_deeply(\@kept, [], 'the others are closed');
$late->stop;

($path, $socket) = listening();
my $unnamed = Forkbus->broker(%options, sockets => [[undef, $socket]]);
is(pid_at($path), $unnamed->pid, 'the only one, without a name');
$unnamed->stop;

# --- ignored sockets -------------------------------------------------------------------------------------------------

socket my $datagrams, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
socket my $deaf, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
($path, $socket) = listening();
my %not = (
    'one of another name'          => { sockets => [[stream => $socket]] },
    'some without names'           => { sockets => [[undef, $some], [undef, $socket]] },
    'one for another process'      => { sockets => [[varlink => $socket]], env => { LISTEN_PID => $$ } },
    'one for datagrams'            => { sockets => [[varlink => $datagrams]] },
    'one that does not listen'     => { sockets => [[varlink => $deaf]] },
);
for my $name (sort keys %not) {
    my $own = Forkbus->broker(%options, %{ $not{$name} });
    is($own->varlink->ask('GetStatus')->{pid}, $own->pid, "$name is not taken");
    $own->end;
}

# --- a socket of the broker ------------------------------------------------------------------------------------------

my $own = Forkbus->broker(%options);
is(sprintf('%04o', (stat $own->dir . '/org.forkbus1')[2] & 07777), '0666', 'its own socket is for everyone');
$own->stop('with its own');
ok(!-e $own->dir . '/org.forkbus1', 'and is removed with it');
$own->restart;
$own->end('KILL');
ok(-e $own->dir . '/org.forkbus1', 'unless it is killed');
$own->restart;
is($own->varlink->ask('GetStatus')->{pid}, $own->pid, 'then the next one replaces it');
$own->stop('that was killed before');

Forkbus::Varlink->as_described;
done_testing;
