#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The events of Subscribe and ListProcesses are the same as in the stream, in replies; also from cursors and time spans, and
# for clients that read slowly or not at all.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec true);
use Test::More;

use constant { LOG => 512 * 1024, PROCESSES => 4000, REPLY_MAX => 48 * 1024 };

my $feed = Forkbus::Feed->new(log_size => LOG, config => { Limits => { RequestSize => '256K', EncodingCache => '1M' } });
my $broker = $feed->broker;
my $number = 0;

sub events {
    my ($count, %fields) = @_;
    return map {
        $number++;
        my %whose = (pid => 100 + $number % 50, startUsec => 1000, uid => $number % 3, comm => "number $number");
        { type => 'session', timeUsec => now_usec(), bootUsec => $number, %whose, %fields }
    } 1 .. $count;
}

# An event of a process that was already living when the source started.
sub process {
    my ($pid, %fields) = @_;
    return { type => 'process', timeUsec => 1, pid => $pid, startUsec => 1000, ppid => 1, comm => "p$pid", %fields };
}

sub publish {
    $feed->write(events(@_));
    return $feed->settle;
}

sub place { return (split /:/, $_[0])[1] }

# All events of a subscription, up to now.
sub reported {
    my ($parameters, %options) = @_;
    my $link = $broker->varlink(%options)->subscribe($parameters);
    return [$link->catch_up($broker)];
}

# --- events and their order ------------------------------------------------------------------------------------------

$feed->write(map { process($_, uid => $_ % 3) } 100 .. 149);
publish(20);
my $end = $broker->last_seq;

my $link = $broker->varlink->subscribe({ snapshot => true });
my ($ready, $reply) = $link->wait_ready;
my @types = map { $_->{type} } @{ $link->{events} };
is_deeply(\@types, [('process') x 50, 'ready'], 'first the living processes, then ready');
is(place($ready->{cursor}), $end, 'as of the end of the log');
is($reply->{parameters}{cursor}, $ready->{cursor}, 'where the reply stands too');
publish(3);
my ($event) = $link->wait_event(sub { $_->{comm} eq "number $number" });
is_deeply([map { $_->{seq} } $link->events], [(undef) x 50, $end + 1 .. $end + 3], 'then live events');
is(place($link->{cursor}), $event->{seq}, 'with the cursor behind it');

$reply = $link->reply;
is_deeply($reply, { continues => true, parameters => { events => [], cursor => $link->{cursor} } },
    'without events, a heartbeat: a reply with only the cursor');
my $other = $broker->varlink->subscribe({ filter => { comm => 'nothing' } });
$other->wait_ready;
$end = publish(5);
Forkbus->wait_until(sub { place($other->reply->{parameters}{cursor}) == $end }) or die 'it does not follow';
pass('the cursor also moves with events that do not match');
is_deeply([$other->events], [], 'without events');

