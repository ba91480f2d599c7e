#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The programs in unusual conditions: terminals, pipes that close or stall, malicious names, users with fewer rights, limits,
# invalid answers, the environment of a service manager.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json nobody now_usec run);
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

Forkbus->needs_root;
my ($nobody) = nobody();
my $base     = Forkbus->directory;
my $ctl      = Forkbus::forkbusctl();
my $feed     = Forkbus::Feed->new(config => { Limits => { ConnectionsPerUser => 2 } });
my $broker   = $feed->broker;
my $dir      = $broker->dir;
my @ctl      = ($ctl, "--runtime-dir=$dir");
my @children;

END {
    my $status = $?;
    kill 'KILL', @children if @children;
    $? = $status;
}

$ENV{LC_ALL} = 'C.UTF-8';
delete $ENV{$_} for qw(NO_COLOR COLUMNS);

# Start a program in the background; {out} and {err} are files. Return: its pid.
sub start {
    my ($command, %options) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{PIPE} = 'DEFAULT';
        open STDIN,  '<', '/dev/null'                          or POSIX::_exit(126);
        open STDERR, '>', $options{err} // '/dev/null'         or POSIX::_exit(126);
        if (ref $options{out}) {
            open STDOUT, '>&', $options{out} or POSIX::_exit(126);
        } else {
            open STDOUT, '>', $options{out} // '/dev/null' or POSIX::_exit(126);
        }
        $options{prepare}->() if $options{prepare};
        { no warnings 'exec'; exec @$command; }
        POSIX::_exit(127);
    }
    push @children, $pid;
    return $pid;
}

