#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What one user may take of the broker: a share, together with the user's subordinate uids. A user at the limit is refused
# by name, others are not affected, and root and the group always get in.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use Test::More;
use Text::ParseWords 'shellwords';

use constant GROUP => 64777;

Forkbus->needs_root;

my ($user, $other) = Forkbus::nobody;
my $subuid = Forkbus->write_file(Forkbus->directory . '/subuid', "$user:300000:1000\n");
chmod 0644, $subuid;

sub feed_with {
    my (%limits) = @_;
    return Forkbus::Feed->new(config => { Access => { Group => GROUP }, Limits => { SubordinateUids => $subuid, %limits } });
}

# Connect as a user until it is refused. Return: the connections, and the refusal.
sub take_all {
    my ($broker, $uid, %options) = @_;
    my @taken;
    for (;;) {
        my $subscriber = $broker->subscribe({}, uid => $uid, %options);
        my $first = $subscriber->next;
        return (\@taken, $first) if $first->{error};
        push @taken, $subscriber;
    }
}

# --- subordinate uids ------------------------------------------------------------------------------------------------

# A reserve of 8, parts of 1, and half of the other 56 for those who want more: of these the first may have half.
my $share  = 1 + 14;
my $broker = feed_with(Connections => 64)->broker;
my ($one, $refused) = take_all($broker, 300001);
is(scalar @$one, $share, 'a subordinate uid gets what a user may have');
is($refused->{error}, 'tooManyConnections', 'and is refused then');
like($refused->{detail}, qr/^uid $user and its subordinate uids have their share of connections$/, 'with the name of its owner');
for my $uid (300002, 300999, $user) {
    my ($taken) = take_all($broker, $uid);
    is(scalar @$taken, 0, "uid $uid counts with it");
}
is($broker->subscribe({}, uid => 301000)->next->{type}, 'ready', 'a uid after the range does not');
$one->[0]->close;
ok(Forkbus->wait_until(sub { ($broker->subscribe({}, uid => $user)->next->{type} // '') eq 'ready' }),
    'what one gives back, another can take');

# Another line, while the broker runs: it looks at the file at most once a second.
Forkbus->write_file($subuid, "$user:300000:1000\n$user:500000:1\n");
my ($rest) = take_all($broker, 300003);
cmp_ok(scalar @$rest, '<=', 1, 'the owner has its share again');
ok(Forkbus->wait_until(sub { $broker->subscribe({}, uid => 500000)->next->{error} }), 'a changed file is read again');

# --- the reserve -----------------------------------------------------------------------------------------------------

my @all;
for my $uid (400000 .. 400039) {
    my ($taken) = take_all($broker, $uid);
    push @all, @$taken;
}
my $status = $broker->status;
cmp_ok($status->{connections}, '<=', 64 - 8 + 1, 'many users together leave the reserve');
my ($member) = take_all($broker, $user, groups => [GROUP]);
cmp_ok(scalar @$member, '>=', 2, 'for members of the group');
my ($root) = take_all($broker, 0);
cmp_ok(scalar @$root, '>=', 2, 'and after them, for root');
undef $root;
is($broker->subscribe({}, uid => 0)->next->{type}, 'ready', 'who gets in again');
$broker->stop('with a reserve');

# --- descriptors -----------------------------------------------------------------------------------------------------

# Root, whose connections only the total limits.
sub are_ready {
    my ($n) = @_;
    my @held = map { $broker->subscribe({}) } 1 .. $n;
    return $n == grep { ($_->next->{type} // '') eq 'ready' } @held;
}

# Beyond some hundreds that it always has, the broker raises its limit of descriptors by as many as there may be connections.
$broker = feed_with(Connections => 100)->broker;
ok(are_ready(95), 'there are descriptors for all connections');
my $said = length $broker->stderr;
$broker->configure({ Access => { Group => GROUP }, Limits => { Connections => 700 } });
$broker->signal('HUP');
ok($broker->says(qr/configuration reloaded/, $said), 'more connections are configured');
ok(are_ready(680), 'and the limit of descriptors is raised');
$broker->stop;

# Fewer descriptors than connections: without a lower limit, connections that are not accepted would fill the backlog. A wrapper
# may keep some for itself.
my $files;
{
    local $ENV{FORKBUSD_WRAPPER} = join ' ', 'prlimit --nofile=600:600', $ENV{FORKBUSD_WRAPPER} // ();
    chomp((undef, $files) = run([shellwords($ENV{FORKBUSD_WRAPPER}), 'sh', '-c', 'ulimit -H -n']));
    $broker = feed_with(Connections => 4096)->broker;
}
my $most = int($files / 2);
like($broker->stderr, qr/RLIMIT_NOFILE is $files: at most $most connections/, 'too few descriptors are reported');
@all = ();
for my $uid (400000 .. 400015) {
    my ($taken) = take_all($broker, $uid);
    push @all, @$taken;
}
cmp_ok(scalar @all, '<=', $most, 'users take no more than that');
is($broker->subscribe({})->next->{type}, 'ready', 'and root still gets in');
unlike($broker->stderr, qr/cannot accept/, 'nothing had to be left in the backlog');
@all = ();
$broker->stop('with few descriptors');

# --- a storm of connections ------------------------------------------------------------------------------------------

$broker = feed_with(ConnectionsPerUser => 4)->broker;
my ($held) = take_all($broker, $user);
is(scalar @$held, 4, 'a user at the limit');
my @storm = map {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        Forkbus::become($user);
        for (;;) {
            my $socket = IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM(), Peer => $broker->stream) or next;
            sysread $socket, my $line, 4096;
        }
    }
    $pid;
} 1 .. 8;
for (1 .. 10) {
    is($broker->subscribe({}, uid => $_ % 2 ? $other : 0)->next->{type}, 'ready', "others connect while it goes on trying: $_");
}
kill 'KILL', @storm;
waitpid $_, 0 for @storm;
undef $held;
$broker->stop('after a storm');

# --- filters ---------------------------------------------------------------------------------------------------------

# 4 MiB for all, 1/8 a reserve; one user may have a quarter of the rest and its part.
$broker = feed_with(Connections => 256, RequestSize => '256K')->broker;
my @paths = map { "/usr/lib/some-program/of/some/length/$_" } 1 .. 1000;
my $large = $broker->subscribe({ exe => \@paths, cgroup => \@paths }, uid => $user)->next;
is($large->{error}, 'invalidRequest', 'a filter that takes too much memory is refused');
like($large->{detail}, qr/bytes of memory/, 'with the reason');
my @filters;
for (1 .. 40) {
    my $subscriber = $broker->subscribe({ exe => \@paths }, uid => $user);
    my $first = $subscriber->next;
    push @filters, $subscriber;
    $refused = $first and last if $first->{error};
}
cmp_ok(scalar @filters, '>', 5, 'a user may have some large filters');
is($refused->{key}, 'filterBytes', 'but they are counted, and refused by name') or diag(json($refused));
like($refused->{detail}, qr/^uid $user and its subordinate uids have their share of bytes of filters$/, 'with the owner');
is($broker->subscribe({ exe => \@paths }, uid => $other)->next->{type}, 'ready', 'another user is not affected');
@filters = ();
ok(Forkbus->wait_until(sub { ($broker->subscribe({ exe => \@paths }, uid => $user)->next->{type} // '') eq 'ready' }),
    'what is given back can be taken again');
$broker->stop('after large filters');
done_testing;
