#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Access: an ordinary user sees all own processes and no others, live, from history and in a snapshot, also during and after a
# setuid program, of which what is private is withheld; a member of the group sees all of them.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use List::Util 'max';
use Test::More;

Forkbus->needs_root;
Forkbus->needs_connector;

my ($user, $other) = Forkbus::nobody;
my $member = $other;
my $group  = 64777;

my $base   = Forkbus->directory;
my $broker = Forkbus->broker(source => 'connector', config => { Access => { Group => $group } });
my %as     = (
    root   => [],
    user   => [uid => $user],
    other  => [uid => $other],
    member => [uid => $member, groups => [$group]],
);
my %live = map { $_ => $broker->subscribe({}, @{ $as{$_} }) } keys %as;
my $first = max(map { (split /:/, $_->wait_ready->{cursor})[1] } values %live);

# The processes that each of them starts.
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
my $program = Forkbus->installed(Forkbus->helper('workload'), $base);
my @kinds   = qw(burst=60 spawn chain=4 orphan names storage killed-threads=5 signals hold=3 pause release);
my (%workload, %made, %holding);
for my $who (qw(root user other)) {
    my $dir = "$base/$who";
    mkdir $dir or die "$dir: $!\n";
    chown { root => 0, user => $user, other => $other }->{$who}, 0, $dir;
    chdir $dir or die "$dir: $!\n";
    my @user = grep { $_ ne 'groups' } @{ $as{$who} };
    $workload{$who} = Forkbus::Workload->start(program => $program, arguments => \@kinds, @user);
}
chdir '/';
$_->go for values %workload;
for my $who (keys %workload) {
    while (my $reported = $workload{$who}->next) {
        last if $reported->{kind} eq 'pause';
        my $list = $reported->{kind} eq 'holding' ? \%holding : \%made;
        push @{ $list->{$who} }, $reported;
    }
}

# While the processes wait: a snapshot. A user's processes are known; root's snapshot must have all of them. Events that the
# broker has not read yet follow a snapshot, so it must have read all events before.
$live{root}->settle;

sub snapshot {
    my ($who, %request) = @_;
    my $subscriber = $broker->subscribe({ snapshot => Cpanel::JSON::XS::true, %request }, @{ $as{$who} });
    $subscriber->catch_up($broker, $live{root}->settle->{seq});

    # Processes that have ended since, like the child that connected, are recognized by their exit.
    my %living;
    for my $event ($subscriber->events) {
        $living{ $event->{pid} } = $event if $event->{type} eq 'process';
        delete $living{ $event->{pid} } if $event->{type} eq 'exit';
    }
    return map { $living{$_} } sort { $a <=> $b } keys %living;
}

# Processes of a real uid, from /proc.
sub processes_of {
    my ($uid) = @_;
    my @files = grep { Forkbus->read_file($_) =~ /^Uid:\t$uid\t/m } glob '/proc/[0-9]*/status';
    return [sort { $a <=> $b } map { m{(\d+)/status} } @files];
}

for my $who (qw(user other)) {
    my $uid = { user => $user, other => $other }->{$who};
    my @pids = map { $_->{pid} } snapshot($who);
    is_deeply(\@pids, processes_of($uid), "$who: the snapshot has exactly the own processes");
    my %pid = map { $_ => 1 } @pids;
    is(scalar(grep { $pid{ $_->{pid} } } @{ $holding{$who} }), 3, "$who: it includes the processes that were started");
}
for my $who (qw(root member)) {
    my %pid = map { $_->{pid} => 1 } snapshot($who);
    my @missing = grep { !$pid{ $_->{pid} } } map { @$_ } values %holding;
    ok(!@missing && $pid{1} && $pid{ $broker->pid }, "$who: the snapshot has all processes") or diag(json(\@missing));
}
my $foreign = $holding{other}[0]{pid};
is_deeply([snapshot('user', pids  => [$foreign])], [], 'asking for a foreign process shows nothing');
is_deeply([snapshot('user', uids  => [$other, 0])], [], 'nor does asking for foreign users');
is_deeply([map { $_->{uid} } snapshot('user', tree => $foreign)], [], 'nor for a foreign tree');
is_deeply([grep { $_->{uid} != $user } snapshot('user', tree => 1)], [], 'of the whole tree only the own is shown');

for my $who (keys %workload) {
    push @{ $made{$who} }, $workload{$who}->go->finish;
}

# A setuid program that changes its uid, and changes it back.
my $setuid = Forkbus->installed(Forkbus->helper('identity'), $base);
chmod 04755, $setuid;
my ($status, $out, $err) = run([$setuid, "$base/user/file"], uid => $user);
my ($raised_status, $raised_out) = run([$setuid, 'raised', "$base/user/file"], uid => $user);
my $nosuid = $status == 1 && $err =~ /^setuid root/ ? "no setuid programs in $base: it is mounted nosuid" : undef;
my %identity = map { $_->[0] => $nosuid ? undef : Forkbus::parse($_->[1]) } [plain => $out], [raised => $raised_out];
is("$status $raised_status", '3 4', 'the setuid program ran') or diag($err) if !$nosuid;

my $last = $live{root}->settle->{seq};