# The same as the stream, event by event, through filters.
for my $filter (undef, { uids => 1 }, { uids => [0, 2], comm => ['number 1*', '*7'] }, { types => [qw(session exit)] },
    { pids => [{ pid => 101, startUsec => 1000 }, 102] }, { tree => 1 + 100 }, { types => undef, uids => 2, status => undef })
{
    my %request = %{ $filter // {} };
    delete @request{ grep { !defined $request{$_} } keys %request };
    my $stream = $broker->subscribe({ %request, snapshot => true, since => $broker->beginning });
    my @stream = map { $_->{type} eq 'process' ? () : $_ } $stream->catch_up($broker);
    my $name   = json($filter);
    my $given  = reported({ filter => $filter, snapshot => undef, since => $broker->beginning });
    is_deeply($given, \@stream, "as much as the stream: $name") or diag(scalar(@$given) . ' of ' . @stream);
    cmp_ok(scalar @stream, '>', 0, 'which is something');
}

# Many events come in replies of limited size.
my $lines = $broker->varlink->subscribe;
$lines->wait_ready;
$end = publish(1000);
my ($replies, $longest, $seq, @wrong) = (0, 0, $end - 1000);
until ($seq == $end) {
    my $events = $lines->reply->{parameters}{events};
    push @wrong, $_->{seq} for grep { $_->{seq} != ++$seq } @$events;
    push @wrong, "cursor $lines->{line}" if @$events && $lines->{line} !~ /"cursor":"[0-9a-f]{16}:$seq"/;
    $longest = length $lines->{line} if length $lines->{line} > $longest;
    $replies++;
}
is_deeply(\@wrong, [], 'a thousand events, in order, each reply with its cursor');
cmp_ok($longest, '<=', REPLY_MAX, "the longest of $replies replies");

# --- invalid filters -------------------------------------------------------------------------------------------------

my @filters = (
    [typ            => ['exit']],
    [''             => 1],
    [snapshot       => true],
    [since          => '-5min'],
    [filter         => {}],
    [types          => ['exits']],
    [types          => ['process']],
    [types          => 'ready'],
    [types          => []],
    [types          => 5],
    [pids           => 'x'],
    [pids           => [-1]],
    [pids           => 0],
    [pids           => 1.5],
    [pids           => { start => 1 }],
    [pids           => [{ pid => 1, startUsec => -1 }]],
    [pids           => 4194999],
    [pids           => [1 .. 1025]],
    [pids           => [9223372036854775807]],
    [pids           => [undef]],
    [tree           => [100]],
    [tree           => 4194999],
    [tree           => '1'],
    [uids           => 'root'],
    [uids           => -1],
    [uids           => 4294967296],
    [comm           => 7],
    [comm           => ['a', undef]],
    [comm           => '[a'],
    [comm           => "a\0b"],
    [comm           => 'x' x 5000],
    [exe            => {}],
    [cgroup         => true],
    [unit           => []],
    [unit           => '[a'],
    [status         => 'good'],
    [status         => 0],
    [minElapsedUsec => '5s'],
    [minElapsedUsec => -5],
    [minElapsedUsec => [5]],
    [threads        => 1],
);
@wrong = ();
$link  = $broker->varlink;
my %keys;
for my $case (@filters) {
    my ($key, $value) = @$case;
    $keys{$key}++;
    for my $method ('Subscribe', 'ListProcesses') {
        my $reported = $link->ask($method, { filter => { $key => $value } }, more => 1);
        my ($error, $reason) = delete @$reported{qw(error reason)};
        my $expected = $key eq '' ? '{}' : json({ key => $key });
        push @wrong, "$method $key: " . json($reported)
          if $error ne 'org.forkbus1.InvalidFilter' || json($reported) ne $expected || length $reason < 10;
    }
}
is_deeply(\@wrong, [], 'a filter that is none is reported by its key');
my $described = Forkbus::Idl->new(Forkbus::Varlink->description('org.forkbus1'));
is_deeply([grep { !$keys{$_} } sort keys %{ $described->fields(['name', 'Filter']) }], [], 'each key was tried');

# --- cursors and times -----------------------------------------------------------------------------------------------

my ($epoch) = split /:/, $broker->status->{cursor};
$link = $broker->varlink;
for my $since ('', 'now', '5', 'x:1', "$epoch:", "$epoch:-1", "$epoch:x", uc("$epoch:1") . ' ', ":1", '-5 parsecs', "$epoch:1\0",
    "$epoch:99999999", "$epoch:18446744073709551615", "$epoch:99999999999999999999999")
{
    my $reported = $link->ask('Subscribe', { since => $since }, more => 1);
    next if $since eq '5' && !$reported->{error};
    is($reported->{error}, 'org.forkbus1.InvalidCursor', 'no cursor: ' . json($since)) or diag(json($reported));
}
$end = $broker->last_seq;
my $all = reported({ since => "$epoch:" . ($end - 10) });
is_deeply([map { $_->{seq} } @$all], [$end - 9 .. $end], 'all after a cursor');
is_deeply(reported({ since => "$epoch:$end", complete => true }), [], 'nothing after the last one');
is((map { $_->{seq} } @{ reported({ since => '-1h' }) })[-1], $end, 'all of a span before now');
is_deeply(reported({ since => $epoch . ':' . ($end - 10), complete => true }), $all, 'complete, where it is');

$all = reported({ since => '0123456789abcdef:5' });
is_deeply([@{ $all->[0] }{qw(type reason)}], ['lost', 'epoch'], 'a cursor of another log: the loss');
is($all->[1]{seq}, 1, 'and all of this one');
is_deeply($link->ask('Subscribe', { since => '0123456789abcdef:5', complete => true }, more => 1),
    { error => 'org.forkbus1.CursorExpired', first => "$epoch:0" }, 'or an error, if it has to be complete');

# Publish until the beginning of the log is overwritten.
publish(1000) while $broker->status->{log}{firstSeq} < 1000;
my $first = $broker->status->{log}{firstSeq};
$all = reported({ since => "$epoch:5" });
is_deeply([@{ $all->[0] }{qw(type reason from to count)}],
    ['lost', 'expired', 6, $first - 1, $first - 6], 'overwritten events');
is($all->[1]{seq}, $first, 'then all that it holds');
for my $since ("$epoch:5", "$epoch:0", '0123456789abcdef:99999999') {
    my $reported = $link->ask('Subscribe', { since => $since, complete => true }, more => 1);
    my $cursor = "$epoch:" . ($first - 1);
    is_deeply($reported, { error => 'org.forkbus1.CursorExpired', first => $cursor },
        "an error, if it has to be complete: $since");
}
my $refused = $link->ask('Subscribe', { since => '-1h', complete => true }, more => 1);
is($refused->{error}, 'org.forkbus1.CursorExpired', 'so with a span');
$link->subscribe({ since => "$epoch:" . ($first - 1), complete => true });
is(($link->catch_up($broker))[0]{seq}, $first, 'the cursor in the error is accepted, on the same connection');

# --- many processes --------------------------------------------------------------------------------------------------

$feed->write(map { process($_, ppid => $_ % 7 ? 1000 : 100, uid => $_ % 2, comm => "many $_") } 1000 .. 1000 + PROCESSES - 1);
$end = publish(1);
my $count = 50 + PROCESSES;
my $list  = $broker->varlink->ask('ListProcesses');
is(scalar @{ $list->{processes} }, $count, 'a list of all processes');
is(scalar(keys %{ { map { $_->{pid} => 1 } @{ $list->{processes} } } }), $count, 'each of them once');
is_deeply([sort { $a cmp $b } keys %{ { map { $_->{type} => 1 } @{ $list->{processes} } } }], ['process'], 'and nothing else');
is($list->{cursor}, "$epoch:$end", 'and where the log was then');
my %few = (
    'a user'    => { uids  => 1 },
    'a name'    => { comm  => 'many 1?0?' },
    'a process' => { pids  => 1500 },
    'a tree'    => { tree  => 1000 },
    'a type'    => { types => 'exit', pids => [1001, 1002] },
    'nobody'    => { comm  => 'nobody' },
);
for my $name (sort keys %few) {
    my $listed = $broker->varlink->ask('ListProcesses', { filter => $few{$name} });
    my $stream = $broker->subscribe({ %{ $few{$name} }, snapshot => true });
    $stream->wait_ready;
    my $by_pid = sub { json([sort { $a->{pid} <=> $b->{pid} } @_]) };
    my @streamed = grep { $_->{type} eq 'process' } $stream->events;
    is($by_pid->(@{ $listed->{processes} }), $by_pid->(@streamed), "$name, as the stream has it");
}

# A list is read slowly, with another call after it, while others are served and events continue.
$link = $broker->varlink(receive_buffer => 4096);
$link->call('ListProcesses')->call('GetStatus');
$link->fill(Time::HiRes::time() + Forkbus::patience());
$feed->write({ type => 'exit', timeUsec => now_usec(), pid => 1001, startUsec => 1000 });
$feed->write({ type => 'fork', timeUsec => now_usec(), pid => 9999, startUsec => 9_000_000, ppid => 1 });
$feed->settle;
is($broker->varlink->ask('GetProcess', { pid => 9999 })->{process}{pid}, 9999, 'others are served beside a long reply');
my $slowly = $link->answer;
my %listed = map { $_->{pid} => 1 } @{ $slowly->{processes} };
is($slowly->{cursor}, "$epoch:$end", 'it is of the time when it was asked for');
ok(!$listed{9999}, 'later processes are not in the list');
cmp_ok(scalar keys %listed, '>=', $count - 1, 'all others are');
$other = reported({ since => $slowly->{cursor}, complete => true });
is_deeply([map { "$_->{type} $_->{pid}" } @$other], ['exit 1001', 'fork 9999'], 'later events follow its cursor');
is($link->answer->{pid}, $broker->pid, 'then the next call has its turn');

# A client that disconnects during a list.
my $descriptors = $broker->descriptors;
for (1 .. 5) {
    my $gone = $broker->varlink(receive_buffer => 4096)->call('ListProcesses');
    $gone->fill(Time::HiRes::time() + Forkbus::patience());
    $gone->close;
}
ok(Forkbus->wait_until(sub { $broker->descriptors <= $descriptors }), 'a client that left during a list is gone');

Forkbus::Varlink->as_described;
$broker->stop;
done_testing;
