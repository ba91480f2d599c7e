#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Invalid input causes a clear error that names the key, and closes that connection; others lose nothing, and nothing leaks.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec);
use Test::More;

use constant { REQUEST_SIZE => 4096, PER_USER => 20 };

my %limits = (RequestSize => REQUEST_SIZE, RequestTimeoutSec => '2s', ConnectionsPerUser => PER_USER);
my $feed   = Forkbus::Feed->new(config => { Limits => \%limits });
my $broker = $feed->broker;
my $number = 0;

sub publish {
    my ($count) = @_;
    $feed->write(map { { type => 'session', timeUsec => now_usec(), pid => 1, startUsec => 1, comm => 'number ' . ++$number } }
          1 .. $count);
}

# A well-behaved client, connected during the whole test.
my $other = $broker->subscribe({});
my $first = (split /:/, $other->wait_ready->{cursor})[1] + 1;

# The broker notices within a heartbeat that a client is gone, and closes its connection.
my $descriptors = $broker->descriptors;

sub connections_end {
    my ($name) = @_;
    my $goes = Forkbus->wait_until(sub { $broker->descriptors == $descriptors });
    ok($goes, "descriptors are as many as before: $name") or diag($broker->descriptors . ' instead of ' . $descriptors);
}

# Send bytes. Return: the answer, after which the broker must close the connection.
sub answer {
    my ($bytes, $end) = @_;
    my $stream = $broker->subscribe($bytes);
    $stream->end_input if $end;
    return answer_of($stream);
}

sub answer_of {
    my ($stream) = @_;
    my @lines = $stream->rest;
    return { error => 'not one line: ' . @lines } if @lines != 1 || $stream->{rest} ne '';
    my $answer = eval { Forkbus::parse($lines[0]) } // { error => "no JSON: $lines[0]" };
    $answer->{detail} //= '';
    return $answer;
}

# --- requests that are not understood -------------------------------------------------------------------------------