# Does a user see an event that root sees?
sub shown_to {
    my ($uid, $event) = @_;
    return 1 if $event->{type} =~ /^(?:source|lost)$/;
    my $own = ($event->{uid} // -1) == $uid;
    return $own || ($event->{type} eq 'id' && (($event->{old} // {})->{uid} // -1) == $uid);
}

# What is private is not in the user's event, or has the same value there; privacy.t says when it is which.
sub reduced_to {
    my ($event, $shown) = @_;
    $event = { %$event, $event->{usage} ? (usage => { %{ $event->{usage} } }) : () };
    for my $key (grep { !exists $shown->{$_} } qw(exe filename filenameCut args argsCut root)) {
        delete $event->{$key};
    }
    for my $key (grep { !exists(($shown->{usage} // {})->{$_}) } qw(readBytes writeBytes readChars writeChars)) {
        delete $event->{usage}{$key} if $event->{usage};
    }
    delete $event->{usage} if $event->{usage} && !%{ $event->{usage} };
    return $event;
}

my %history = map { $_ => $broker->subscribe({ since => '-1d' }, @{ $as{$_} }) } keys %as;
my %reported;
for my $way (qw(live history)) {
    my $subscribers = $way eq 'live' ? \%live : \%history;
    my %events;
    for my $who (keys %as) {
        $subscribers->{$who}->catch_up($broker, $last);
        my $from = $way eq 'live' ? $first : 0;
        $events{$who} = [grep { $_->{seq} > $from && $_->{seq} <= $last } $subscribers->{$who}->events];
    }
    for my $who (qw(user other)) {
        my $uid = { user => $user, other => $other }->{$who};
        my %shown    = map { $_->{seq} => $_ } @{ $events{$who} };
        my @expected = map { reduced_to($_, $shown{ $_->{seq} }) } grep { shown_to($uid, $_) } @{ $events{root} };
        is_deeply($events{$who}, \@expected, "$who, $way: exactly the own events") or diag(scalar @expected);
    }
    is_deeply($events{member}, $events{root}, "member, $way: all that root sees");
    $reported{$way} = \%events;
}

# The same without the broker's uids: check independently whose processes these are.
for my $who (qw(user other)) {
    for my $way (qw(live history)) {
        my $seen   = Forkbus::Processes->new(@{ $reported{$way}{$who} });
        my $types  = sub { join ' ', grep { /^(?:fork|exit)$/ } map { $_->{type} } $seen->of($_[0]) };
        my @missed = grep { $types->($_) ne 'fork exit' } @{ $made{$who} };
        is_deeply(\@missed, [], "$who, $way: each own process once as fork and as exit");
        my @foreign = grep { $seen->of($_) } map { @{ $made{$_} } } grep { $_ ne $who } keys %made;
        is_deeply(\@foreign, [], "$who, $way: none of the others'");
    }
}
my ($storage) = grep { $_->{kind} eq 'storage' } @{ $made{user} };
my $exit = (Forkbus::Processes->new(@{ $reported{live}{user} })->of($storage))[-1];
cmp_ok($exit->{usage}{writeBytes}, '>=', 262144, 'the own I/O counters are shown');

SKIP: {
    skip $nosuid, 1 if $nosuid;
    my %of;
    push @{ $of{ $_->{pid} } }, $_ for grep { exists $_->{pid} } @{ $reported{live}{user} };
    for my $mode (sort keys %identity) {
        my $identity = $identity{$mode};
        my %types = map {
            my $pid = $identity->{$_};
            ($_ => join ' ', map { $_->{type} } @{ $of{$pid} // [] })
        } qw(raised own root back);
        is_deeply(
            \%types,
            { raised => 'fork exit', own => 'fork exit', root => '', back => 'fork exit' },
            "$mode: the children that it had as the user are shown, the one that it had as root is not"
        );
        my @changes = grep { $_->{type} eq 'id' } @{ $of{ $identity->{pid} } };
        my @ids     = map {
            my ($event, $old) = ($_, $_->{old} // {});
            join '>', map { join ':', map { $_ // '?' } @$_{qw(uid euid)} } $old, $event
        } @changes;
        my @wanted = ("0:0>$user:$user", "$user:$user>$user:0", "$user:0>$user:$user", "$user:$user>$user:0",
            "$user:0>0:0", "0:0>$user:$user", "$user:$user>$user:0");
        push @wanted, "$user:0>$user:$user" if $mode eq 'plain';

        # This test has children of other users, which might have made the process, and /proc may have been read too late.
        $wanted[0] =~ s/^0:0/?:?/ if @ids && $ids[0] =~ /^\?/;
        is_deeply(\@ids, \@wanted, "$mode: its departure and its return are reported") or diag(join ' ', @ids);
        my ($exit)  = grep { $_->{type} eq 'exit' } @{ $of{ $identity->{pid} } };
        my ($whole) = grep { $_->{type} eq 'exit' && $_->{pid} == $identity->{pid} } @{ $reported{live}{root} };

        # The kernel adds the usage of children, and the module omits such sums.
        my @counters = qw(readBytes writeBytes readChars writeChars);
        my @summed   = Forkbus->live_source eq 'module' ? qw(readChars writeChars) : ();
        my @known    = grep { exists $whole->{usage}{$_} } @counters;
        my %known    = map { $_ => 1 } @known, @summed;
        is(join(' ', grep { !$known{$_} } @counters), '', "$mode: root sees the I/O counters of its end");
        my $shown = join ' ', grep { exists $exit->{usage}{$_} } @counters;
        is($shown, '', "$mode: the user does not, even if the last ids were the own");
      SKIP: {
            skip('children had a part in it', 1) if @summed && !exists $whole->{usage}{writeChars};
            cmp_ok($whole->{usage}{writeChars}, '>=', 65536, "$mode: they include the bytes that it wrote");
        }
    }
}

$broker->stop;
done_testing;
