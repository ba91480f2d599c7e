#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The D-Bus face, as proto/org.forkbus1.xml describes it: every key of a filter, every field of an event with its type, all
# refusals, snapshots and history, lists. Its events are compared with those of the stream.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(false json now_usec true);
use Forkbus::BusClient qw(plain typed);
use MIME::Base64;
use Test::More;

use constant { MANY => 12_000, ERROR => 'org.forkbus1.Error.', BUS_ERROR => 'org.freedesktop.DBus.Error.' };

my $MANAGER = 'org.forkbus1.Manager';

# --- events ----------------------------------------------------------------------------------------------------------

# The kinds of all fields, by group and key.
my %kind;
my $list = Forkbus->read_file("$Bin/../../proto/event-json-fields.h") =~ s{/\*.*?\*/}{}gsr;
for my $field ($list =~ /^F\((.*)\)/mg) {
    my ($member, $kind, $group, $key) = split /, */, $field;
    $kind{$group}{ $key =~ tr/"//dr } = $kind;
}
my %type_of = (U32 => 'u', U64 => 't', BOOL => 'b', TEXT => 's', PATH => 's', ARGS => 'as');
my %value_of = (U32 => 7, U64 => 1 << 40, BOOL => true, TEXT => 'a text', PATH => '/a/path', ARGS => ['an', '', 'argument ö']);

sub all_of {
    my ($group) = @_;
    return map { $_ => $value_of{ $kind{$group}{$_} } } keys %{ $kind{$group} };
}

my $start = 5_000_000;

sub event {
    my ($type, $pid, %fields) = @_;
    return { type => $type, timeUsec => now_usec(), bootUsec => ++$start, pid => $pid, startUsec => 1000 * $pid,
        ppid => 1, uid => 0,
        comm => "p$pid", %fields };
}

# All kinds of events. Processes 300 and 301 are still alive at the end.
sub events {
    my %code = (status => { code => 0 }, usage => { elapsedUsec => 10 });
    return (
        event(fork    => 100, uid => 7),
        event(exec    => 100, uid => 7, exe => '/usr/bin/one', args => ['one', 'two'], cgroup => '/a/b', unit => 'a.service'),
        event(exit    => 100, uid => 7, exe => '/usr/bin/one', %code),
        event(fork    => 200),
        event(fork    => 201, ppid => 200, parentStartUsec => 200_000),
        event(fork    => 200, tid => 2001),
        event(exit    => 200, tid => 2001),
        event(exit    => 201, ppid => 200, status => { code => 3 }, usage => { elapsedUsec => 20 }),
        event(exit    => 200, status => { signal => 11, coreDumped => true }, usage => { elapsedUsec => 5_000_000 }),
        event(fork    => 300),
        event(id      => 300, uid => 8, old => { uid => 0, gid => 0 }),
        event(comm    => 300, uid => 8, comm => 'named again'),
        event(session => 300, uid => 8, session => 300),
        event(fork    => 301, uid => 8, ppid => 300, parentStartUsec => 300_000),
    );
}

# Texts that are not valid UTF-8 have the same name and the same bytes as in JSON.
sub as_json_has_it {
    my ($event) = @_;
    my %event = %$event;
    $event{$_} = encode_base64(join('', map { chr } @{ $event{$_} }), '') for grep { /Raw$/ } keys %event;
    return \%event;
}

sub signal_names { return join ' ', map { $_->{signal} } @_ }

# Wait until a subscription has reached an event, also if the filter leaves it out: its signals arrive before the answer.
sub reported {
    my ($client, $path, $seq) = @_;
    Forkbus->wait_until(sub { (split /:/, $client->get('Cursor', $path))[1] >= $seq }) or die "$path does not come to $seq\n";
    return $client->signals($path);
}

# --- filters ---------------------------------------------------------------------------------------------------------

# Filters, in D-Bus and, where it differs, in JSON; and how many of the events above match.
my @filters = (
    [{}, 12],
    [{ types => ['exit'] }, 3],
    [{ types => 'exit' },   3],
    [{ types => typed(av => ['fork', 'exec']) }, 6, { types => ['fork', 'exec'] }],
    [{ types => ['id', 'comm', 'session'] }, 3],
    [{ pids => typed(au => [1]) }, 0, undef, 'process 1 is not there, and is refused'],
    [{ pids => { pid => typed(u => 200), startUsec => typed(t => 200_000) } }, 2, { pids => { pid => 200,
        startUsec => 200_000 } }],
    [{ pids => typed('aa{sv}' => [{ pid => 201, startUsec => 201_000 }, { pid => 100, startUsec => 100_000 }]) }, 5,
        { pids => [{ pid => 201, startUsec => 201_000 }, { pid => 100, startUsec => 100_000 }] }],
    [{ tree => { pid => typed(q => 200), startUsec => typed(x => 200_000) } }, 4, { tree => { pid => 200,
        startUsec => 200_000 } }],
    (map { [{ uids => typed($_ => 7) }, 3, { uids => 7 }] } qw(y n q i u x t)),
    [{ uids => typed(ay => [7, 8]) }, 7, { uids => [7, 8] }],
    [{ uids => typed(av => [typed(n => 7), typed(x => 8)]) }, 7, { uids => [7, 8] }],
    [{ uids => typed(v => typed(v => typed(u => 7))) }, 3, { uids => 7 }],
    [{ comm => ['p1*', 'named*'] }, 4],
    [{ comm => typed(o => '/nobody') }, 0, { comm => '/nobody' }],
    [{ exe    => '/usr/bin/*' },     2],
    [{ cgroup => '/a/*' },           1],
    [{ unit   => ['a.service'] },    1],
    [{ status => 'failure' }, 2],
    [{ status => ['success', 'signal'] }, 2],
    [{ status => 'any', minElapsedUsec => typed(u => 20) }, 2, { status => 'any', minElapsedUsec => 20 }],
    [{ threads => true }, 14],
    [{ types => ['exit'], uids => [0], threads => false }, 2],
);

# Refused calls: the error, and what the message must contain.
my $refused = ERROR . 'InvalidFilter';
my @refusals = (
    (map { [{ types => $_ }, qr/^types /] } typed(u => 5), typed(b => true), [], 'frok', ['exit', ''], 'process', 'ready',
        typed(as => ['exit', 'frok']), { fork => true }),
    (map { [{ pids => $_ }, qr/^pids /] } 'one', typed(b => true), typed(x => -1), typed(i => -5), typed(t => 1 << 33),
        typed(au => []),
        4_194_304, { pid => 1, from => 2 }, { startUsec => 2 }, { pid => 'x' }),
    (map { [{ tree => $_ }, qr/^tree /] } [1, 2], 'init', 4_194_303, { pid => typed(s => '5') }),
    (map { [{ uids => $_ }, qr/^uids /] } 'root', typed(x => -2), typed(t => 1 << 32), typed(au => [])),
    (map { my $key = $_; map { [{ $key => $_ }, qr/^$key /] } typed(u => 1), typed(b => false), [], typed(ay => [65]), 'a[',
            'x' x 4097 } qw(comm exe cgroup unit)),
    (map { [{ status => $_ }, qr/^status /] } 'bad', typed(u => 0), []),
    (map { [{ minElapsedUsec => $_ }, qr/^minElapsedUsec /] } '5', typed(x => -1), [1], typed(b => true)),
    (map { [{ threads => $_ }, qr/^threads /] } 1, 'true', typed(ab => [true])),
    (map { [{ snapshot => $_ }, qr/^snapshot /] } 1, 'yes'),
    (map { [{ all => $_ }, qr/^all /] } 1, 'yes', typed(ab => [true])),
    (map { [{ $_ => true }, qr/^\Q$_\E /] } qw(frobnicate complete query filter Types _ü)),
    # Types that no key accepts.
    (map { my $key = $_; map { [{ $key => $_ }, qr/^$key has a value of an unsupported type/] } typed(d => 1.5),
            typed('(uu)' => [1, 2]), typed('a{ss}' => { a => 'b' }),
                typed('a{su}' => { pid => 1 }) } qw(types pids comm threads)),
    [{ since => typed(d => 1.5) }, qr/^since has a value of an unsupported type/, ERROR . 'InvalidCursor'],
    [{ pids => typed(t => 9_223_372_036_854_775_807 * 1) }, qr/^pids /],
    # Twice.
    [[[types => 'exit'], [types => 'fork']], qr/^types is given twice/],
    [[[all => true], [all => true]], qr/^all is given twice/],
    [{ pids => typed('a{sv}' => [[pid => 1], [pid => 1]]) }, qr/^pid is given twice/],
    # Too much.
    [{ uids => typed(au => [1 .. 1025]) }, qr/^uids /],
    [{ comm => [map { "name $_" } 1 .. 1025] }, qr/^comm /],
    [{ comm => [map { 'x' x 4000 } 1 .. 20] }, qr/^The request is too long/],
    [{ types => typed(ay => [(1) x 100_000]) }, qr/^The request is too long/],
    [{ 'x' x 70_000 => true }, qr/^The request is too long/],
    [{ since => typed(u => 1) },    qr/^since /, ERROR . 'InvalidCursor'],
    [{ since => 'yesterday' },      qr/^since /, ERROR . 'InvalidCursor'],
    [{ since => '0:0:0' },          qr/^since /, ERROR . 'InvalidCursor'],
    [{ since => ['-5min'] },        qr/^since /, ERROR . 'InvalidCursor'],
);

sub test_filters {
    my ($feed, $client) = @_;
    my $broker = $feed->broker;
    my $since  = $broker->status->{cursor};
    my %live;
    for my $i (0 .. $#filters) {
        my ($filter, $count, undef, $is_refused) = @{ $filters[$i] };
        $live{$i} = $client->subscribe($filter) if !$is_refused;
    }
    my $end = $feed->write(events())->settle;
    for my $i (0 .. $#filters) {
        my ($filter, $count, $json, $is_refused) = @{ $filters[$i] };
        my $name = substr json($filter), 0, 80;
        if ($is_refused) {
            is($client->call('Subscribe', 'a{sv}', $filter)->{error}, $refused, "$name: $is_refused");
            next;
        }
        my ($ready, @live) = map { Forkbus::BusClient::event_of($_) } reported($client, $live{$i}, $end);
        is(scalar @live, $count, "$name: $count events");
        my @expected = grep { $_->{seq} <= $end } $broker->subscribe({ since => $since,
            %{ $json // $filter } })->catch_up($broker, $end);
        is_deeply([map { as_json_has_it($_) } @live], \@expected, 'the same as in the stream');
        my $path = $client->subscribe({ since => $since, %$filter });
        my (undef, @then) = map { Forkbus::BusClient::event_of($_) } reported($client, $path, $end);
        is_deeply(\@then, \@live, 'and history');
        is_deeply($client->get('Filter', $path), normal($json // $filter), 'and its Filter property has the filter');
        $client->ask('org.forkbus1', $_, 'org.forkbus1.Subscription', 'Unsubscribe', '') for $path, $live{$i};
    }
    is($client->get('Subscribers'), 0, 'all are gone');
}

# A filter in its normal form: lists for keys with several values, sorted; no false.
sub normal {
    my ($filter) = @_;
    my %normal = %$filter;
    for my $key (grep { !/^(?:tree|minElapsedUsec|threads)$/ } keys %normal) {
        $normal{$key} = [$normal{$key}] if ref $normal{$key} ne 'ARRAY';
        $normal{$key} = [sort @{ $normal{$key} }] if $key =~ /^(?:comm|exe|cgroup|unit)$/;
        $normal{$key} = [sort { $a->{pid} <=> $b->{pid} } @{ $normal{$key} }] if $key eq 'pids';
    }
    delete $normal{threads} if exists $normal{threads} && !$normal{threads};
    return \%normal;
}

sub test_refusals {
    my ($client) = @_;
    my @wrong;
    for my $case (@refusals) {
        my ($filter, $pattern, $error) = @$case;
        $error //= $refused;
        for my $method ('Subscribe', 'ListProcesses') {
            my $is_key = ref $filter eq 'HASH' && grep { /^(?:snapshot|since)$/ } keys %$filter;
            next if $method eq 'ListProcesses' && $is_key;
            my $answer = $client->call($method, 'a{sv}', $filter);
            push @wrong, substr(json($filter), 0, 100) . ': ' . json($answer)
              if ($answer->{error} // '') ne $error || $answer->{message} !~ $pattern;
        }
    }
    is_deeply(\@wrong, [], 'all of ' . @refusals . ' wrong requests are refused by name');
    for my $key (qw(snapshot since)) {
        my $answer = $client->call('ListProcesses', 'a{sv}', { $key => true });
        is($answer->{error}, $refused, "ListProcesses: $key is for subscriptions");
        like($answer->{message}, qr/^$key /, 'which is reported');
    }
    for my $method (qw(Subscribe ListProcesses)) {
        is($client->call($method, 's', 'exit')->{error}, BUS_ERROR . 'InvalidArgs',
            "$method: arguments of other types are refused");
        is($client->call($method, '')->{error}, BUS_ERROR . 'InvalidArgs', 'and none');
    }
    is($client->call('GetProcess', 's', '1')->{error}, BUS_ERROR . 'InvalidArgs', 'GetProcess takes no text');
    is($client->call('Frobnicate', '')->{error}, BUS_ERROR . 'UnknownMethod', 'an unknown method');
    is($client->ask('org.forkbus1', '/org/forkbus1', 'org.forkbus1.Nothing', 'Subscribe', 'a{sv}', {})->{error},
        BUS_ERROR . 'AccessDenied', 'an unknown interface is not even let through by the policy');
    is($client->get('Nothing')->{error}, BUS_ERROR . 'UnknownProperty', 'an unknown property');
    my @set = ('org.freedesktop.DBus.Properties', 'Set', 'ssv', $MANAGER, 'Version', typed(s => '2'));
    is($client->ask('org.forkbus1', '/org/forkbus1', @set)->{error}, BUS_ERROR . 'PropertyReadOnly', 'properties are to be read');
    for my $path (qw(/ /org /org/forkbus1/subscription /org/forkbus1/subscription/0 /org/forkbus1/subscription/99
        /org/forkbus1/subscription/01 /org/forkbus1/subscription/1x /org/forkbus1/subscription/1/1
        /org/forkbus1/subscription/18446744073709551617)) {
        my $answer = $client->ask('org.forkbus1', $path, 'org.forkbus1.Subscription', 'Unsubscribe', '');
        like($answer->{error}, qr/Unknown(?:Object|Method|Interface)$/, "$path is no subscription");
    }
}

# --- fields ----------------------------------------------------------------------------------------------------------

# Return: errors in the types of a dictionary, which must have all fields of a group.
sub wrong_types {
    my ($details, $group, @without) = @_;
    my %kinds = %{ $kind{$group} };
    delete @kinds{@without};
    my %expected = map { $_ => $type_of{ $kinds{$_} } } keys %kinds;
    my %found    = map { $_ => $details->{$_}{type} } keys %$details;
    return grep { ($expected{$_} // 'none') ne ($found{$_} // 'none') } keys %{ { %expected, %found } };
}

sub test_fields {
    my ($feed, $client) = @_;
    my $path = $client->subscribe({ types => ['exec', 'exit', 'id'] });
    my %all = (all_of('TOP'), pid => 4711, startUsec => 77);
    delete @all{qw(seq tid)};
    delete $kind{TOP}{cursor} && delete $all{cursor};    # of Ready
    my $end = $feed->write({ %all, type => 'exec' }, { %all, type => 'exit', status => { all_of('STATUS') },
        usage => { all_of('USAGE') } },
        { %all, type => 'id', old => { all_of('OLD') } })->settle;
    my (undef, $exec, $exit, $id) = reported($client, $path, $end);
    is(signal_names($exec, $exit, $id), 'ProcessExecuted ProcessExited ProcessChanged', 'each type is a signal');
    is_deeply([$id->{args}[3]], ['id'], 'and a change has both');
    my @own = qw(seq pid tid startUsec);
    my ($details, $status, $usage, $old);
    $details = $exec->{args}[3];
    is_deeply([wrong_types($details, 'TOP', @own)], [], 'every field has its type');
    is_deeply({ map { $_ => plain($details->{$_}) } keys %$details }, { map { $_ => $all{$_} }
        grep { !/^(?:pid|startUsec)$/ } keys %all },
        'and its value');
    $status = delete $exit->{args}[3]{status};
    $usage  = delete $exit->{args}[3]{usage};
    $old    = delete $id->{args}[4]{old};
    is_deeply([map { $_->{type} } $status, $usage, $old], [('a{sv}') x 3], 'objects are dictionaries');
    is_deeply([wrong_types($status->{data}, 'STATUS'), wrong_types($usage->{data}, 'USAGE'), wrong_types($old->{data},
        'OLD')], [],
        'whose fields have theirs');
    is_deeply([wrong_types($exit->{args}[3], 'TOP', @own)], [], 'beside which all is as without');
}

# Valid UTF-8 texts are unchanged; others, which D-Bus does not accept, become the replacement and the bytes.
my $r = "\x{fffd}";
my @texts = (
    ['Grüße €𝄞' => 'as it is'],
    ["tab\t\x01"  => 'with control characters'],
    [''           => 'empty'],
    ["\xff\xfe"       => 'no UTF-8',              "$r$r"],
    ["caf\xe9"        => 'Latin 1',               "caf$r"],
    ["a\xc3"          => 'cut short',             "a$r"],
    ["\xed\xa0\x80"   => 'a surrogate',           "$r$r$r"],
    ["\xc0\x80"       => 'an overlong NUL',       "$r$r"],
    ["x\xef\xbf\xbey" => 'a noncharacter U+FFFE', "x$r$r${r}y"],
    ["\xef\xbf\xbf"   => 'U+FFFF',                "$r$r$r"],
    ["\xef\xb7\x90"   => 'U+FDD0',                "$r$r$r"],
    ["\xf0\x9f\xbf\xbe" => 'U+1FFFE',             "$r$r$r$r"],
    ["\xf4\x90\x80\x80" => 'beyond Unicode',      "$r$r$r$r"],
    ["a\0b"           => 'a NUL',                 "a${r}b"],
);

sub test_texts {
    my ($feed, $client) = @_;
    my $path = $client->subscribe({ types => ['exec'] });
    my $pid = 50_000;
    my (@events, @expected);
    for my $text (@texts) {
        my ($bytes, $what, $shown) = @$text;
        utf8::encode($bytes) if utf8::is_utf8($bytes);
        my %raw = (comm => $shown // '?', commRaw => encode_base64($bytes, ''), exe => '/x',
            exeRaw => encode_base64("/$bytes", ''));
        push @events, event(exec => ++$pid, %raw);
    }
    my $end = $feed->write(@events)->settle;
    my (undef, @signals) = reported($client, $path, $end);
    is(scalar @signals, scalar @texts, 'all come');
    for my $i (0 .. $#texts) {
        my ($bytes, $what, $shown) = @{ $texts[$i] };
        utf8::encode($bytes) if utf8::is_utf8($bytes);
        my $reported = plain($signals[$i]{args}[3]);
        utf8::decode(my $same = $bytes);
        is($reported->{comm}, $shown // $same, "a name, $what");
        is($reported->{exe}, '/' . ($shown // $same), 'and a path');
        is_deeply([$reported->{commRaw}, $reported->{exeRaw}], defined $shown ? [map { [unpack 'C*', $_] } $bytes, "/$bytes"]
            : [undef, undef],
            defined $shown ? 'with the bytes' : 'with nothing beside');
    }
    is_deeply([map { $_->{type} } @{ $signals[3]{args}[3] }{qw(comm commRaw)}], ['s', 'ay'], 'bytes are bytes');

    my %args = (
        'a list'        => [['sh', '-c', 'exit 3']],
        'with empty'    => [['', 'a', '']],
        'one empty'     => [['']],
        'with bytes'    => [['a', "b$r"], "a\0b\xff"],
        'very many'     => [[('') x 2000]],
    );
    for my $what (sort keys %args) {
        my ($list, $bytes) = @{ $args{$what} };
        my %raw = defined $bytes ? (argsRaw => encode_base64($bytes, '')) : ();
        my $seq = $feed->write(event(exec => ++$pid, args => $list, %raw))->settle;
        my $reported = plain((reported($client, $path, $seq))[-1]{args}[3]);
        is_deeply($reported->{args}, $list, "arguments: $what");
        is_deeply($reported->{argsRaw}, defined $bytes ? [unpack 'C*', $bytes] : undef, 'and their bytes where they are needed');
    }
}

# --- snapshots, history, lists ---------------------------------------------------------------------------------------

sub test_past {
    my ($feed, $client) = @_;
    my $broker = $feed->broker;
    my %expected = map { $_->{pid} => $_ } grep { $_->{type} eq 'process' }
      do { my $stream = $broker->subscribe({ snapshot => true }); $stream->wait_ready; @{ $stream->{events} } };
    my $path = $client->subscribe({ snapshot => true });
    $client->wait_signal(sub { $_->{signal} eq 'Ready' && $_->{path} eq $path });
    my @reported = $client->signals($path);
    my $expected = join ' ', ('ProcessListed') x keys %expected, 'Ready';
    is(signal_names(@reported), $expected, 'a snapshot, and Ready: ' . keys %expected);
    my @listed   = map { Forkbus::BusClient::event_of($_) } @reported[0 .. $#reported - 1];
    my %reported = map { $_->{pid} => as_json_has_it($_) } @listed;
    is_deeply([sort keys %reported], [sort keys %expected], 'of all living processes');
    is_deeply($reported{300}, $expected{300}, 'as the stream has them');
    like($reported[-1]{args}[0], qr/^[0-9a-f]{16}:\d+$/, 'Ready has the position where the events begin');
    is($reported[-1]{args}[0], $broker->status->{cursor}, 'which is the end of the log');
    my $end = $feed->write(event(fork => 400, ppid => 300))->settle;
    is(signal_names((reported($client, $path, $end))[-1]), 'ProcessForked', 'then live events');

    my $since = $reported[-1]{args}[0];
    my $later = $client->subscribe({ since => $since });
    is_deeply([map { Forkbus::BusClient::number_of($_) } reported($client, $later, $end)], [(split /:/, $since)[1], $end],
        'a cursor: what comes after it');
    $later = $client->subscribe({ since => $broker->beginning });
    my @all = grep { !/^-1$/ } map { Forkbus::BusClient::number_of($_) } reported($client, $later, $end);
    shift @all;
    ok(@all >= 15 && $all[-1] == $end, 'that of the beginning: all');
    $later = $client->subscribe({ since => '-1d' });
    is(scalar(() = reported($client, $later, $end)), 1 + @all, 'so does a span of time');
    my $epoch = (split /:/, $since)[0];
    my $answer = $client->call('Subscribe', 'a{sv}', { since => "$epoch:" . ($end + 1000) });
    is($answer->{error}, ERROR . 'InvalidCursor', 'a cursor from the future is none');
    like($answer->{message}, qr/^since the cursor is from the future/, 'which is reported');
    $later = $client->subscribe({ since => '0123456789abcdef:5' });
    my $lost = Forkbus::BusClient::event_of((reported($client, $later, $end))[1]);
    is_deeply([@$lost{qw(type reason)}], [qw(lost epoch)], 'one of another log begins with Lost');
    is($client->get('Sent', $later), 2 + @all, 'Sent counts signals');

    # Of one process.
    my $process = $client->call('GetProcess', 'u', 300)->{reply}[0];
    is_deeply([map { $process->{$_}{type} } qw(pid startUsec uid comm)], [qw(u t u s)], 'GetProcess returns the known fields');
    delete $expected{300}{type};
    is_deeply(as_json_has_it(plain($process)), $expected{300}, 'the same as the snapshot');
    $answer = $client->call('GetProcess', 'u', 4_000_000);
    is($answer->{error}, ERROR . 'NoSuchProcess', 'or that there is none');
    my $found = $client->call('ListProcesses', 'a{sv}', { pids => [300, 301] })->{reply}[0];
    is_deeply([map { [@$_[0, 1]] } sort { $a->[0] <=> $b->[0] } @$found], [[300, 300_000], [301, 301_000]],
        'a list has pid and start');
    is_deeply([map { $_->{comm}{type} } map { $_->[2] } @$found], ['s', 's'], 'and all else');
    is_deeply($client->call('ListProcesses', 'a{sv}', { comm => 'nobody' }), { reply => [[]] }, 'or nothing');

    # Unsubscribe: no signal arrives after the answer, even under load.
    my $text = join '', map { json(event(fork => 60_000 + $_)) . "\n" } 1 .. 500;
    my $pid = $feed->write_beside($text, 10);
    $answer = $client->ask('org.forkbus1', $path, 'org.forkbus1.Subscription', 'Unsubscribe', '');
    is_deeply($answer, { reply => [] }, 'Unsubscribe');
    my $before = () = $client->signals($path);
    waitpid $pid, 0;
    $end = $feed->settle;
    reported($client, $later, $end);
    is(scalar(() = $client->signals($path)), $before, 'no signal arrives afterwards');
    is($client->ask('org.forkbus1', $path, 'org.forkbus1.Subscription', 'Unsubscribe', '')->{error}, BUS_ERROR . 'UnknownObject',
        'and it is no more');
}

sub test_many {
    my ($feed, $client, $bus) = @_;
    my $pid = 100_000;
    my @text = map { join '', map { json(event(fork => $pid++, cgroup => '/many', exe => '/usr/bin/some-program'))
        . "\n" } 1 .. 1000 } 1 .. MANY / 1000;
    for my $text (@text) {
        waitpid $feed->write_beside($text, 1), 0;
    }
    $feed->settle;
    my $list = $client->call('ListProcesses', 'a{sv}', { cgroup => '/many' })->{reply}[0];
    is(scalar @$list, MANY, MANY . ' processes in a list');
    my %pids = map { $_->[0] => 1 } @$list;
    is(scalar(keys %pids), MANY, 'each once');
    my $path = $client->subscribe({ snapshot => true, cgroup => '/many' });
    $client->wait_signal(sub { $_->{signal} eq 'Ready' && $_->{path} eq $path });
    is(scalar(() = $client->signals($path)), MANY + 1, 'or in a snapshot');

    # A list that is too long for dbus-daemon is refused: the bus would disconnect the broker.
    return if $bus->{kind} ne 'dbus-daemon';
    my $long = '/' . 'x' x 4000;
    for (1 .. 9) {
        my $text = join '', map { json(event(fork => $pid++, cgroup => $long, exe => $long)) . "\n" } 1 .. 500;
        waitpid $feed->write_beside($text, 1), 0;
    }
    $feed->settle;
    my $answer = $client->call('ListProcesses', 'a{sv}', {});
    is($answer->{error}, BUS_ERROR . 'LimitsExceeded', 'a list that no message holds is refused');
    $list = $client->call('ListProcesses', 'a{sv}', { cgroup => '/many' })->{reply}[0];
    is(scalar @$list, MANY, 'and a shorter one is not');
    unlike($feed->broker->stderr, qr/has gone/, 'nor is the broker off the bus');
}

# --- the manager -----------------------------------------------------------------------------------------------------

sub property {
    my ($bus, $name) = @_;
    my ($status, $out, $err) = $bus->busctl('get-property', 'org.forkbus1', '/org/forkbus1', $MANAGER, $name);
    return Forkbus::parse($out || json({ type => $err }));
}

sub test_properties {
    my ($feed, $bus) = @_;
    my $status   = $feed->broker->status;
    my %expected = (
        Version        => typed(s => $status->{version}),
        Source         => typed(s => 'replay'),
        Cursor         => typed(s => $status->{cursor}),
        EventsReceived => typed(t => 0),
        EventsLost     => typed(t => 0),
        Subscribers    => typed(u => 0),
    );
    is_deeply({ map { $_ => property($bus, $_) } keys %expected }, \%expected, 'properties, in the beginning');
    my $turn = property($bus, 'LongestTurnUsec');
    ok($turn->{type} eq 't' && $turn->{data} > 0, 'the longest turn of the loop');
    my $watcher = $bus->client;
    $watcher->match(q{type='signal',sender='org.forkbus1',member='PropertiesChanged'});
    my $client = $bus->client;
    my $is_change = sub { my ($name) = @_; return sub { $_->{signal} eq 'PropertiesChanged' && exists $_->{args}[1]{$name} } };

    $feed->write(event(fork => 10))->settle;
    is(property($bus, 'EventsReceived')->{data}, 1, 'an event was received');
    is(property($bus, 'Cursor')->{data}, $feed->broker->status->{cursor}, 'the cursor went on');

    # Many subscribers arrive: at most one signal a second.
    my $begin = now_usec();
    for (1 .. 100) {
        $client->subscribe({});
    }
    $watcher->wait_signal(sub { $is_change->('Subscribers')->() && plain($_->{args}[1])->{Subscribers} == 100 },
        '100 subscribers');
    my $seconds = (now_usec() - $begin) / 1e6;
    my @changes = grep { $is_change->('Subscribers')->() } @{ $watcher->{signals} };
    cmp_ok(scalar @changes, '<=', 1 + $seconds, @changes . " changes of Subscribers in $seconds s");
    is(property($bus, 'Subscribers')->{data}, 100, 'all are counted');
    my $stream = $feed->broker->subscribe({});
    $stream->wait_ready;
    is(property($bus, 'Subscribers')->{data}, 101, 'with those of other faces');
    $stream->close;
    $client->leave;
    $watcher->wait_signal(sub { $is_change->('Subscribers')->() && plain($_->{args}[1])->{Subscribers} == 0 }, 'no subscribers');
    pass('and when they have gone');
    my %never = map { $_ => 1 } map { keys %{ $_->{args}[1] } }
        grep { $_->{signal} eq 'PropertiesChanged' } @{ $watcher->{signals} };
    is_deeply([keys %never], ['Subscribers'], 'no change is signalled for properties that change with every event');
}

# All calls are sent before the first one is answered: a limited number is queued, the rest is refused, each gets an answer.
sub test_haste {
    my ($bus) = @_;
    my $client = $bus->client;
    $client->send('org.forkbus1', '/org/forkbus1', $MANAGER, 'Subscribe', 'a{sv}', {}) for 1 .. 50;
    my @answers = map { $client->answer } 1 .. 50;
    my @paths = map { $_->{reply} ? $_->{reply}[0] : () } @answers;
    my %errors = map { $_->{error} ? ($_->{error} => 1) : () } @answers;
    cmp_ok(scalar @paths, '>=', 8, 'of fifty calls at once ' . @paths . ' are kept until it is known whose they are');
    is_deeply([grep { $_ ne BUS_ERROR . 'LimitsExceeded' } keys %errors], [], 'the others are refused');
    my %paths = map { $_ => 1 } @paths;
    is(scalar(keys %paths), scalar @paths, 'each subscription is an object of its own');
}

for my $kind (Forkbus::Bus->kinds) {
    note($kind);
    my $bus  = Forkbus::Bus->start($kind);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($bus->has_owner, "$kind: the broker is there");
    test_properties($feed, $bus);
    my $client = $bus->client;
    test_filters($feed, $client);
    test_refusals($client);
    test_past($feed, $client);
    test_fields($feed, $client);
    test_texts($feed, $bus->client);
    test_haste($bus);
    test_many($feed, $bus->client, $bus);
    $feed->broker->stop($kind);
    $bus->stop;
}
done_testing;
