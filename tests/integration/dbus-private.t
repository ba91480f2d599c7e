#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Access on the bus: only its owner sees a subscription's signals and object. Users get events of their own processes; members
# of the group and users with polkit's permission get all events.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec true);
use Forkbus::BusClient qw(plain);
use Test::More;

use constant { GROUP => 64777, PER_USER => 12, ERROR => 'org.forkbus1.Error.', BUS_ERROR => 'org.freedesktop.DBus.Error.' };
use constant { PROPERTIES => 'org.freedesktop.DBus.Properties', INTROSPECTABLE => 'org.freedesktop.DBus.Introspectable' };

Forkbus->needs_root;

# dbus-daemon refuses users without a name in passwd.
my ($user_name, $other_name) = ('nobody', grep { defined getpwnam $_ } qw(games mail man news lp));
my ($user,      $other)      = map { defined $_ ? scalar getpwnam $_ : undef } $user_name, $other_name;
plan(skip_all => 'there are no two ordinary users with names') if !defined $user || !defined $other;
my %as = (
    root   => [],
    user   => [uid => $user],
    other  => [uid => $other],
    member => [uid => $other, groups => [GROUP]],
);

sub reported {
    my ($client, $path, $seq) = @_;
    Forkbus->wait_until(sub { (split /:/, $client->get('Cursor', $path))[1] >= $seq }) or die "$path does not come to $seq\n";
    return grep { $_->{type} ne 'ready' } map { Forkbus::BusClient::event_of($_) } $client->signals($path);
}

# Pids: 1000 + n root's, 2000 + n the user's, 3000 + n the other's.
sub events {
    my %uid = (1 => 0, 2 => $user, 3 => $other);
    my @events;
    for my $thousand (sort keys %uid) {
        for my $n (0 .. 4) {
            my $pid = 1000 * $thousand + $n;
            my %whose = (pid => $pid, startUsec => 1000, uid => $uid{$thousand}, gid => 7, egid => 7,
                euid => $n == 4 ? 0 : $uid{$thousand},
                comm => "p$pid",
                timeUsec => now_usec());
            push @events, { type => 'fork', ppid => 1, %whose };
            push @events, { type => 'exec', exe => "/bin/p$pid", args => ['p', 'secret'], %whose };
            push @events, { type => 'exit', status => { code => 0 }, usage => { userUsec => 5, readBytes => 4096 },
                %whose } if $n < 2;
        }
    }
    push @events, { type => 'id', timeUsec => now_usec(), pid => 2003, startUsec => 1000, uid => $other, euid => $other,
        old => { uid => $user, euid => $user } };
    return @events;
}

# --- one subscription, and all others --------------------------------------------------------------------------------