# Wait for such a program. Return: its wait status, undef if it does not end.
sub finish {
    my ($pid) = @_;
    my $ended = Forkbus->wait_until(sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
    my $status = $?;
    kill('KILL', $pid), waitpid($pid, 0) if !$ended;
    @children = grep { $_ != $pid } @children;
    return $ended ? $status : undef;
}

sub subscribers { return $broker->status->{subscribers} }

# --- names that are meant to harm -----------------------------------------------------------------------------------

my %who  = (startUsec => 1, ppid => 1, uid => 0, timeUsec => now_usec());
my @evil = (
    "\e[31mred", "\e]0;title\a", "a\nb", "a\rb", "tab\t", "\x7f", "\x{9b}31m", "\x{85}", "\x{202e}gnp", "\x{200b}",
    "\x{2028}", "back\\slash", "\x{1}\x{1f}", ' ', '',
);
my $pid = 10000;
for my $name (@evil) {
    $feed->write({ %who, type => 'comm', pid => ++$pid, comm => $name });
    $feed->write({ %who, type => 'exec', pid => $pid, comm => 'x', exe => "/bin/$name", cgroup => "/$name", unit => $name });
}
$feed->write({ %who, type => 'comm', pid => ++$pid, comm => "caf\x{fffd}\x{fffd}", commRaw => 'Y2Fm6ZE=' });
$feed->write({ %who, type => 'comm', pid => ++$pid, comm => "caf\x{e9} \x{43a}\x{43e}\x{442} \x{4f60}" });
$feed->settle;
my $begin  = $broker->beginning;
my $n_evil = 2 * @evil + 2;
my @replay = ('monitor', "--since=$begin", '-n', $n_evil);

# Characters that must not reach a terminal: control characters of both halves, and invisible ones that change the display.
my $harm = qr/[\x00-\x09\x0b-\x1f\x7f-\x9f\x{ad}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]/;

sub is_harmless {
    my ($out, $name, $n_lines) = @_;
    my $text = $out;
    ok(utf8::decode($text), "$name: valid UTF-8");
    unlike($text, $harm, "$name: nothing that could do harm");
    is(scalar(grep { /^[\d:.]+ (?:comm|exec) / } split /\n/, $text), $n_evil, "$name: a line an event");
    return $text;
}

for my $case (['a broker', @ctl, @replay], ['its log', $ctl, 'log', $broker->log]) {
    my ($name, @command) = @$case;
    my ($status, $out, $err) = run(\@command);
    is("$status $err", '0 ', "$name is shown");
    my $text = is_harmless($out, $name);
    like($text, qr/ caf\\xe9\\x91 /, "$name: bytes that are no UTF-8 are reported");
    like($text, qr/ caf\x{e9} \x{43a}\x{43e}\x{442} \x{4f60} /, "$name: printable characters are shown");
    like($text, qr/ back\\\\slash /, "$name: a backslash is not mistaken");
    ($status, $out) = run(\@command, env => { LC_ALL => 'C' });
    is_harmless($out, "$name, in ASCII");
    unlike($out, qr/[^\n\x20-\x7e]/, "$name, in ASCII: nothing else");
}
for my $case (
    [@ctl, 'monitor', "--uid=\e[31m\n"],
    [@ctl, "\e[31m"],
    [$ctl, 'log', "/\e[31m"],
    [$ctl, "--runtime-dir=/\e[1m", 'status'],
  )
{
    my ($status, $out, $err) = run($case);
    like($err, qr/^forkbusctl: .*\\x1b.*\n\z/, 'nor do messages harm') or diag($err);
    unlike($err, qr/[^\n\x20-\x7e]/, 'in no way');
}

# --- terminals ------------------------------------------------------------------------------------------------------

# Return: the program's output on a terminal with this number of columns.
sub on_terminal {
    my ($columns, $command, %environment) = @_;
    my $line = join ' ', map { "'" . s/'/'\\''/gr . "'" } @$command;
    my ($status, $out) = run(['script', '-qec', "stty cols $columns rows 24 -onlcr && exec $line", '/dev/null'],
        env => { TERM => 'xterm', %environment });
    return ($status, $out);
}

SKIP: {
    (grep { -x "$_/script" } split /:/, $ENV{PATH}) or skip 'there is no script(1)', 1;
    for my $columns (64, 80, 100, 160) {
        my ($status, $out) = on_terminal($columns, [@ctl, @replay]);
        is($status, 0, "a terminal of $columns columns");
        like($out, qr/^\e\[[\d;]*mTIME  /m, 'has a heading');
        my $plain = $out =~ s/\e\[[\d;]*m//gr;
        isnt($plain, $out, 'and colours');
        $plain = is_harmless($plain, "$columns columns");
        my @long = grep { !/ (?:source|lost|ready) / && length($_) + tr/\x{4f60}// > $columns } split /\n/, $plain;
        is_deeply(\@long, [], 'and lines that fit');
    }
    for my $environment ([NO_COLOR => 1], [TERM => 'dumb']) {
        my ($status, $out) = on_terminal(100, [@ctl, @replay], @$environment);
        unlike($out, qr/\e/, "no colours with @$environment");
        like($out, qr/^TIME  /m, 'but a heading');
    }
    for my $mode (qw(short pretty)) {
        my ($status, $out) = on_terminal(100, [@ctl, @replay, "--json=$mode"]);
        my $text = $out;
        ok(utf8::decode($text), "--json=$mode is UTF-8 there");
        unlike($text, $harm, 'harmless');
        my $json   = Cpanel::JSON::XS->new->utf8;
        my @events = grep { defined $_->{comm} && $_->{type} eq 'comm' } do { $json->incr_parse($out) };
        is_deeply([map { $_->{comm} } @events[0 .. $#evil]], \@evil, 'with the same values');
    }
}

# --- pipes ----------------------------------------------------------------------------------------------------------

my @events = ('monitor', "--since=$begin");
my ($status, $out, $err) = run(['bash', '-c', '"$@" | head -n 1; echo ${PIPESTATUS[0]}', '-', @ctl, @events]);
like($out, qr/\A.*\n0\n\z/, 'a reader that closes the pipe is not a failure');
is($err, '', 'and nothing to speak of');

pipe my $read, my $write or die "pipe: $!\n";
my $watching = start([@ctl, 'monitor', '--type=session'], out => $write);
close $write;
ok(Forkbus->wait_until(sub { subscribers() == 1 }), 'a monitor without events');
close $read;
is(finish($watching), 0, 'ends when its reader has closed the pipe');

for my $signal (qw(INT TERM)) {
    unlink "$base/out";
    my $idle = start([@ctl, 'monitor', '--type=session', '--snapshot'], out => "$base/out", err => "$base/err");
    ok(Forkbus->wait_until(sub { Forkbus->read_file("$base/out") =~ / ready / }), 'a monitor');
    kill $signal, $idle;
    is(finish($idle), 0, "ends well by SIG$signal");
    is(Forkbus->read_file("$base/err"), '', 'without a message');
}

# The reader of the output stalls: more is written than a pipe and the program's buffer hold. The signal arrives while a write
# blocks, before it has written anything, and after it has written a part.
my $text = join '', map { json({ %who, type => 'chroot', pid => $_, comm => 'x' x 15 }) . "\n" } 1 .. 2000;
waitpid $feed->write_beside($text, 1), 0;
$feed->settle;
for my $case ([monitor => 0], [log => 0], [log => 100]) {
    my ($command, $before) = @$case;
    pipe $read, $write or die "pipe: $!\n";
    syswrite $write, 'x' x $before;
    my $stuck   = start([$command eq 'log' ? ($ctl, 'log', $broker->log) : (@ctl, @events)], out => $write);
    my $is_full = sub {
        my $bits = '';
        vec($bits, fileno $write, 1) = 1;
        return select(undef, $bits, undef, 0) == 0 && Forkbus->read_file("/proc/$stuck/wchan") =~ /pipe/;
    };
    ok(Forkbus->wait_until($is_full), "$command, whose reader stalls, $before bytes before");
    kill 'TERM', $stuck;
    is(finish($stuck), 0, 'ends when it is asked to');
    close $_ for $read, $write;
}

for my $command ([@events, '-n', 5], [@events, '-n', 5, '--json=short'], ['status'], ['doctor'], ['--help']) {
    ($status, undef, $err) = run(['bash', '-c', 'exec "$@" >/dev/full', '-', @ctl, @$command]);
    is($status, 1, "@$command[0] that cannot be written: status 1");
    like($err, qr/cannot write the output: No space left/, 'and a word on why');
}

# --- options and what is documented ---------------------------------------------------------------------------------

my ($source) = grep { -d "$_/docs" } "$Bin/../..";
my $manual     = Forkbus->read_file("$source/docs/forkbusctl.1") =~ s/\\-/-/gr;
my $completion = Forkbus->read_file("$source/clients/ctl/forkbusctl.bash");
for my $command (qw(monitor status doctor log)) {
    ($status, $out, $err) = run([$ctl, $command, '--version']);
    like("$status $out$err", qr/^0 forkbusctl \d+\.\d+\.\d+\n\z/, "forkbusctl $command --version");
    ($status, $out) = run([$ctl, $command, '-h']);
    my @options = $out =~ /--([a-z][a-z-]+)/g;
    my @unreported  = grep { $manual !~ /^\.It .*Fl -?(?:[a-z] , -)?\Q$_\E\b/m } @options;
    is_deeply(\@unreported, [], "the manual page has every option of $command");
    @unreported = grep { $completion !~ /--\Q$_\E\b/ } grep { !/^(?:help|version)$/ } @options;
    is_deeply(\@unreported, [], 'and so has the completion');
}
for my $n (qw(0 -1 1x 99999999999999999999)) {
    ($status, $out, $err) = run([@ctl, 'monitor', '-n', $n]);
    is("$status $out", '2 ', "-n $n is no number of events");
}
for my $words ([qw(ps -n 3)], [qw(tree -n 3)], [qw(wait -n 3 1)], ['wait', '1,2']) {
    ($status, $out, $err) = run([@ctl, @$words]);
    is("$status $out", '2 ', "'@$words' is refused");
    like($err, qr/^forkbusctl: .*(?:'n'|'1,2')/, 'and the message names the error');
}
($status, $out) = run([@ctl, 'monitor', '--json=short', "--since=$begin", '--lines=3']);
is(scalar(grep { !/"type":"(?:source|ready|lost|heartbeat)"/ } split /\n/, $out), 3, '--lines');

my ($documented) = Forkbus->read_file("$source/docs/protocol.md") =~ /^## Status\n.*?^```\n(.*?)^```/ms;
my %documented = map { $_ => 1 } $documented =~ /"(\w+)":/g;
cmp_ok(scalar keys %documented, '>', 20, 'protocol.md lists the keys of the status');
($status, $out) = run([@ctl, 'status', '--json=pretty']);
my $reported = Forkbus::parse($out);
is_deeply([grep { $out !~ /"$_": / } sort keys %documented], [], 'which are there');
is_deeply([grep { !$documented{$_} } sort keys %$reported], [], 'and no others') or diag($out);
for my $part (qw(log encoded)) {
    is_deeply([grep { !$documented{$_} } sort keys %{ $reported->{$part} }], [], "nor in \"$part\"");
}

# --- users who may less ---------------------------------------------------------------------------------------------

# doctor runs the forkbusd next to it.
my $own_ctl = Forkbus->installed($ctl, $base);
Forkbus->installed(Forkbus::forkbusd(), $base);

sub doctor {
    my ($uid, @options) = @_;
    return run([$own_ctl, "--runtime-dir=$dir", 'doctor', @options], defined $uid ? (uid => $uid) : ());
}

for my $uid (0, $nobody) {
    my ($probe_status) = run(["$base/forkbusd", '--probe'], uid => $uid);
    ($status, $out, $err) = doctor($uid, '--json=short');
    is($status, $probe_status, "doctor of uid $uid ends as the probe does") or diag($out, $err);
    $reported = Forkbus::parse($out);
    is($reported->{access}{uid}, $uid, 'has the caller');
    is($reported->{access}{seesAll} ? 1 : 0, $uid == 0 ? 1 : 0, 'and the visible processes');
    is($reported->{broker}{pid},     $broker->pid,      'finds the broker');
    is($reported->{probe}{program},  "$base/forkbusd", 'has asked the program beside it');
    is($reported->{probe}{works} ? 0 : 1, $status, 'and prints its result');
    my @mute = grep { !$_->{works} && $_->{source} eq 'connector' && $_->{advice} eq '' } @{ $reported->{probe}{sources} };
    is_deeply(\@mute, [], 'there is advice for sources that do not work');
    my ($plain_status, $plain) = doctor($uid);
    is($plain_status, $status, 'in words the same');
    like($plain, qr/^Sources of events\n.*^Broker\n.*^You\n/ms, 'under three headings');
    like($plain, $uid == 0 ? qr/sees all processes, as root/ : qr/sees only the own processes/, 'the visible processes');
}
unlink "$base/forkbusd";
($status, $out) = run([$own_ctl, "--runtime-dir=$base/nowhere", 'doctor'], env => { PATH => '/nonexistent' });
SKIP: {
    (grep { -x "$_/forkbusd" } qw(/usr/local/sbin /usr/sbin /sbin)) and skip 'forkbusd is installed here', 2;
    is($status, 1, 'doctor without forkbusd');
    like($out, qr/no forkbusd was found.*no broker is reachable at/s, 'reports what is missing');
}

# A limit for each user except root.
my @connections = map { $broker->subscribe({}, uid => $nobody) } 1 .. 2;
$_->wait_ready for @connections;
my $refused = $broker->subscribe(undef, uid => $nobody);
is($refused->next->{error}, 'tooManyConnections', 'a user has so many connections');
is_deeply([$refused->rest], [], 'and not one more');
($status, $out, $err) = run([$own_ctl, "--runtime-dir=$dir", 'monitor'], uid => $nobody);
is("$status $out", '1 ', 'forkbusctl ends with status 1');
like($err, qr/^forkbusctl: refused by the broker: \S/, 'and reports the reason');
is($broker->subscribe({})->next->{type}, 'ready', 'root is not counted');

sub reload {
    my ($limit) = @_;
    my $said = length $broker->stderr;
    $broker->configure({ Limits => { ConnectionsPerUser => $limit } });
    $broker->signal('HUP');
    ok($broker->says(qr/configuration reloaded/, $said), "a limit of $limit");
}
reload(3);
push @connections, $broker->subscribe({}, uid => $nobody);
is($connections[2]->next->{type}, 'ready', 'has room for another one');
reload(1);
$feed->write({ %who, type => 'session', pid => 77, startUsec => 9, uid => $nobody });
for my $connection (@connections) {
    is($connection->wait_for(sub { $_->{type} eq 'session' })->{pid}, 77, 'and leaves those alone that are there');
}
$_->close for @connections;
my $again;
ok(Forkbus->wait_until(sub {
    $again = $broker->subscribe({}, uid => $nobody)->next;
    return $again->{type};
}), 'when they have gone there is room again') or diag(json($again));
$broker->stop;

# --- answers that are none ------------------------------------------------------------------------------------------

mkdir "$base/false" or die "$base/false: $!\n";
for my $case (
    ['',                        qr/closed the connection/],
    ["rubbish\0",               qr/not a forkbus broker/],
    ["[1]\0",                   qr/not a forkbus broker/],
    ["\0\xff" x 100 . "\0",     qr/not a forkbus broker/],
    ['{"parameters":{}}' . "\0", qr/not a forkbus broker/],
    ['x' x (4 << 20),           qr/too long|closed|Message too long/],
  )
{
    my ($answer, $message) = @$case;
    for my $command (qw(monitor status)) {
        unlink "$base/false/org.forkbus1";
        my @place  = (Local => "$base/false/org.forkbus1", Listen => 5);
        my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, @place) or die "socket: $!\n";
        my $false = start([], prepare => sub {
            local $SIG{PIPE} = 'IGNORE';
            my $client = $socket->accept;
            local $/ = "\0";
            readline $client;
            print {$client} $answer;
            $client->flush;
            POSIX::_exit(0);
        });
        close $socket;
        ($status, $out, $err) = run([$ctl, "--runtime-dir=$base/false", $command]);
        my $name = length $answer > 20 ? 'a long answer' : json($answer);
        is("$status $out", '1 ', "$command, answered with $name: status 1");
        like($err, $message, 'and a word on why');
        finish($false);
    }
}
for my $file ('/dev/null', '/dev/zero', $base, Forkbus->write_file("$base/empty", ''), $ctl) {
    ($status, $out, $err) = run([$ctl, 'log', $file]);
    is("$status $out", '1 ', "$file is no log: status 1");
    like($err, qr/^forkbusctl: \Q$file\E: \S/, 'and a word on why');
}
POSIX::mkfifo("$base/fifo", 0600);
($status, $out, $err) = run([$ctl, 'log', "$base/fifo"]);
is("$status $out", '1 ', 'nor is a pipe, without anything to wait for');

# --- the log's size -------------------------------------------------------------------------------------------------

my $recording = Forkbus->write_file("$base/recording", json({ %who, type => 'exec', pid => 2 }) . "\n");
my @source    = (source => "replay:$recording\@flat");
$broker = Forkbus->broker(@source, config => { Log => { Size => '2M' } });
is($broker->status->{log}{size}, 2 << 20, 'the log has the size of the configuration file');
my $epoch = (split /:/, $broker->beginning)[0];
$broker->end;
$broker->restart;
is((split /:/, $broker->beginning)[0], $epoch, 'the same log is continued');
$broker->end;
$broker->restart(log_size => '1M');
is($broker->status->{log}{size}, 1 << 20, 'or of the command line');
isnt((split /:/, $broker->beginning)[0], $epoch, 'which is another log');
like($broker->stderr, qr/the existing log is not used: \S.*; a new one begins/, 'and the broker reports it');
cmp_ok(-s $broker->log, '<', (1 << 20) + (1 << 18), 'it takes so much room');
$broker->stop('log size');

# --- directories that are not one's own -----------------------------------------------------------------------------

my $forkbusd = Forkbus->installed(Forkbus::forkbusd(), $base);
mkdir "$base/closed", 0755 or die "$base/closed: $!\n";
for my $case (
    ["$base/closed",       qr{cannot open the log in \Q$base\E/closed: Permission denied}],
    ["$base/closed/run",   qr{cannot make \Q$base\E/closed/run: Permission denied}],
    ["$base/absent/run",   qr{cannot make \Q$base\E/absent/run: No such file}],
    ["$base/recording",    qr{cannot open the log in \Q$base\E/recording: Not a directory}],
  )
{
    my ($runtime, $message) = @$case;
    my @command = ($forkbusd, '--foreground', "--runtime-dir=$runtime", "--source=replay:$recording");
    ($status, $out, $err) = run(\@command, uid => $nobody);
    is($status, 1, 'a directory where no broker can be: status 1') or diag($err);
    like($err, $message, 'and a word on why');
}
is_deeply([glob "$base/closed/*"], [], 'nothing is left there');

# --- what a service manager sets ------------------------------------------------------------------------------------

my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$base/notify") or die "notify: $!\n";

# Read messages until one matches. Return: all of them.
sub messages_until {
    my ($pattern) = @_;
    my @messages;
    my $deadline = time + Forkbus::patience();
    while (time < $deadline) {
        my $bits = '';
        vec($bits, fileno $notify, 1) = 1;
        next if select($bits, undef, undef, 1) <= 0;
        $notify->recv(my $message, 4096);
        push @messages, $message;
        return @messages if $message =~ $pattern;
    }
    fail("no $pattern came");
    return @messages;
}

my $conf = Forkbus->write_file("$base/conf", "[Broker]\nHeartbeatSec=100ms\n");
for my $own (1, 0) {
    my $said = Forkbus->write_file("$base/said", '');
    my ($dev, $ino) = stat $said;
    my @command = (Forkbus::forkbusd(), "--runtime-dir=$base/managed", "--config=$conf", "--source=replay:$recording");
    my $prepare = sub {
        @ENV{qw(NOTIFY_SOCKET JOURNAL_STREAM)} = ("$base/notify", "$dev:$ino");
        @ENV{qw(WATCHDOG_USEC WATCHDOG_PID)}   = (100_000, $own ? $$ : 1);
    };
    my $managed = start(\@command, err => $said, prepare => $prepare);
    messages_until(qr/^READY=1$/m);
    my $stream = Forkbus::Subscriber->new("$base/managed/stream", {});
    is(Forkbus::Subscriber->new("$base/managed/stream", { query => 'status' })->next->{pid},
        $managed, 'a managed broker stays the process that was started');
    if ($own) {
        messages_until(qr/^WATCHDOG=1$/m) for 1, 2;
        pass('a watchdog that waits for this process is notified that it lives');
    } else {
        # Each of these takes twice as long as printing it.
        $stream->wait_for(sub { $_->{type} eq 'heartbeat' }, 'a heartbeat') for 1 .. 3;
    }
    kill 'HUP', $managed;
    my @messages = messages_until(qr/^RELOADING=1$/m);
    is(scalar(grep { /^WATCHDOG=1$/m } @messages), 0, 'and a watchdog for another process is not') if !$own;
    messages_until(qr/^READY=1$/m);
    kill 'TERM', $managed;
    messages_until(qr/^STOPPING=1$/m);
    is(finish($managed), 0, 'it ends well');
    ok(!-e "$base/managed/stream", 'and leaves no socket');
    my @lines = split /\n/, Forkbus->read_file($said);
    is_deeply([grep { !/^<[3-7]>\S/ } @lines], [], 'each line has its level for the journal');
    cmp_ok(scalar @lines, '>', 2, 'and there are some');
}
done_testing;
