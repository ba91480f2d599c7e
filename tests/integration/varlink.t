#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The Varlink face, strictly by UAPI.20: framing, errors that close a connection, flags, parameters, errors, pipelining.
# Events: varlink-events.t; access: varlink-access.t.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(false json now_usec true);
use Test::More;

use constant { REQUEST_SIZE => 4096, SERVICE => 'org.varlink.service' };

my $feed   = Forkbus::Feed->new(config => { Limits => { RequestSize => REQUEST_SIZE, RequestTimeoutSec => '2s' } });
my $broker = $feed->broker;
$feed->write({ type => 'process', timeUsec => now_usec(), pid => 7, startUsec => 50000, uid => 1000, comm => 'seven' });
$feed->settle;

# A call that succeeds on every valid connection.
sub text { return Forkbus::Varlink->text_of(@_) }
my $info = text(SERVICE . '.GetInfo');

sub sent {
    my ($bytes, @methods) = @_;
    my $link = $broker->varlink;
    $link->expect(@methods);
    $link->send($bytes);
    return $link;
}

# Test that the connection still works.
sub lives {
    my ($link) = @_;
    return ($link->ask(SERVICE . '.GetInfo')->{product} // '') eq 'forkbusd';
}

# --- the service -----------------------------------------------------------------------------------------------------

my $link = $broker->varlink;
my $reported = $link->ask(SERVICE . '.GetInfo');
is_deeply($reported->{interfaces}, ['org.forkbus1', 'org.varlink.service'], 'GetInfo names the interfaces');
is($reported->{version}, $broker->status->{version}, 'and the version');
for my $interface (@{ $reported->{interfaces} }) {
    my $text = $link->ask(SERVICE . '.GetInterfaceDescription', { interface => $interface })->{description};
    is($text, Forkbus::Varlink->description($interface), "$interface is described as in its file");
}
for my $name ('org.forkbus', 'org.forkbus12', "org.forkbus1\0", '', 'org.Forkbus1') {
    $reported = $link->ask(SERVICE . '.GetInterfaceDescription', { interface => $name });
    is_deeply($reported, { error => SERVICE . '.InterfaceNotFound', interface => $name }, 'no interface ' . json($name));
}

# The status: exactly the same fields as by the stream.
sub shape {
    my ($value) = @_;
    return ref $value eq 'HASH' ? { map { $_ => shape($value->{$_}) } keys %$value } : 1;
}
is_deeply(shape($link->ask('GetStatus')), shape($broker->status), 'GetStatus has the same as the stream');
is($link->ask('GetStatus')->{pid}, $broker->pid, 'and of this broker');

# --- framing ---------------------------------------------------------------------------------------------------------

$link = $broker->varlink->expect((SERVICE . '.GetInfo') x 2);
$link->send($_) for split //, $info . $info;
is($link->answer->{product}, 'forkbusd', 'a byte at a time') for 1 .. 2;

my $many = 100;
$link = sent($info x $many, (SERVICE . '.GetInfo') x $many);
is(scalar(grep { $link->answer->{product} eq 'forkbusd' } 1 .. $many), $many, 'many calls at once');
ok(lives($link), 'and one after them');

$link = sent(substr($info, 0, 20), SERVICE . '.GetInfo');
$link->send(substr($info, 20) . substr $info, 0, 5);
is($link->answer->{product}, 'forkbusd', 'one in two parts, with the beginning of another');
$link->expect(SERVICE . '.GetInfo')->send(substr $info, 5);
is($link->answer->{product}, 'forkbusd', 'the rest of that one');

for my $space ("\n", "\r\n", " \t\r\n ", "\n\n\n") {
    my $name = json($space) . ' around it and within is nothing';
    my $body = $info =~ s/\0//r =~ s/([:{}])/$space$1$space/gr;
    $link = sent("$space$body$space\0$info", (SERVICE . '.GetInfo') x 2);
    is($link->answer->{product}, 'forkbusd', $name);
    is($link->answer->{product}, 'forkbusd', 'nor is it a separate call');
}
$link = sent("$info\n");
$link->expect(SERVICE . '.GetInfo');
is($link->answer->{product}, 'forkbusd', 'white space after the NUL is before the next one');
$link->expect(SERVICE . '.GetInfo')->send($info);
is($link->answer->{product}, 'forkbusd', 'which may arrive later');

# Replies have no white space outside of strings.
$link = sent($info);
unlike($link->next_line, qr/\n|" *: | $/, 'replies have no white space');
$link = $broker->varlink->subscribe({ snapshot => true });
like($link->next_line, qr/^\{"parameters":\{"events":\[\{[^\n]*\}\],"cursor":"[^"]+"\},"continues":true\}\z/, 'nor have events');

# --- errors without an answer ----------------------------------------------------------------------------------------

my %method = (method => SERVICE . '.GetInfo');
my @malformed = (
    ['an empty message',            ''],
    ['white space alone',           "\n"],
    ['no JSON',                     'GetInfo'],
    ['half an object',              '{"method":'],
    ['an object and more',          '{"method":"org.varlink.service.GetInfo"}}'],
    ['two objects',                 '{"method":"org.varlink.service.GetInfo"}{}'],
    ['a comma too many',            '{"method":"org.varlink.service.GetInfo",}'],
    ['single quotes',               "{'method':'org.varlink.service.GetInfo'}"],
    ['a NUL within a string',       "{\"method\":\"org.varlink.service.Get\0Info\"}"],
    ['an array',                    '["org.varlink.service.GetInfo"]'],
    ['a string',                    '"org.varlink.service.GetInfo"'],
    ['a number',                    '1'],
    ['null',                        'null'],
    ['true',                        'true'],
    ['no method',                   '{}'],
    ['parameters without a method', '{"parameters":{}}'],
    ['a method of null',            '{"method":null}'],
    ['a method of number',          '{"method":1}'],
    ['a method of array',           '{"method":["org.varlink.service.GetInfo"]}'],
    ['a method with a NUL',         '{"method":"org.varlink.service.GetInfo\u0000"}'],
    ['parameters of array',         json({ %method, parameters => [] })],
    ['parameters of string',        json({ %method, parameters => '{}' })],
    ['parameters of false',         json({ %method, parameters => false })],
    ['parameters of 0',             json({ %method, parameters => 0 })],
    ['an unknown member',           json({ %method, timeout => 5 })],
    ['an unknown member of null',   json({ %method, timeout => undef })],
    ['a member of replies',         json({ %method, continues => true })],
    ['a member with X-',            json({ %method, 'X-timeout' => {} })],
    ['another case',                json({ %method, More => true })],
    ['a member without a name',     json({ %method, '' => {} })],
    ['a member twice',              '{"method":"org.varlink.service.GetInfo","method":"org.varlink.service.GetInfo"}'],
    ['Latin-1',                     "{\"method\":\"org.varlink.service.GetInfo\",\"org.example\":{\"a\":\"caf\xe9\"}}"],
    ['an overlong form',            "{\"method\":\"org.varlink.service.GetInfo\",\"org.example\":{\"a\":\"\xc0\x80\"}}"],
    ['a surrogate',                 "{\"method\":\"org.varlink.service.GetInfo\",\"org.example\":{\"a\":\"\xed\xa0\x80\"}}"],
    ['half a surrogate pair',       '{"method":"org.varlink.service.GetInfo","org.example":{"a":"\ud800"}}'],
    ['a byte order mark',           "\xef\xbb\xbf" . json({%method})],
    ['UTF-16',                      join '', map { "$_\x01" } split //, json({%method})],
    ['HTTP',                        "GET / HTTP/1.1\r\n\r\n"],
    ['deep arrays',                 '[' x 3000 . ']' x 1000],
    ['a number beyond all',         json({ %method, parameters => {} }) =~ s/\{\}/'{"pid":' . '9' x 400 . '}'/er],
);
for my $flag (qw(oneway more upgrade)) {
    push @malformed, ["$flag of $_->[0]", json({ %method, $flag => $_->[1] })]
      for ['number', 1], ['string', 'true'], ['array', [true]], ['object', {}];
}
for my $flags ([qw(oneway more)], [qw(oneway upgrade)], [qw(more upgrade)], [qw(oneway more upgrade)]) {
    push @malformed, ["@$flags at once", json({ %method, map { $_ => true } @$flags })];
}
# Each of these follows a valid call and is followed by another: the first call is answered, the last is not.
my @wrong;
for my $case (@malformed) {
    my ($name, $bytes) = @$case;
    $link = sent("$info$bytes\0$info", SERVICE . '.GetInfo');
    $link->answer;
    my $complaint = $link->closed;
    push @wrong, "$name: $complaint" if $complaint ne '';
}
is_deeply(\@wrong, [], 'malformed calls (' . @malformed . ') are not answered, and the connection is closed');

# --- unusual, but valid ----------------------------------------------------------------------------------------------

my @fine = (
    ['a vendor\'s member',              { 'org.example' => {} }],
    ['two of them',                     { 'org.example' => { a => [1, { b => undef }] }, 'com.example.x' => { more => 1 } }],
    ['no parameters',                   {}],
    ['parameters of null',              { parameters => undef }],
    ['empty parameters',                { parameters => {} }],
    ['parameters that are null',        { parameters => { none => undef } }],
    ['flags of false',                  { map { $_ => false } qw(oneway more upgrade) }],
    ['flags of null',                   { map { $_ => undef } qw(oneway more upgrade) }],
    ['one flag among false ones',       { more => true, oneway => false, upgrade => undef }],
);
for my $case (@fine) {
    my ($name, $members) = @$case;
    $link = sent(json({ %method, %$members }) . "\0", SERVICE . '.GetInfo');
    is($link->answer->{product}, 'forkbusd', $name);
}
$link = sent('{"\u006dethod":"org.varlink.service.Get\u0049nfo"}' . "\0", SERVICE . '.GetInfo');
is($link->answer->{product}, 'forkbusd', 'names may be escaped');

# --- flags -----------------------------------------------------------------------------------------------------------

my @methods = (
    [SERVICE . '.GetInfo'],
    [SERVICE . '.GetInterfaceDescription', { interface => 'org.forkbus1' }],
    [SERVICE . '.GetInterfaceDescription', { interface => 'org.example' }],
    [SERVICE . '.GetInterfaceDescription'],
    [SERVICE . '.Nothing'],
    ['org.example.Nothing'],
    ['nothing'],
    ['GetStatus'],
    ['GetStatus', { now => true }],
    ['GetProcess', { pid => 7 }],
    ['GetProcess', { pid => 8 }],
    ['ListProcesses'],
    ['ListProcesses', { filter => { uids => 'x' } }],
    ['OpenRing'],
    ['OpenRing', { writable => true }],
    ['Subscribe', { since => 'x' }],
);
@wrong = ();
for my $case (@methods) {
    my ($method, $parameters) = @$case;
    my $name = "$method " . json($parameters);
    my $more = $broker->varlink->call($method, $parameters, more => 1);
    my $reply = $more->reply;
    push @wrong, "$name: more continues" if exists $reply->{continues};
    push @wrong, "$name: no call after more" if !lives($more);
    my $plain = $broker->varlink->call($method, $parameters)->reply;
    push @wrong, "$name: more is answered otherwise"
      if json(shape($plain)) ne json(shape($reply)) && $method ne 'Subscribe';

    my $oneway = $broker->varlink->call($method, $parameters, oneway => 1);
    push @wrong, "$name: oneway is answered" if !lives($oneway);

    my $upgrade = $broker->varlink->call($method, $parameters, upgrade => 1);
    $reply = $upgrade->reply;
    push @wrong, "$name: upgrade has no error" if !exists $reply->{error};
    push @wrong, "$name: no call after upgrade" if !lives($upgrade);
}
is_deeply(\@wrong, [], 'flags have the same effect on all methods');
$link = $broker->varlink;
is($link->ask('GetStatus', undef, upgrade => 1)->{error}, SERVICE . '.MethodNotImplemented', 'no method can be upgraded');
for my $flags ({}, { more => 0 }) {
    $reported = $link->ask('Subscribe', { snapshot => true }, %$flags);
    is($reported->{error}, SERVICE . '.ExpectedMore', 'Subscribe wants more: ' . json($flags));
}
$link->call('Subscribe', { snapshot => true }, oneway => 1);
ok(lives($link), 'and the connection still works');

# --- parameters ------------------------------------------------------------------------------------------------------

my @parameters = (
    [interface => SERVICE . '.GetInterfaceDescription', {}],
    [interface => SERVICE . '.GetInterfaceDescription', { interface => undef }],
    [interface => SERVICE . '.GetInterfaceDescription', { interface => 1 }],
    [interface => SERVICE . '.GetInterfaceDescription', { interface => [] }],
    [name      => SERVICE . '.GetInterfaceDescription', { interface => 'org.forkbus1', name => 'x' }],
    [x         => SERVICE . '.GetInfo',                 { x         => 1 }],
    [''        => SERVICE . '.GetInfo',                 { ''        => 1 }],
    ['a.b'     => SERVICE . '.GetInfo',                 { 'a.b'     => {} }],
    [x         => 'GetStatus',                          { x         => 1 }],
    [x         => 'OpenRing',                           { x         => 1 }],
    [pid       => 'GetProcess',                         {}],
    [pid       => 'GetProcess',                         { startUsec => 1 }],
    [pid       => 'GetProcess',                         { pid       => '7' }],
    [pid       => 'GetProcess',                         { pid       => 7.5 }],
    [pid       => 'GetProcess',                         { pid       => true }],
    [pid       => 'GetProcess',                         { pid       => [7] }],
    [startUsec => 'GetProcess',                         { pid       => 7, startUsec => '1' }],
    [x         => 'GetProcess',                         { pid       => 7, x => 1 }],
    [filter    => 'ListProcesses',                      { filter    => [] }],
    [filter    => 'ListProcesses',                      { filter    => 'exit' }],
    [snapshot  => 'ListProcesses',                      { snapshot  => true }],
    [filter    => 'Subscribe',                          { filter    => 1 }],
    [snapshot  => 'Subscribe',                          { snapshot  => 1 }],
    [since     => 'Subscribe',                          { since     => 5 }],
    [complete  => 'Subscribe',                          { complete  => 'true' }],
    [types     => 'Subscribe',                          { types     => ['exit'] }],
);
@wrong = ();
$link = $broker->varlink;
for my $case (@parameters) {
    my ($parameter, $method, $parameters) = @$case;
    $reported = $link->ask($method, $parameters, more => 1);
    push @wrong, "$method " . json($parameters) . ': ' . json($reported)
      if json($reported) ne json({ error => SERVICE . '.InvalidParameter', parameter => $parameter });
}
is_deeply(\@wrong, [], 'wrong parameters are reported by their names');

# Integers that are too large are invalid like others.
for my $number ('9223372036854775808', '18446744073709551616', '-9223372036854775809', '9' x 100) {
    $link->expect('GetProcess');
    $link->send(qq({"method":"org.forkbus1.GetProcess","parameters":{"pid":7,"startUsec":$number}}\0));
    is_deeply($link->answer, { error => SERVICE . '.InvalidParameter', parameter => 'startUsec' },
        'as wrong as ' . substr($number, 0, 30));
}
for my $number (9223372036854775807, -9223372036854775807, -1, 0, 4294967303) {
    is($link->ask('GetProcess', { pid => $number })->{error}, 'org.forkbus1.NoSuchProcess', "no process $number");
}

# --- processes -------------------------------------------------------------------------------------------------------

$reported = $link->ask('GetProcess', { pid => 7 });
is("$reported->{process}{type} $reported->{process}{comm}", 'process seven', 'a process by its pid');
for my $start (50000, 45000, 60000) {
    is($link->ask('GetProcess', { pid => 7, startUsec => $start })->{process}{pid}, 7, "that was born at $start");
}
for my $start (30000, 70000, -1, 0, 9007199254740993) {
    is($link->ask('GetProcess', { pid => 7, startUsec => $start })->{error},
        'org.forkbus1.NoSuchProcess', "and not at $start");
}

# --- pipelining ------------------------------------------------------------------------------------------------------

$link = sent(join('', map { text('GetProcess', { pid => $_ }) } 7, 8, 7) . $info, ('GetProcess') x 3, SERVICE . '.GetInfo');
my @answers = map { $link->answer } 1 .. 4;
is_deeply([map { $_->{process} ? 'process' : $_->{error} // $_->{product} } @answers],
    ['process', 'org.forkbus1.NoSuchProcess', 'process', 'forkbusd'], 'answers arrive in the order of calls');

# After a call with "more" no call is handled, and the number of waiting bytes is limited.
$link = sent(text('Subscribe', undef, more => true) . $info x 3, 'Subscribe');
$link->wait_ready;
for (1 .. 3) {
    my $reply = $link->reply;
    ok($reply->{continues}, 'calls after Subscribe wait');
}
my $before = $broker->memory;
my $sent   = 0;
while (defined(my $count = syswrite $link->{socket}, $info x 1000)) {
    $sent += $count;
}
ok($!{EAGAIN}, 'further calls are not read') or diag($!);
cmp_ok($sent, '<', 4 << 20, "after $sent bytes");
cmp_ok($broker->memory - $before, '<', 256, 'for which the broker has no room') if !Forkbus::slow();
ok($link->reply->{continues}, 'and gets events as before');
$link->close;

# --- half-closed -----------------------------------------------------------------------------------------------------

$link = sent($info x 40, (SERVICE . '.GetInfo') x 40);
$link->end_input;
is(scalar(grep { $link->answer->{product} eq 'forkbusd' } 1 .. 40), 40, 'a half-closed connection gets all replies');
is($link->closed, '', 'then the other half is closed');
$link = sent(text('Subscribe', undef, more => true), 'Subscribe');
$link->end_input;
$link->wait_ready;
$feed->write({ type => 'session', timeUsec => now_usec(), pid => 7, startUsec => 50000 });
is($link->wait_event(sub { $_->{type} eq 'session' })->{pid}, 7, 'and events without end');
$link->close;
$link = sent(substr $info, 0, 20);
$link->end_input;
is($link->closed, '', 'half a call is none');

# --- too long, too late ----------------------------------------------------------------------------------------------

my $plain = $info =~ s/\0//r;
my $fits  = $plain . ' ' x (REQUEST_SIZE - length $plain);
$link = sent("$fits\0$fits\0", (SERVICE . '.GetInfo') x 2);
is($link->answer->{product}, 'forkbusd', 'a call that just fits') for 1 .. 2;
is(sent("$fits \0")->closed, '', 'a call that is one byte too long');
is(sent($fits . 'x')->closed, '', 'or will be');
$link = $broker->varlink;
cmp_ok($link->send('x' x (10 << 20)), '<', 10 << 20, 'ten megabytes are not taken');
is($link->closed, '', 'nor answered');

my $begin = now_usec();
$link = sent($info . substr($info, 0, 20), SERVICE . '.GetInfo');
is($link->answer->{product}, 'forkbusd', 'a call, and a part of the next one');
is($link->closed, '', 'which does not go on');
cmp_ok(now_usec() - $begin, '>=', 1_990_000, 'is waited for as long as is configured');

# A client that always has an incomplete call pending, each completed in time, for longer than the timeout.
$link  = $broker->varlink;
$begin = now_usec();
my $part = $info;
my $calls = 0;
while (now_usec() - $begin < 3_000_000 || $calls < 5) {
    last if now_usec() - $begin > 1e6 * Forkbus::patience();
    $link->expect(SERVICE . '.GetInfo')->send($part . substr $info, 0, 20);
    $calls++ if ($link->answer->{product} // '') eq 'forkbusd';
    $part = substr $info, 20;
}
cmp_ok($calls, '>=', 5, 'it is the time for each');
my $idle = $broker->varlink;
is($idle->ask(SERVICE . '.GetInfo')->{product}, 'forkbusd', 'who has asked');
$link->closed;
ok(lives($idle), 'may be silent for longer than that');

Forkbus::Varlink->as_described;
$broker->stop;
done_testing;
