#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The broker as a daemon: options, configuration and its reload, signals, notifications to a service manager, the background.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use IO::Socket::UNIX;
use Test::More;

my $base      = Forkbus->directory;
my $recording = Forkbus->write_file("$base/recording", json({ type => 'exec', timeUsec => 1, pid => 2, startUsec => 3 }) . "\n");
my @replay    = (source => "replay:$recording\@flat");
my $forkbusd  = Forkbus::forkbusd();

# --- the command line -----------------------------------------------------------------------------------------------

my ($status, $out, $err) = run([$forkbusd, '--help']);
is($status, 0, '--help ends well');
like($out, qr/--$_\b/, "and reports --$_") for qw(source runtime-dir log-size config foreground probe version);
($status, $out) = run([$forkbusd, '--version']);
is($status, 0, '--version ends well');
like($out, qr/^forkbusd \d+\.\d+/, 'and prints it');

for my $case (
    [['--nonsense'],                       qr/nonsense/],
    [['word'],                             qr/'word'/],
    [['--source=nonsense'],                qr/--source=nonsense: expected /],
    [['--source=replay:'],                 qr/--source=replay:: expected /],
    [['--log-size=much'],                  qr/--log-size=much: expected a size/],
    [['--log-size=1K'],                    qr/--log-size=1K: expected a size from /],
    [['--runtime-dir=' . 'x' x 200],       qr/--runtime-dir=x+: expected a path/],
    [['--log-size'],                       qr/log-size/],
  )
{
    my ($arguments, $message) = @$case;
    ($status, $out, $err) = run([$forkbusd, '--foreground', "--runtime-dir=$base/none", @$arguments]);
    is($status, 2, "status 2 of @$arguments") or diag($err);
    like($err, $message, 'and a word on why');
}

my $number = 0;
for my $case (
    ["[Broker]\nHeartbeatSec=never\n",            qr/2: \[Broker\] HeartbeatSec=never: expected a span from /],
    ["[Broker]\n\n; a comment\nHeartbeat=1s\n",   qr/4: \[Broker\] Heartbeat=1s: there is no such option/],
    ["[Nothing]\nHeartbeatSec=1s\n",              qr/2: \[Nothing\] HeartbeatSec=1s: there is no such section/],
    ["[Limits]\nConnections=0\n",                 qr/2: \[Limits\] Connections=0: expected a number from /],
    ["[Broker\nLogLevel=info\n",                  qr/1: expected \[Section\]/],
    ["nonsense\n",                                qr/1: expected \[Section\]/],
  )
{
    my ($text, $message) = @$case;
    my $file = Forkbus->write_file("$base/bad" . ++$number . '.conf', $text);
    ($status, $out, $err) = run([$forkbusd, '--foreground', "--runtime-dir=$base/none", "--config=$file"]);
    is($status, 2, 'status 2 of a configuration that is wrong') or diag($err);
    like($err, qr/\Q$file\E:$message/, 'and the line, and the expected value');
}
ok(!-e "$base/none", 'nothing was made of all this');

for my $case (
    ["--config=$base/nowhere.conf", qr/nowhere\.conf: No such file/],
    ['--source=replay:/nowhere',    qr{cannot replay /nowhere: No such file}],
    ['--source=module',             qr/source module/],
    ['--runtime-dir=/proc/forkbus', qr{cannot make /proc/forkbus: }],
  )
{
    my ($argument, $message) = @$case;
    for my $where ('--foreground', '--log-size=1M') {
        ($status, $out, $err) = run([$forkbusd, "--runtime-dir=$base/failing", $argument, $where]);
        is($status, 1, "status 1 of $argument $where");
        like($err, $message, 'and a word on why');
    }
}

# --- the probe ------------------------------------------------------------------------------------------------------

($status, $out) = run([$forkbusd, '--probe']);
my @probed = map { Forkbus::parse($_) } split /\n/, $out;
is_deeply([sort map { $_->{source} } @probed], [qw(connector module replay)], '--probe reports every source');
ok(!(grep { !exists $_->{works} || $_->{found} eq '' || !exists $_->{advice} } @probed), 'with the finding and advice');
my ($works) = grep { $_->{source} =~ /^(?:connector|module)$/ && $_->{works} } @probed;
is($status, $works ? 0 : 1, 'its exit status shows whether events are available');

# --- signals, reload ------------------------------------------------------------------------------------------------

my $broker = Forkbus->broker(@replay, config => { Limits => { RequestSize => '4K' } });
is((stat $broker->stream)[2] & 07777, 0666, 'everyone may connect');
is((stat $broker->log)[2] & 07007,    0, 'not everyone may read the log');
my $request = ' ' x 2048 . "{}\n";
is($broker->subscribe($request)->next->{type}, 'ready', 'a request of 2 KiB fits');