my @wrong;
for my $case (
    ['typo', { typ => ['exit'] }],
    ['nothing', { '' => 1 }],
    [types          => { types          => ['exits'] }],
    [types          => { types          => 'process' }],
    [types          => { types          => [] }],
    [types          => { types          => 5 }],
    [types          => { types          => [['exit']] }],
    [pids           => { pids           => 'x' }],
    [pids           => { pids           => [-1] }],
    [pids           => { pids           => 0 }],
    [pids           => { pids           => 1.5 }],
    [pids           => { pids           => { start => 1 } }],
    [pids           => { pids           => [{ pid => 1, startUsec => -1 }] }],
    [pids           => { pids           => 4194999 }],
    [pids           => { pids           => [1 .. 1025] }],
    [tree           => { tree           => [1] }],
    [tree           => { tree           => 4194999 }],
    [uids           => { uids           => 'root' }],
    [uids           => { uids           => -1 }],
    [uids           => { uids           => 4294967296 }],
    [comm           => { comm           => 7 }],
    [comm           => { comm           => ['a', undef] }],
    [comm           => { comm           => '[a' }],
    [comm           => { comm           => "a\0b" }],
    [exe            => { exe            => {} }],
    [cgroup         => { cgroup         => Cpanel::JSON::XS::true }],
    [unit           => { unit           => [] }],
    [status         => { status         => 'good' }],
    [status         => { status         => 0 }],
    [minElapsedUsec => { minElapsedUsec => '5s' }],
    [minElapsedUsec => { minElapsedUsec => -5 }],
    [minElapsedUsec => { minElapsedUsec => [5] }],
    [threads        => { threads        => 1 }],
    [snapshot       => { snapshot       => 'yes' }],
    [since          => { since          => 5 }],
    [query          => { query          => 'events' }],
    [query          => { query          => 'status', types => ['exit'] }],
    [pids           => { pids           => [9223372036854775807] }],
  )
{
    my ($key, $request) = @$case;
    my $line = json($request);
    my $reported = answer("$line\n");
    $key = { typo => 'typ', nothing => '' }->{$key} // $key;
    push @wrong, "$line: " . json($reported)
      if $reported->{error} ne 'invalidRequest' || ($reported->{key} // '') ne $key || length $reported->{detail} < 10;
}
ok(!@wrong, 'an error in a request names the key') or diag(join "\n", @wrong);

@wrong = ();
for my $line ('{', '[]', '"exit"', 'null', 'exit', '{"types":["exit"]', '{"types":["exit"]}}', '{"types":["exit"],}',
    '{"types":["exit"],"types":["fork"]}', "{'types':['exit']}", '{"comm":"\ud800"}', "{\"comm\":\"\xff\xfe\"}",
    "\xff\xfe\0\1\2", "\0",
    'GET / HTTP/1.1', '{"pids":[18446744073709551616]}', '[' x 3000, '{"a":' x 600)
{
    my $reported = answer("$line\n");
    push @wrong, json($line) . ': ' . json($reported)
      if $reported->{error} ne 'invalidRequest' || length $reported->{detail} < 10;
}
ok(!@wrong, 'input that is not a JSON object is refused') or diag(join "\n", @wrong);
publish(10);
connections_end('after requests that are not understood');

# --- too long, too late, too much -----------------------------------------------------------------------------------

my $reported = answer('x' x (10 << 20));
is($reported->{error}, 'requestTooLong', 'ten megabytes of a line') or diag(json($reported));
$reported = answer('x' x (REQUEST_SIZE + 1) . "\n");
is($reported->{error}, 'requestTooLong', 'a line that is longer by a byte') or diag(json($reported));
my $just = '{"types":["exit"]}';
my $fits = $broker->subscribe($just . ' ' x (REQUEST_SIZE - length $just) . "\n");
is($fits->next->{type}, 'ready', 'the longest request');
$fits->close;
$reported = answer(join '', map { chr($_ * 31 % 256) } 0 .. 3000);
like($reported->{error}, qr/^(?:invalidRequest|unexpectedInput)$/, 'binary rubbish') or diag(json($reported));

my $begin = now_usec();
my @late  = map { $broker->subscribe($_) } '{"types":', undef;
$reported = answer_of($late[0]);
is($reported->{error}, 'requestTimeout', 'a request without a newline ends at the timeout') or diag(json($reported));
cmp_ok(now_usec() - $begin, '>=', 1_990_000, 'is waited for as long as is configured');
$reported = answer_of($late[1]);
is($reported->{error}, 'requestTimeout', 'nothing at all') or diag(json($reported));

# A request may arrive byte by byte, if it is complete in time.
my $slow = $broker->subscribe(undef);
$slow->send($_) for split //, "{\"types\":[\"exit\"]}\n";
is($slow->next->{type}, 'ready', 'a byte at a time is a request too');
$slow->close;

$reported = answer("{}\n{}\n");
is($reported->{error}, 'unexpectedInput', 'two requests at once') or diag(json($reported));
my $talkative = $broker->subscribe({ types => ['exit'] });
$talkative->wait_ready;
$talkative->send(" \r\n\t\n");
$talkative->wait_for(sub { $_->{type} eq 'heartbeat' }, 'a heartbeat');
pass('white space after the request is ignored');
$talkative->send("help\n");
my ($last) = map { Forkbus::parse($_) } ($talkative->rest)[-1];
is($last->{error}, 'unexpectedInput', 'other bytes after it are not') or diag(json($last));
publish(10);
connections_end('after input that is too much');

# --- the end of input ------------------------------------------------------------------------------------------------

my @halves = (
    ['',          'nothing'],
    ["\n",        'an empty line'],
    ['{}',        'a line without its newline'],
    ["{}\n",      'a line'],
    [" \t\r\n",   'blanks'],
);
for my $case (@halves) {
    my ($bytes, $name) = @$case;
    my $stream = $broker->subscribe($bytes);
    $stream->end_input;
    is($stream->next->{type}, 'ready', "the end of input after $name ends the request");
    publish(3);
    $feed->settle;
    $stream->wait_for(sub { ($_->{comm} // '') eq "number $number" }, 'the last event');
    $stream->wait_for(sub { $_->{type} eq 'heartbeat' },                 'a heartbeat');
    is(scalar(grep { $_->{type} eq 'session' } $stream->events), 3, 'but not the subscription');
    $stream->close;
}
is(answer('{"types":', 1)->{error}, 'invalidRequest', 'the end of input inside a request');
connections_end('after half-closed ones');

# --- those who go ---------------------------------------------------------------------------------------------------

$broker->subscribe(undef)->close for 1 .. 20;
$broker->subscribe('{"types"')->close for 1 .. 20;
$broker->subscribe({})->close for 1 .. 20;
$broker->subscribe({ snapshot => Cpanel::JSON::XS::true, since => '-1h' })->close for 1 .. 20;
for (1 .. 20) {
    my $stream = $broker->subscribe({});
    $stream->wait_ready;
    publish(1);
    $stream->close;
}
for (1 .. 5) {
    my $stream = $broker->subscribe({});
    $stream->end_input;
    publish(200);
    $stream->close;
}
connections_end('after clients that hung up');

# --- too many --------------------------------------------------------------------------------------------------------

SKIP: {
    skip 'needs root, to be another user', 5 if $> != 0;
    my ($user, $someone) = Forkbus::nobody;
    my @mine = map { $broker->subscribe({}, uid => $user) } 1 .. PER_USER;
    $_->wait_ready for @mine;
    my $refused = $broker->subscribe(undef, uid => $user);
    my @lines   = map { Forkbus::parse($_) } $refused->rest;
    is_deeply([map { $_->{error} } @lines], ['tooManyConnections'], 'one more than a user may have is refused');
    like($lines[0]{detail}, qr/^uid $user /, 'which names the owner');
    is($broker->subscribe({}, uid => $someone)->next->{type}, 'ready', 'another user is not concerned');
    is($broker->subscribe({})->next->{type},                  'ready', 'nor is root');
    $mine[0]->close;
    my $again = Forkbus->wait_until(sub { ($broker->subscribe({}, uid => $user)->next->{type} // '') eq 'ready' });
    ok($again, 'when one connection is closed, another can be opened');
    $_->close for @mine;
}
connections_end('after too many');

# --- nobody else noticed ---------------------------------------------------------------------------------------------

publish(10);
my $end    = $feed->settle;
my @events = $other->catch_up($broker, $end);
is_deeply([map { $_->{seq} } @events], [$first .. $end], 'the well-behaved client has lost nothing');
is(scalar(grep { $_->{type} eq 'session' } @events), $number, 'all that was reported');
is($broker->status->{connections}, 2, 'there are no other connections') or diag(json($broker->status));
is($broker->status->{views}, 1, 'and no unused views');
$broker->stop;
done_testing;