sub test_alone {
    my ($feed, $bus) = @_;
    my $owner = $bus->client(@{ $as{user} });
    my %others = (
        'the same user' => $bus->client(@{ $as{user} }),
        'another user'  => $bus->client(@{ $as{other} }),
        'a member of the group' => $bus->client(@{ $as{member} }),
        'root'          => $bus->client,
    );
    my $path = $owner->subscribe({});
    for my $client (values %others) {
        for my $rule ('', q{type='signal'}, q{sender='org.forkbus1'}, "path='$path'", q{eavesdrop='true'}) {
            my $answer = $client->match($rule);
            die json($answer) if !$answer->{reply} && $rule !~ /eavesdrop/;
        }
    }
    my $end = $feed->write(events())->settle;
    my @reported = reported($owner, $path, $end);
    cmp_ok(scalar @reported, '>', 10, 'the owner gets ' . @reported . ' signals');
    is_deeply([grep { $_->{destination} ne $owner->name } $owner->signals($path)], [], 'each to itself');

    # Signals, if there are any, arrive before the answer.
    for my $who (sort keys %others) {
        $others{$who}->get('Version');
        is_deeply([grep { $_->{interface} =~ /Subscription$/ } $others{$who}->signals], [],
            "$who has rules that match all, and gets none");
    }

    # The object.
    my $nowhere = '/org/forkbus1/subscription/4711';
    for my $who (sort grep { $_ ne 'root' } keys %others) {
        my $client = $others{$who};
        my @calls = ([INTROSPECTABLE, 'Introspect', ''], [PROPERTIES, 'GetAll', 's', 'org.forkbus1.Subscription'],
            [PROPERTIES, 'Get', 'ss', 'org.forkbus1.Subscription', 'Filter'], ['org.forkbus1.Subscription', 'Unsubscribe', ''],
            ['org.forkbus1.Subscription', 'Nothing', ''], ['org.freedesktop.DBus.Peer', 'Ping', '']);
        my @different;
        for my $call (@calls) {
            my ($there, $not) = map { json($client->ask('org.forkbus1', $_, @$call)) } $path, $nowhere;
            s/\Q$path\E|\Q$nowhere\E/PATH/g for $there, $not;
            push @different, "$call->[1]: $there, $not" if $there ne $not;
        }
        is_deeply(\@different, [], "$who cannot see that the object exists");
        my $tree = $client->ask('org.forkbus1', '/org/forkbus1/subscription', INTROSPECTABLE, 'Introspect', '');
        unlike($tree->{reply}[0], qr/<node name=/, 'nor in the tree');
    }
    my $answer = $owner->ask('org.forkbus1', '/org/forkbus1/subscription', INTROSPECTABLE, 'Introspect', '');
    my ($number) = $path =~ /(\d+)$/;
    like($answer->{reply}[0], qr/<node name="$number"/, 'the owner finds it there');
    is_deeply($owner->get('Filter', $path), {}, 'and its filter');
    my $root = $others{root};
    is($root->get('Sent', $path), 1 + @reported, 'root sees how many events it got');
    is_deeply($root->ask('org.forkbus1', $path, 'org.forkbus1.Subscription', 'Unsubscribe', ''), { reply => [] },
        'and can end it');
    is($owner->get('Sent', $path)->{error}, BUS_ERROR . 'UnknownObject', 'then it is no more');
}

# --- visible processes -----------------------------------------------------------------------------------------------