my $reload = sub {
    my $said = length $broker->stderr;
    $broker->configure(@_);
    $broker->signal('HUP');
    ok($broker->says(qr/configuration (?:reloaded|is unchanged)/, $said), 'the broker heard of it');
    return substr $broker->stderr, $said;
};
like($reload->({ Limits => { RequestSize => '1K' } }), qr/configuration reloaded/, 'another limit');
is($broker->subscribe($request)->next->{error}, 'requestTooLong', 'counts from then on');
like($reload->("[Limits]\nRequestSize=nonsense\n"), qr/RequestSize=nonsense: expected .*\n.*is unchanged/, 'a broken file');
is($broker->subscribe($request)->next->{error}, 'requestTooLong', 'changes nothing');
unlink $broker->{config_file};
$broker->signal('HUP');
ok($broker->says(qr/No such file.*\n.*is unchanged/), 'nor does one that is gone');
like($reload->({ Limits => { RequestSize => '16K' } }), qr/configuration reloaded/, 'and a good one');
is($broker->subscribe($request)->next->{type}, 'ready', 'counts again');

my $stream = $broker->subscribe({});
$stream->wait_ready;
$broker->signal('PIPE');
is($broker->subscribe({})->next->{type}, 'ready', 'SIGPIPE does nothing');

# A second broker in the same directory.
($status, $out, $err) = run([$forkbusd, '--foreground', '--runtime-dir=' . $broker->dir, "--source=replay:$recording"]);
is($status, 1, 'a second broker on the same directory ends');
like($err, qr/another broker runs in /, 'and reports the reason');
is($broker->subscribe({})->next->{type}, 'ready', 'the first one does not mind');

$broker->stop('SIGTERM');
is_deeply([grep { !/"heartbeat"/ } $stream->rest], [], 'its subscribers see the end');
ok(!-e $broker->stream, 'the socket is gone');
ok(-s $broker->log,     'the log is not');

$broker->restart;
is($broker->end('INT'), 0, 'SIGINT ends it as well');

# A socket that a dead broker left is replaced.
$broker->restart;
$broker->end('KILL');
ok(-e $broker->stream, 'a killed broker leaves its socket');
$broker->restart;
is($broker->subscribe({})->next->{type}, 'ready', 'the next one takes its place');
$broker->stop('after a killed broker');

# --- the service manager --------------------------------------------------------------------------------------------

my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$base/notify") or die "notify: $!\n";
my @heard;

# Wait until the broker has sent a notification.
sub hear {
    my ($pattern, $name) = @_;
    my $deadline = time + Forkbus::patience();
    while (time < $deadline) {
        my $bits = '';
        vec($bits, fileno $notify, 1) = 1;
        next if select($bits, undef, undef, 1) <= 0;
        $notify->recv(my $message, 4096);
        push @heard, $message;
        return pass($name) if $message =~ $pattern;
    }
    fail($name) or diag(map { "$_\n" } @heard);
}

my %environment = (NOTIFY_SOCKET => "$base/notify", WATCHDOG_USEC => 400_000);
$broker = Forkbus->broker(@replay, env => \%environment);
hear(qr/^READY=1$/m, 'the service manager hears that the broker is ready');
is($broker->subscribe({})->next->{type}, 'ready', 'which it is');
hear(qr/^STATUS=.*replay.*subscriber/m, 'and how it is');
hear(qr/^WATCHDOG=1$/m, "that it is alive: $_") for 1, 2;
$broker->signal('HUP');
hear(qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/m, 'that it reloads');
hear(qr/^READY=1$/m, 'and is done');
$broker->stop('with a service manager');
hear(qr/^STOPPING=1$/m, 'that it ends');

# --- the background -------------------------------------------------------------------------------------------------

my $dir = "$base/background";
my $background;

END {
    kill 'KILL', $background if $background;
}

($status, $out, $err) = run([$forkbusd, "--runtime-dir=$dir", "--source=replay:$recording"]);
is($status, 0, 'without --foreground it returns');
my $reported = Forkbus::Subscriber->new("$dir/stream", { query => 'status' })->next;
$background = $reported->{pid};
ok($background, 'when subscribers can connect');
ok(kill(0, $background), 'and runs on');
my $stat = Forkbus->read_file("/proc/$background/stat");
like($stat, qr/^$background \(.*\) \S \d+ $background $background 0 /, 'in a session of its own');
is_deeply([map { readlink "/proc/$background/fd/$_" } 0 .. 2], [('/dev/null') x 3], 'without the terminal');
kill 'TERM', $background;
ok(Forkbus->wait_until(sub { !kill 0, $background }), 'until it is ended');
undef $background;
ok(!-e "$dir/stream", 'cleanly');
done_testing;
