#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Access on the Varlink face: each user sees only the own processes, by every method; only users who see all processes get the
# log's descriptor, and it is read-only; the number of connections is limited.
use strict;
use warnings;
use Fcntl;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec true);
use Test::More;

Forkbus->needs_root;

use constant { PER_USER => 5, GROUP => 64777, SERVICE => 'org.varlink.service' };
use constant SYS_MMAP => { x86_64 => 9, aarch64 => 222 }->{ (POSIX::uname())[4] };

my ($user, $other) = Forkbus::nobody;
my $feed = Forkbus::Feed->new(config => { Limits => { ConnectionsPerUser => PER_USER }, Access => { Group => GROUP } });
my $broker = $feed->broker;

my %as = (
    root   => [],
    user   => [uid => $user],
    other  => [uid => $other],
    member => [uid => $other, groups => [GROUP]],
);
sub link_of { return $broker->varlink(@{ $as{ $_[0] } }) }

# --- visible processes -----------------------------------------------------------------------------------------------

my %live = map { $_ => link_of($_)->subscribe } keys %as;
$_->wait_ready for values %live;

# Pids by user: 1000 + n root's, 2000 + n the user's, 3000 + n the other's, who has a setuid program, 3009.
my %uid = (1 => 0, 2 => $user, 3 => $other);
my @events;
for my $thousand (sort keys %uid) {
    for my $n (0 .. 9) {
        my ($pid, $uid) = ($thousand * 1000 + $n, $uid{$thousand});
        my %whose = (pid => $pid, startUsec => 1000, uid => $uid, gid => 7, euid => $pid == 3009 ? 0 : $uid, egid => 7,
            comm => "p$pid");
        push @events, { type => 'fork', timeUsec => now_usec(), ppid => 1, %whose };
        push @events, { type => 'exec', timeUsec => now_usec(), exe => "/bin/p$pid", args => ['p', 'secret'], %whose };
        my %exit = (status => { code => 0 }, usage => { userUsec => 5, readBytes => 4096, writeChars => 7 });
        push @events, { type => 'exit', timeUsec => now_usec(), %whose, %exit } if $n < 3 || $n == 9;
    }
}
# A process of the user becomes the other user's.
my %whose = (pid => 2008, startUsec => 1000, uid => $other, euid => $other);
push @events, { type => 'id',   timeUsec => now_usec(), %whose, old  => { uid => $user, euid => $user } };
push @events, { type => 'comm', timeUsec => now_usec(), %whose, comm => 'x' };
my $end = $feed->write(@events)->settle;

