#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Descriptors that a peer sends do not block the broker. If the broker dropped one in its loop, the last one of a TCP socket that
# lingers, it would wait for ten minutes.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus;
use IO::Socket::UNIX;
use IPC::Open2;
use Test::More;

# In µs. The fault would be a turn of ten minutes. A disk that is busy, or a tool, can make any turn long.
use constant LONGEST => 60e6;

my $dir     = Forkbus->directory;
my %options = (source => "replay:" . Forkbus->write_file("$dir/nothing", '') . '@flat');
my $call    = '{"method":"org.forkbus1.GetStatus"}\0';

# A program that has sent one. It ends with the test.
sub send_descriptor {
    my ($path, $text) = @_;
    my $pid = open2(my $out, my $in, Forkbus->helper('lingering'), $path, $text);
    chomp(my $said = <$out>);
    return { pid => $pid, in => $in, said => $said };
}

sub is_served {
    my ($broker, $what) = @_;
    my $turn = $broker->status->{longestTurn};
    cmp_ok($turn->{sinceStartUsec}, '<=', LONGEST, "$what: no turn is long");
}

# The kernel may let the broker refuse them: then the peer cannot send any.
my $broker = Forkbus->broker(%options);
for my $each ([stream => '{}'], [stream => "{}\n"], ['org.forkbus1' => $call], ['org.forkbus1' => '{']) {
    my ($socket, $text) = @$each;
    my $sender = send_descriptor($broker->dir . "/$socket", $text);
    like($sender->{said}, qr/^(?:sent|Operation not permitted)$/, "a descriptor to $socket: $sender->{said}");
    is_served($broker, $socket);
}
$broker->stop;

# A service manager may pass a socket that does not refuse them.
my $path = "$dir/socket";
my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 10) or die "$path: $!\n";
my @early = map { send_descriptor($path, $_) } $call, $call, '{';
is_deeply([map { $_->{said} } @early], [('sent') x 3], 'descriptors were sent before the broker starts');
my $plain = Forkbus::Varlink->new($path)->call('GetStatus');
my $late  = Forkbus->broker(%options, sockets => [[varlink => $socket]]);
is($plain->answer->{pid}, $late->pid, 'a call without descriptors is answered');
is_served($late, 'passed socket');
close $_->{in} for @early;
is_served($late, 'after the peers have left');
$late->stop;

done_testing;
