#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A broker without descriptors or without memory serves those that are connected, and all others when there is some again.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec run slow);
use IO::Socket::UNIX;
use Test::More;

plan(skip_all => 'the memory of a tool has no limit') if slow();
plan(skip_all => 'no prlimit here') if (run(['prlimit', '--version']))[0] != 0;

my $feed   = Forkbus::Feed->new(log_size => '1M', config => { Limits => { ConnectionsPerUser => 1000 } });
my $broker = $feed->broker;
my $stream = $broker->subscribe({ types => ['exec'] });
$stream->wait_ready;
my $pid = 0;
$SIG{PIPE} = 'IGNORE';    # the broker may refuse a request before it was sent

sub limit {
    my ($what, $soft) = @_;
    my ($status, undef, $error) = run(['prlimit', '--pid=' . $broker->pid, "--$what=$soft:"]);
    die "prlimit: $error\n" if $status != 0;
}

# An event that is published now reaches the subscriber.
sub is_served {
    my ($name) = @_;
    $pid++;
    $feed->write({ type => 'exec', timeUsec => now_usec(), pid => $pid, startUsec => $pid, comm => 'x' });
    $stream->wait_for(sub { $_->{type} eq 'exec' && $_->{pid} == $pid }, $name);
}

# --- descriptors --------------------------------------------------------------------------------------------------------

my ($before) = Forkbus->read_file('/proc/' . $broker->pid . '/limits') =~ /^Max open files\s+(\d+)/m;
limit(nofile => $broker->descriptors + 3);
my @waiting = map { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $broker->stream) or die "connect: $!\n" } 1 .. 20;
ok($broker->says(qr/cannot accept a connection: Too many open files/), 'without descriptors the broker accepts no connections');
is_served('and serves those that it has');
$_->syswrite("{\"query\":\"status\"}\n") for @waiting;
my $answers = grep { (readline $_) =~ /"version"/ } @waiting;
is($answers, 20, 'those that wait are accepted as others leave');
limit(nofile => $before);

# --- memory -------------------------------------------------------------------------------------------------------------

my ($size) = Forkbus->read_file('/proc/' . $broker->pid . '/statm') =~ /^(\d+)/;
limit(as => $size * 4096);
my @asked;
for my $number (1 .. 400) {
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $broker->stream) or last;
    $socket->syswrite(json({ comm => [map { "*$number-$_*" . 'x' x 200 } 1 .. 20], snapshot => Forkbus::true() }) . "\n");
    push @asked, $socket;
}
is_served('a broker whose memory is limited serves those that it has');
my ($closed, $served) = (0, 0);
for my $socket (@asked) {
    my $line = readline $socket;
    defined $line && $line =~ /^\{.*\}$/ ? $served++ : $closed++;
}
is($closed + $served, @asked, "each other request has an answer or an end: $served and $closed");
@asked = ();
limit(as => 'unlimited');
is($broker->status->{pid}, $broker->pid, 'when there is memory again it serves all');
is_served('and has lost nothing');
is(scalar(grep { $_->{type} eq 'lost' } $stream->events), 0, 'at no time');
$broker->stop('after that');
done_testing;