sub visible_to {
    my ($who, $event) = @_;
    return 1 if $who =~ /root|member/ || $event->{type} eq 'source';
    my $uid = $as{$who}[1];
    return $event->{uid} == $uid || ($event->{old}{uid} // -1) == $uid;
}
sub name { return "$_[0]{type} " . ($_[0]{pid} // '') }

for my $who (sort keys %as) {
    my @expected = map { name($_) } grep { visible_to($who, $_) } @events;
    my @reported = $live{$who}->catch_up($broker, $end);
    is_deeply([map { name($_) } grep { $_->{type} ne 'source' } @reported], \@expected, "$who: events of the own processes");
    my $history = link_of($who)->subscribe({ since => $broker->beginning });
    my @then = $history->catch_up($broker, $end);
    is_deeply([grep { $_->{type} ne 'source' } @then], [grep { $_->{type} ne 'source' } @reported],
        "$who: the same from history");
    my %secret = map { $_->{pid} => 1 } grep { $_->{args} || $_->{exe} || exists(($_->{usage} // {})->{readBytes}) } @reported;
    my %seen   = map { $_->{pid} => 1 } grep { $_->{type} =~ /^ex/ } @reported;
    delete $seen{3009} if $who eq 'other';    # a setuid program's
    is_deeply([sort keys %secret], [sort keys %seen], "$who: what a setuid program is, and the bytes that it used, are withheld");
    $history->close;

    my @living = grep { !/[0129]$/ } map { $_->{pid} } grep { $_->{type} eq 'fork' } @events;
    my %now = map { $_ => $_ == 2008 ? $other : $uid{ int $_ / 1000 } } @living;
    my @own = grep { visible_to($who, { type => 'process', uid => $now{$_} }) } @living;
    my $link = link_of($who);
    for my $filter (undef, { pids => \@living }, { uids => [values %uid] }, { comm => '*' }) {
        my $list = $link->ask('ListProcesses', { filter => $filter })->{processes};
        is_deeply([sort map { $_->{pid} } @$list], \@own, "$who: a list of the own: " . json($filter));
    }
    my %found = map { $_ => $link->ask('GetProcess', { pid => $_ }) } @living;
    is_deeply([grep { $found{$_}{process} } @living], \@own, "$who: each process separately");
    my %refused = map { json($_) => 1 } grep { !$_->{process} } values %found;
    my $nobody = json($link->ask('GetProcess', { pid => 4194999 }));
    is_deeply([keys %refused], @own < @living ? [$nobody] : [], "$who: processes of others are refused like missing ones");
    $link->subscribe({ snapshot => true });
    $link->wait_ready;
    my @snapshot = sort map { $_->{type} eq 'process' ? $_->{pid} : () } @{ $link->{events} };
    is_deeply(\@snapshot, \@own, "$who: a snapshot of the own");
    $link->close;
}

# --- the log itself --------------------------------------------------------------------------------------------------

sub ring_of {
    my ($who) = @_;
    my $link = link_of($who)->call('OpenRing');
    my @found = $link->receive_descriptors;
    return ($link->answer, @found);
}
my $before = $broker->descriptors;
for my $who (qw(user other)) {
    my ($answer, @found) = ring_of($who);
    is_deeply([$answer, @found], [{ error => SERVICE . '.PermissionDenied' }], "$who: no descriptor of the log");
}
for my $who (qw(root member)) {
    my ($answer, @found) = ring_of($who);
    is(scalar @found, 1, "$who: one descriptor of the log");
    is_deeply($answer, { ring => 0 }, 'which is called so');
    open my $ring, '<&=', $found[0] or die "descriptor $found[0]: $!\n";
    is_deeply([(stat $ring)[0, 1]], [(stat $broker->log)[0, 1]], 'it is the log');
    is(fcntl($ring, F_GETFL, 0) & O_ACCMODE, O_RDONLY, 'opened for reading');
    my $size = -s $ring;
    is(syscall(SYS_MMAP, 0, $size, 3, 1, fileno $ring, 0), -1, 'it cannot be mapped for writing');
    ok($!{EACCES}, 'which is reported as that error') or diag($!);
    isnt(syscall(SYS_MMAP, 0, $size, 1, 1, fileno $ring, 0), -1, 'for reading it can');
    my $written = do { no warnings 'io'; syswrite $ring, 'x' };
    ok(!defined $written, 'nor can it be written');
    ok(!truncate($ring, 0), 'nor cut');
}
my $oneway = link_of('root')->call('OpenRing', undef, oneway => 1)->call('GetStatus');
is_deeply([$oneway->receive_descriptors], [], 'a oneway call gets no descriptor');
is($oneway->answer->{pid}, $broker->pid, 'but the next answer');
my $both = link_of('root')->call('GetStatus')->call('OpenRing');
my @found;
push @found, $both->receive_descriptors while ($both->{buffer} =~ tr/\0//) < 2;
is(scalar @found, 1, 'it arrives with its own reply');
is($both->answer->{pid}, $broker->pid, 'after another one');
is_deeply($both->answer, { ring => 0 }, 'where it is the first');
$_->close for $oneway, $both;
ok(Forkbus->wait_until(sub { $broker->descriptors <= $before }), 'the broker keeps none of them');

# --- too many connections --------------------------------------------------------------------------------------------

my @mine = map { link_of('user') } 1 .. PER_USER - 1;    # and there is one with live events
is($_->ask(SERVICE . '.GetInfo')->{product}, 'forkbusd', 'as many as a user may have') for @mine;
for my $method (SERVICE . '.GetInfo', 'Subscribe', 'ListProcesses') {
    my $link = link_of('user');
    my $reported = $link->ask($method, undef, more => 1);
    is_deeply($reported, { error => 'org.forkbus1.TooManySubscriptions', limit => 'user' }, "no more: $method");
    is($link->closed, '', 'and that is the end of it');
}
is(link_of('other')->ask(SERVICE . '.GetInfo')->{product}, 'forkbusd', 'another user is not concerned');
is(link_of('root')->ask(SERVICE . '.GetInfo')->{product},  'forkbusd', 'nor is root');
for (1 .. 20) {
    (shift @mine)->close;
    push @mine, link_of('user');
    ok(exists $mine[-1]->ask('GetStatus')->{pid}, "a closed connection makes room for another at once: $_");
}
$broker->stop;

$broker = Forkbus::Feed->new(config => { Limits => { Connections => 4, ConnectionsPerUser => 4 } })->broker;
# The connection that checked whether the broker runs is closed, as is each of these.
Forkbus->wait_until(sub { ($broker->varlink->ask('GetStatus')->{connections} // 0) == 1 }) or die "there is another connection\n";
my @all = map { $broker->varlink } 1 .. 4;
is($_->ask(SERVICE . '.GetInfo')->{product}, 'forkbusd', 'as many as the broker takes') for @all;
my $refused = $broker->varlink;
my $reported = $refused->ask('GetStatus');
is_deeply($reported, { error => 'org.forkbus1.TooManySubscriptions', limit => 'broker' }, 'no more, not for root');
is($refused->closed, '', 'and that is the end of it');
$all[0]->close;
ok(exists $broker->varlink->ask('GetStatus')->{pid}, 'a closed connection makes room for another');

$broker->stop('with few places');

# --- live processes --------------------------------------------------------------------------------------------------

# As in /proc.
sub pids_of {
    my ($uid) = @_;
    my @files = grep { Forkbus->read_file($_) =~ /^Uid:\t$uid\t/m } glob '/proc/[0-9]*/status';
    return [sort { $a <=> $b } map { m{(\d+)/status} } @files];
}

SKIP: {
    my $source = Forkbus->probe(Forkbus::live_source());
    skip "no live processes can be heard here: $source->{found}", 6 if !$source->{works};
    $broker = Forkbus->broker(source => 'connector');
    my (%held, @pipes);
    for my $uid ($user, $other) {
        my @as = ("--reuid=$uid", "--regid=$uid", '--clear-groups', '--pdeathsig', 'KILL');
        $held{$uid} = open my $pipe, '-|', 'setpriv', @as, 'sh', '-c', 'echo; exec sleep 1000';
        $held{$uid} or die "setpriv: $!\n";
        <$pipe>;
        push @pipes, $pipe;
    }
    $broker->subscribe({})->settle;
    for my $who (qw(user other)) {
        my ($uid, $foreign) = $who eq 'user' ? ($user, $other) : ($other, $user);
        my $link = link_of($who);

        # The child that has connected may have ended a moment before.
        my ($listed, $there);
        Forkbus->wait_until(sub {
            $listed = [sort { $a <=> $b } map { $_->{pid} } @{ $link->ask('ListProcesses')->{processes} }];
            $there  = pids_of($uid);
            return "@$listed" eq "@$there";
        });
        is_deeply($listed, $there, "$who: a list of the processes that run");
        is($link->ask('GetProcess', { pid => $held{$uid} })->{process}{uid}, $uid, 'the own');
        is($link->ask('GetProcess', { pid => $held{$foreign} })->{error}, 'org.forkbus1.NoSuchProcess', 'not another one');
    }
    kill 'KILL', values %held;
    $broker->stop('with live processes');
}

Forkbus::Varlink->as_described;
done_testing;