sub test_users {
    my ($feed, $bus) = @_;
    my $broker = $feed->broker;
    my $since  = $broker->status->{cursor};
    my %client = map { $_ => $bus->client(@{ $as{$_} }) } keys %as;
    my %live   = map { $_ => $client{$_}->subscribe({}) } keys %as;
    my @events = events();
    my $end    = $feed->write(@events)->settle;
    for my $who (sort keys %as) {
        my ($client, $uid) = ($client{$who}, $as{$who}[1]);
        my @reported = reported($client, $live{$who}, $end);
        my $is_shown = sub {
            my ($event) = @_;
            return 1 if $who =~ /root|member/;
            return $event->{uid} == $uid || ($event->{old}{uid} // -1) == $uid;
        };
        my @expected = map { "$_->{type} $_->{pid}" } grep { $is_shown->($_) } @events;
        is_deeply([map { "$_->{type} $_->{pid}" } @reported], \@expected, "$who: what happens to the own: " . @expected);
        my @stream = $broker->subscribe({ since => $since }, @{ $as{$who} })->catch_up($broker, $end);
        is_deeply(\@reported, \@stream, "$who: as the stream reports it");
        my @then = reported($client, $client->subscribe({ since => $since }), $end);
        is_deeply(\@then, \@reported, "$who: so does history");
        my @secret = grep { exists $_->{args} || exists $_->{exe} || exists(($_->{usage} // {})->{readBytes}) } @reported;
        my @foreign = grep { $who !~ /root|member/ && ($_->{euid} // -1) != $uid } @secret;
        ok(@secret && !@foreign, "$who: the path and the arguments of setuid programs are withheld");

        # Root's process 1003 and the other's 3004 live.
        my $path = $client->subscribe({ pids => [1003, 3004], tree => 1003 });
        my %started = (pid => 1003, startUsec => 1000);
        is_deeply(
            $client->get('Filter', $path),
            $who =~ /root|member/
            ? { pids => [\%started, { pid => 3004, startUsec => 1000 }], tree => \%started }
            : { pids => [1003, 3004], tree => 1003 },
            "$who: the filter of a subscription does not show when processes of others started"
        );
        $client->ask('org.forkbus1', $path, 'org.forkbus1.Subscription', 'Unsubscribe', '');

        my %now = map { $_ => int $_ / 1000 } map { my $t = $_; map { 1000 * $t + $_ } 2 .. 4 } 1 .. 3;
        $now{2003} = 3;
        my @own = sort grep { $is_shown->({ uid => { 1 => 0, 2 => $user, 3 => $other }->{ $now{$_} } }) } keys %now;
        for my $filter ({}, { pids => [map { $_ + 0 } keys %now] }, { uids => [0, $user, $other] }, { comm => '*' }) {
            my $list = $client->call('ListProcesses', 'a{sv}', $filter)->{reply}[0];
            is_deeply([sort grep { $now{$_} } map { $_->[0] } @$list], \@own, "$who: a list of the own: "
                . substr json($filter), 0, 30);
        }
        my %found = map { $_ => $client->call('GetProcess', 'u', $_ + 0) } keys %now;
        is_deeply([sort grep { $found{$_}{reply} } keys %now], \@own, "$who: each process separately");
        my %refusals = map { json($_) =~ s/\d{4,}/PID/r => 1 } grep { $_->{error} } values %found;
        my $nobody = json($client->call('GetProcess', 'u', 4_194_000)) =~ s/\d{4,}/PID/r;
        is_deeply([keys %refusals], @own < keys %now ? [$nobody] : [], "$who: others are refused like missing ones");
        my $snapshot = $client->subscribe({ snapshot => true });
        $client->wait_signal(sub { $_->{signal} eq 'Ready' && $_->{path} eq $snapshot });
        my @listed = map { $_->{signal} eq 'ProcessListed' ? $_->{args}[0] : () } $client->signals($snapshot);
        is_deeply([sort grep { $now{$_} } @listed], \@own, "$who: a snapshot of the own");
    }
}

# --- polkit ----------------------------------------------------------------------------------------------------------

sub is_denied {
    my ($client, $name) = @_;
    my @answers = map { $client->call($_, 'a{sv}', { all => true }) } qw(Subscribe ListProcesses);
    is_deeply([map { $_->{error} } @answers], [(ERROR . 'AccessDenied') x 2], $name) or diag(json(\@answers));
}

sub is_granted {
    my ($feed, $client, $name) = @_;
    my $path = $client->subscribe({ all => true, types => ['exec'] });
    my $list = $client->call('ListProcesses', 'a{sv}', { all => true, comm => 'foreign' })->{reply}[0];
    my $pid  = 5000 + int rand 1000;
    my %foreign = (pid => $pid, startUsec => 5, uid => 0, euid => 0, comm => 'foreign', timeUsec => now_usec());
    my $end = $feed->write({ type => 'exec', args => ['of root'], %foreign }, { type => 'exit', %foreign })->settle;
    my ($event) = reported($client, $path, $end);
    is_deeply([$event->{pid}, $event->{args}], [$pid, ['of root']], $name);
    is(ref $list, 'ARRAY', 'and for a list');
    is_deeply($client->get('Filter', $path), { types => ['exec'] }, 'which is nothing that it filters for');
}

sub test_polkit {
    my ($feed, $bus) = @_;
    my %client = map { $_ => $bus->client(@{ $as{$_} }) } keys %as;
    is_denied($client{user}, 'no polkit, no permission');
    is_granted($feed, $client{$_}, "$_ needs none") for qw(root member);

    my $polkit = Forkbus::Polkit->start($bus, grant => $user_name);
    note("polkit is $polkit->{what}" . ($polkit->{why} ? ": polkitd: $polkit->{why}" : ''));
    $polkit->grants(0);
    is_denied($client{other}, "$polkit->{what} permits no other user");
    $polkit->grants(1);
    is_granted($feed, $client{user}, "$polkit->{what} permits one user to see all");
    my $own  = $client{user}->subscribe({ types => ['exec'] });
    my %root = (type => 'exec', pid => 1, startUsec => 1, uid => 0, euid => 0, timeUsec => now_usec());
    my $end  = $feed->write(\%root, { %root, pid => 2100, uid => $user, euid => $user })->settle;
    is_deeply([map { $_->{pid} } reported($client{user}, $own, $end)], [2100], 'but only where it asks for that');
    is($client{user}->call('Subscribe', 'a{sv}', { all => Forkbus::false })->{error}, undef, 'all = false is fine');
    is($client{user}->call('Subscribe', 'a{sv}', { all => true, frob => true })->{error}, ERROR . 'InvalidFilter',
        'what is wrong is refused before polkit is asked');
    $polkit->stop;
    is_denied($client{user}, 'polkit has gone: no permission');
    $_->leave for values %client;
}

# A polkit that does not answer, as while a user looks for a password. Pending queries are limited, and others do not wait.
sub test_patience {
    my ($feed, $bus) = @_;
    my $polkit = $bus->client;
    $polkit->ask('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName', 'su',
        'org.freedesktop.PolicyKit1', 4);
    my @clients = map { $bus->client(@{ $as{user} }) } 1 .. 4;
    $_->get('Version') for @clients;
    my @manager = ('org.forkbus1', '/org/forkbus1', 'org.forkbus1.Manager');
    my @refused;
    for my $client (@clients) {
        $client->send(@manager, 'Subscribe', 'a{sv}', { all => true }) for 1 .. 6;

        # This query is answered after those that were refused.
        $client->send(@manager, 'GetProcess', 'u', 4_194_000);
        my @answers;
        do { push @answers, $client->answer } until $answers[-1]{error} eq ERROR . 'NoSuchProcess';
        pop @answers;
        push @refused, scalar @answers;
        is_deeply([grep { $_->{error} ne BUS_ERROR . 'LimitsExceeded' } @answers], [], 'those that are too many are refused');
    }
    is("@refused", '2 2 6 6', 'four of a client, eight of a user may be open');
    my $question = $polkit->{calls}[0] // $polkit->wait_line(sub { exists $_->{call} }, 'a question');
    my ($subject, $action, $details, $flags) = @{ plain($question->{args}) };
    is("$question->{call} $action $flags", 'CheckAuthorization org.forkbus1.observe-all 0',
        'polkit is asked, without interaction');
    is_deeply($subject, ['system-bus-name', { name => $clients[0]->name }], 'about the caller');
    my $path = $clients[3]->subscribe({});
    my $end = $feed->write(events())->settle;
    cmp_ok(scalar(reported($clients[3], $path, $end)), '>', 5, 'meanwhile all else works');
    $clients[0]->leave;
    my $subscribers = $clients[3]->get('Subscribers');
    Forkbus->wait_until(sub {
        $clients[3]->send(@manager, 'Subscribe', 'a{sv}', { all => true })->send(@manager, 'GetProcess', 'u', 4_194_000);
        my $answer = $clients[3]->answer;
        return $answer->{error} eq ERROR . 'NoSuchProcess' || !$clients[3]->answer;
    });
    pass('a client that leaves makes room for others');
    $polkit->leave;
    is($clients[1]->answer->{error}, ERROR . 'AccessDenied', 'it leaves without an answer: no permission') for 1 .. 4;
    is($clients[2]->get('Subscribers'), $subscribers, 'and no subscription');
}

# --- limits ----------------------------------------------------------------------------------------------------------

sub test_limits {
    my ($feed, $bus) = @_;
    my @clients = map { $bus->client(@{ $as{user} }) } 1, 2;
    Forkbus->wait_until(sub { $clients[0]->get('Subscribers') == 0 }) or die 'a subscriber is left';
    my @paths = map { $clients[$_ % 2]->subscribe({}) } 1 .. PER_USER - 1;
    my $stream = $feed->broker->subscribe({}, @{ $as{user} });
    $stream->wait_ready;
    for my $method (qw(Subscribe ListProcesses)) {
        my $answer = $clients[0]->call($method, 'a{sv}', {});
        is($answer->{error}, ERROR . 'TooManySubscriptions', "$method: a user has so many and no more, on all faces");
        like($answer->{message}, qr/^uid \d+ and its subordinate uids have their share/, 'which is reported');
    }
    my $other = $bus->client(@{ $as{other} });
    ok($other->call('Subscribe', 'a{sv}', {})->{reply}, 'another one has the own');
    $stream->close;
    my $answer;
    Forkbus->wait_until(sub { !($answer = $clients[0]->call('Subscribe', 'a{sv}', {}))->{error} });
    ok($answer->{reply}, 'a client that closes one subscription can open another');
    $clients[1]->leave;
    Forkbus->wait_until(sub { !$clients[0]->call('ListProcesses', 'a{sv}', {})->{error} });
    is(scalar(grep { $_->{error} } map { $clients[0]->call('Subscribe', 'a{sv}', {}) } 1 .. PER_USER / 2 - 1), 0,
        'who leaves gives all back');
    ok($clients[0]->call('GetProcess', 'u', 4_194_000)->{error} eq ERROR . 'NoSuchProcess', 'a question takes no place');
}

# --- a broker that is not root ---------------------------------------------------------------------------------------

# As the service runs: the bus' policy permits it to own the name and to ping subscribers; polkit lets it query for others.
sub test_ordinary {
    my ($kind) = @_;
    my $name = 'daemon';
    my $uid  = getpwnam $name // return note("there is no user $name");
    my $bus  = Forkbus::Bus->start($kind, daemon_user => $name, policies => Forkbus::Polkit->policies);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env, uid => $uid);
    ok($bus->has_owner, "$kind: a broker that is not root is there");
    my $client = $bus->client(@{ $as{user} });
    my $path   = $client->subscribe({});
    my $text   = join '', map { json({ type => 'fork', pid => $_, startUsec => $_, uid => $user,
        timeUsec => now_usec() }) . "\n" } 1 .. 1000;
    waitpid $feed->write_beside($text, 1), 0;
    my $end = $feed->settle;
    is(scalar(reported($client, $path, $end)), 1000, 'it can ping subscribers: more than 256 signals arrive');
    my $polkit = Forkbus::Polkit->start($bus, grant => $user_name, owner => $name);
    $polkit->grants(1);
    is_granted($feed, $client, "it can ask $polkit->{what}");
    unlike($feed->broker->stderr, qr/does not let/, 'nothing is refused') or diag($feed->broker->stderr);
    is($feed->broker->end, 0, 'it ends with status 0');
    $polkit->stop;

    # A user that the policy does not permit.
    my $stranger = Forkbus->broker(source => "replay:/dev/null\@flat", bus => 'system', env => $bus->env, uid => $user);
    ok($stranger->says(qr/the bus refuses the name org\.forkbus1 \(is its policy installed\?\)/),
        'another user cannot be org.forkbus1');
    is($stranger->end, 0, 'which is no reason not to run');
}

for my $kind (Forkbus::Bus->kinds) {
    note($kind);
    my $bus = Forkbus::Bus->start($kind, policies => Forkbus::Polkit->policies);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env,
        config => { Access => { Group => GROUP }, Limits => { ConnectionsPerUser => PER_USER } });
    ok($bus->has_owner, "$kind: the broker is there");
    test_alone($feed, $bus);
    test_users($feed, $bus);
    test_polkit($feed, $bus);
    test_patience($feed, $bus);
    test_limits($feed, $bus);
    $feed->broker->stop($kind);
    $bus->stop;
    test_ordinary($kind);
}
done_testing;
