#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# forkbusctl, nc and jq as people use them, with a running broker and without one.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec run);
use Test::More;

my $feed   = Forkbus::Feed->new;
my $broker = $feed->broker;
my $dir    = $broker->dir;
my $ctl    = Forkbus::forkbusctl();
$ENV{LC_ALL} = 'C.UTF-8';
delete $ENV{$_} for qw(NO_COLOR SYSTEMD_COLORS);

sub forkbusctl { return run([$ctl, "--runtime-dir=$dir", @_]) }
sub numbers    { return map { Forkbus::parse($_)->{seq} } grep { /^\{"seq"/ } split /\n/, $_[0] }

# Twenty processes: those with an even pid succeed, every fifth is killed by a signal; uids 0, 1000.
my %common = (timeUsec => now_usec(), ppid => 1, gid => 0);
my (@events, %seq);
for my $pid (101 .. 120) {
    my %who = (%common, pid => $pid, startUsec => $pid * 1_000_000, uid => $pid % 3 ? 0 : 1000, comm => "worker $pid");
    push @events, { %who, type => 'fork' };
    push @events, { %who, type => 'exec', exe => "/usr/bin/w$pid", cgroup => '/system.slice/a.service', unit => 'a.service' };
    my $status = $pid % 5 == 0 ? { signal => 9, coreDumped => Cpanel::JSON::XS::false } : { code => $pid % 2 };
    push @events, { %who, type => 'exit', status => $status, usage => { elapsedUsec => $pid * 1000 } };
}
push @events, { %common, type => 'fork', pid => 500, startUsec => 5, uid => 0, comm => 'parent' };
my %child = (%common, pid => 501, startUsec => 6, uid => 0, comm => 'child');
push @events, { %child, type => 'fork', ppid => 500, parentStartUsec => 5 };
push @events, { %child, type => 'fork', tid => 502 };
push @events, { %common, type => 'comm', pid => 500, startUsec => 5, uid => 0, comm => "caf\x{fffd}\n", commRaw => 'Y2Fm6Qo=' };
$feed->write(@events);
my $last  = $feed->settle;
my $begin = $broker->beginning;
$seq{$_} = $_ + 2 for 0 .. $#events;    # the first event is the source's
my @all = map { { %{ $events[$_] }, seq => $seq{$_} } } 0 .. $#events;

# The events that a filter must show, read from the existing log.
my @cases = (
    [[],                                           sub { !exists $_->{tid} }],
    [['--threads'],                                sub { 1 }],
    [['--type=exit'],                              sub { $_->{type} eq 'exit' }],
    [['--type=exit,exec', '--type=comm'],          sub { $_->{type} =~ /^(?:exit|exec|comm)$/ }],
    [['--uid=1000'],                               sub { $_->{uid} == 1000 && !exists $_->{tid} }],
    [['--uid=root', '--type=exec'],                sub { $_->{uid} == 0 && $_->{type} eq 'exec' }],
    [['--comm=worker 11*', '--type=fork'],         sub { $_->{comm} =~ /^worker 11/ && $_->{type} eq 'fork' }],
    [['--exe=/usr/bin/w10[1-3],*/w120'],           sub { ($_->{exe} // '') =~ m{w10[1-3]$|w120$} }],
    [['--cgroup=/system.slice/*'],                 sub { exists $_->{cgroup} }],
    [['--unit=a.service'],                         sub { exists $_->{unit} }],
    [['--status=success'],                         sub { ($_->{status}{code} // 1) == 0 }],
    [['--status=failure'],                         sub { $_->{status} && ($_->{status}{code} // 1) != 0 }],
    [['--status=signal'],                          sub { exists $_->{status}{signal} }],
    [['--status=any', '--min-elapsed=115ms'],      sub { ($_->{usage}{elapsedUsec} // 0) >= 115_000 }],
    [['--pid=110@110000000'],                      sub { $_->{pid} == 110 }],
    [['--pid=500@5,501@6'],                        sub { $_->{pid} >= 500 && !exists $_->{tid} }],
    [['--since=' . ($begin =~ s/0\z//r) . '40'],   sub { $_->{seq} > 40 && !exists $_->{tid} }],
);
for my $case (@cases) {
    my ($options, $wanted) = @$case;
    my @expected = map { $_->{seq} } grep { $wanted->($_) } map { { %$_, status => $_->{status} // undef } } @all;
    my @since = grep({ /^--since/ } @$options) ? () : "--since=$begin";
    my ($status, $out, $err) = forkbusctl('monitor', '--json=short', @since, '-n', scalar @expected, @$options);
    is("$status $err", '0 ', "monitor @$options");
    is_deeply([grep { $_ > 1 } numbers($out)], \@expected, 'prints the requested events, and ends') or diag($out);
}
my ($status, $out, $err) = forkbusctl('monitor', '--json=short', "--since=$begin", '--tree=500', '-n', 3);
is_deeply([grep { $_ > 1 } numbers($out)], [map { $_->{seq} } grep { $_->{pid} >= 500 && !exists $_->{tid} } @all], 'a tree');
($status, $out) = forkbusctl('monitor', '--json=short', '--snapshot', '-n', 2);
my @shown = map { Forkbus::parse($_) } split /\n/, $out;
is_deeply([map { "$_->{type} $_->{pid}" } @shown], ['process 500', 'process 501'], 'a snapshot');
($status, $out) = forkbusctl('monitor', '--json=pretty', "--since=$begin", '-n', 1, '--type=comm');
my $pretty = Forkbus::parse($out =~ s/.*?(?=^\{\n  "seq": $last,)//smr);
is($pretty->{commRaw}, 'Y2Fm6Qo=', 'pretty JSON is JSON');
cmp_ok($out =~ tr/\n//, '>', 10, 'on many lines');

# Columns for people.
($status, $out) = forkbusctl('monitor', "--since=$begin", '-n', 60);
my @lines = split /\n/, $out;
is(scalar(grep { /^[\d:.]+ +exit +1\d\d +1 +\w+ +worker 1\d\d / } @lines), 20, 'exits in columns') or diag($out);
is(scalar(grep { /^[\d:.]+ +exec .* \/usr\/bin\/w1\d\d/ } @lines),          20, 'execs with their programs');
like($out, qr/exit +101 .* code 1\b/,     'a code');
like($out, qr/exit +105 .*\b(?:SIG)?KILL\b/, 'a signal');
unlike($out, qr/\e/, 'no colour where there is no terminal');
($status, $out) = forkbusctl('monitor', "--since=$begin", '-n', 1, '--type=comm');
unlike($out, qr/[\x00-\x09\x0b-\x1f\xe9]/, 'and no byte of a name that could do harm') or diag($out);
is(scalar(grep { /comm .*caf/ } split /\n/, $out), 1, 'on one line');

# Live.
my $watching = fork // die "fork: $!\n";
if (!$watching) {
    open STDOUT, '>', "$dir/../live" or POSIX::_exit(126);
    exec $ctl, "--runtime-dir=$dir", 'monitor', '--json=short', '-n', '2', '--type=session';
}
ok(Forkbus->wait_until(sub { $broker->status->{subscribers} == 1 }), 'a client watches');
$feed->write(map { { %common, type => 'session', pid => 500, startUsec => 5, uid => 0 } } 1 .. 2);
waitpid $watching, 0;
is($?, 0, 'until enough was seen');
is(scalar(() = Forkbus->read_file("$dir/../live") =~ /"session"/g), 2, 'live');

# Refusals and wrong command lines.
for my $case (
    [[qw(monitor --type=nonsense)],       qr/--type\b.*nonsense/],
    [[qw(monitor --pid=4194999)],         qr/--pid\b/],
    [[qw(monitor --pid=x)],               qr/--pid\b.*'x'/],
    [[qw(monitor --uid=nobodyatall)],     qr/--uid\b.*'nobodyatall'/],
    [[qw(monitor --since=yesterday)],     qr/--since\b/],
    [[qw(monitor --status=good)],         qr/--status\b/],
    [[qw(monitor --min-elapsed=x)],       qr/--min-elapsed\b/],
    [['monitor', '--comm=[a'],            qr/--comm\b/],
    [[qw(monitor --json=xml)],            qr/--json\b.*'xml'/],
    [[qw(monitor -n x)],                  qr/'x'/],
    [[qw(monitor --nonsense)],            qr/nonsense/],
    [[qw(monitor word)],                  qr/'word'/],
    [[qw(status word)],                   qr/'word'/],
    [[qw(nonsense)],                      qr/'nonsense'/],
    [[],                                  qr/monitor/],
    [[qw(log)],                           qr/one file/],
    [['log', '--tree=1', $broker->log],   qr/--tree/],
    [['log', '--pid=1', $broker->log],    qr/--pid/],
  )
{
    my ($arguments, $message) = @$case;
    ($status, $out, $err) = forkbusctl(@$arguments);
    is("$status $out", '2 ', "status 2 of forkbusctl @$arguments");
    like($err, $message, 'and a word on why');
}
for my $arguments ([], ['monitor'], ['status'], ['doctor'], ['log']) {
    ($status, $out, $err) = forkbusctl(@$arguments, '--help');
    is("$status $err", '0 ', "forkbusctl @$arguments --help");
    like($out, qr/^forkbusctl @$arguments.*\n\n\w/, 'prints the name and version');
}
($status, $out) = forkbusctl('--version');
like($out, qr/^forkbusctl \d/, '--version');

# status, doctor
($status, $out, $err) = forkbusctl('status');
is("$status $err", '0 ', 'status');
like($out, qr/$_/, "reports $_") for 'replay', 'Events: \d+', 'Lost: nothing', 'Subscribers: 0', 'Log: ', 'reaches back';
($status, $out) = forkbusctl('status', '--json=short');
my $reported = Forkbus::parse($out);
is($reported->{pid}, $broker->pid, 'and in JSON');
is(scalar(split /\n/, $out), 1, 'on one line');
($status, $out, $err) = forkbusctl('doctor', '--json=short');
$reported = Forkbus::parse($out);
my $works = grep { $_->{works} && $_->{source} ne 'replay' } @{ $reported->{probe}{sources} };
is($status, $works ? 0 : 1, 'doctor ends as the sources of this machine are') or diag($out);
is($reported->{broker}{pid}, $broker->pid, 'and finds the broker');
($status, $out) = forkbusctl('doctor');
like($out, qr/^  \S+ connector: \w/m, 'in words, too');

# nc, jq
SKIP: {
    my ($netcat) = grep { -x } map { "$_/nc.openbsd" } split /:/, $ENV{PATH};
    skip 'no netcat-openbsd here', 6 if !$netcat;
    my $jq = grep { -x "$_/jq" } split /:/, $ENV{PATH};
    skip 'no jq here', 6 if !$jq;
    for my $options ('-N', '') {
        my $filter = json({ types => ['exit'], since => $begin });
        my $script = "$netcat $options -U $dir/stream <<<'$filter' | jq --unbuffered -c 'select(.type == \"exit\") | .pid'";
        my $pid    = open my $pipe, '-|' // die "fork: $!\n";
        if (!$pid) {
            setpgrp;
            exec 'bash', '-c', $script;
        }
        my @pids = map { scalar readline $pipe } 1 .. 20;
        is(join('', @pids), join('', map { "$_\n" } 101 .. 120), "nc $options | jq gets every exit");
        kill 'TERM', -$pid;
        close $pipe;
    }
    ($status, $out) = run(['bash', '-c', "$netcat -N -U $dir/stream <<<'{\"query\":\"status\"}' | jq -r .source.name"]);
    is($out, "replay\n", 'and the status');
    ($status, $out) = run(['bash', '-c', "$netcat -U $dir/stream <<<'{\"nonsense\":1}' | jq -r .key"]);
    is($out, "nonsense\n", 'and errors');

    # As protocol.md has it: it ends at ready, also with jq 1.6, although nc goes on until it is to write more.
    my ($example) = Forkbus->read_file("$Bin/../../docs/protocol.md") =~ /^(nc -U \S+ <<< '\{"snapshot":true\}' \|\n.*)$/m;
    $example =~ s{^nc -U /run/forkbus/}{$netcat -U $dir/};
    ($status, $out, $err) = run(['bash', '-c', $example]);
    is($err, '', 'the example of a snapshot has no error');
    like($out, qr/\A(?:\d+\t.*\n)+\z/, 'and shows processes only');
}

# The log of a running broker, and of one that was killed: the same filters give the same lines.
my $stream = $broker->subscribe({ since => $begin, threads => Cpanel::JSON::XS::true });
my @whole  = @{ $stream->catch_up_lines($broker) };
($status, $out) = forkbusctl('log', '--threads', '--json=short', $broker->log);
is($out, join('', map { "$_\n" } @whole), 'log shows the same as subscribers get');
($status, $out) = forkbusctl('log', '--json=short', '-n', 7, '--type=exit', $broker->log);
is(scalar(grep { /"exit"/ } split /\n/, $out), 7, 'and ends after this number');

$broker->end('KILL');
($status, $out, $err) = forkbusctl('log', '--threads', '--json=short', $broker->log);
is($out, join('', map { "$_\n" } @whole), 'and when the broker is dead');
for my $case (@cases) {
    my ($options, $wanted) = @$case;
    my @expected = map { $_->{seq} } grep { $wanted->($_) } map { { %$_, status => $_->{status} // undef } } @all;
    ($status, $out, $err) = forkbusctl('log', '--json=short', @$options, $broker->log);
    is("$status $err", '0 ', "log @$options");
    is_deeply([grep { $_ > 1 && $_ <= $last } numbers($out)], \@expected, 'shows the matching events');
}

# Without a broker.
for my $command (qw(monitor status)) {
    ($status, $out, $err) = forkbusctl($command);
    is("$status $out", '1 ', "$command without a broker: status 1");
    like($err, qr/\Q$dir\E/, 'and where it was looked for');
}
($status, $out, $err) = run([$ctl, "--runtime-dir=$dir/nowhere", 'monitor']);
is($status, 1, 'without its directory');
($status, $out, $err) = forkbusctl('log', "$dir/nowhere");
is("$status $out", '1 ', 'a log that is not there');
like($err, qr/No such file/, 'and a word on why');
($status, $out, $err) = forkbusctl('doctor', '--json=short');
ok(!Forkbus::parse($out)->{broker}{reachable}, 'doctor reports that there is no broker');

# A broker that ends while a client watches, and is started again.
$broker->restart;
my $left = fork // die "fork: $!\n";
if (!$left) {
    open STDOUT, '>', "$dir/../shown" or POSIX::_exit(126);
    open STDERR, '>', "$dir/../gone"  or POSIX::_exit(126);
    exec $ctl, "--runtime-dir=$dir", 'monitor', '--json=short', '--type=session', '-n', 2;
}
ok(Forkbus->wait_until(sub { $broker->status->{subscribers} == 1 }), 'a client watches');
$feed->write({ %common, type => 'session', pid => 600, startUsec => 5, uid => 0 });
ok(Forkbus->wait_until(sub { Forkbus->read_file($broker->log) =~ /./ && $broker->status->{events}{session} }), 'an event');
$broker->end('TERM');
ok(Forkbus->wait_until(sub { Forkbus->read_file("$dir/../gone") =~ /closed the connection; waiting/ }), 'reports its end');
$broker->restart;
ok(Forkbus->wait_until(sub { Forkbus->read_file("$dir/../gone") =~ /the broker is back/ }), 'and when it is back');
$feed->write({ %common, type => 'session', pid => 601, startUsec => 5, uid => 0 });
waitpid $left, 0;
is($?, 0, 'and watches on until enough was seen');
is_deeply([map { $_->{pid} } grep { $_->{type} eq 'session' } map { Forkbus::parse($_) } split /\n/,
        Forkbus->read_file("$dir/../shown")],
    [600, 601], 'each event once');

# Living processes, and how they end.
$feed->write(map { { %common, %$_, type => 'fork', uid => 0 } } { pid => 700, startUsec => 5, comm => 'root' },
    { pid => 701, startUsec => 6, ppid => 700, parentStartUsec => 5, comm => 'child' },
    { pid => 702, startUsec => 7, ppid => 700, parentStartUsec => 5, comm => 'other' });
ok(Forkbus->wait_until(sub { $broker->status->{events}{fork} == 3 }), 'three processes');
($status, $out, $err) = forkbusctl('ps', '--tree=700', '--json=short');
is_deeply([map { $_->{pid} } map { Forkbus::parse($_) } split /\n/, $out], [700, 701, 702], 'ps lists a tree') or diag($err);
($status, $out, $err) = forkbusctl('ps', '--comm=oth*');
like($out, qr/^ +PID .*\n +702 +700 +root +\S.* other +-\n\z/, 'and the matching ones, in columns');
($status, $out, $err) = forkbusctl('tree', 700);
like($out, qr/ root\s*\n.*├─child\s*\n.*└─other\s*\n\z/, 'a tree is drawn') or diag($err);
($status, $out, $err) = forkbusctl('wait', 4711);
is("$status $out", '2 ', 'wait fails for a process that does not exist');
like($err, qr/no such process/, 'with a message');
my $waits = fork // die "fork: $!\n";
if (!$waits) {
    open STDOUT, '>', "$dir/../ended" or POSIX::_exit(126);
    exec $ctl, "--runtime-dir=$dir", 'wait', '--json=short', '701@6';
}
ok(Forkbus->wait_until(sub { $broker->status->{subscribers} == 1 }), 'a client waits');
$feed->write(map { { %common, type => 'exit', uid => 0, %$_ } } { pid => 702, startUsec => 7, status => { code => 0 } },
    { pid => 701, startUsec => 6, status => { code => 3 } });
waitpid $waits, 0;
is($?, 0, 'until the process has ended');
my ($end) = map { Forkbus::parse($_) } split /\n/, Forkbus->read_file("$dir/../ended");
is_deeply([$end->{pid}, $end->{status}], [701, { code => 3 }], 'and prints its exit status');

# A client whose output is not read waits, and sleeps meanwhile: its CPU time does not grow.
sub used {
    my ($pid) = @_;
    my @fields = split / /, Forkbus->read_file("/proc/$pid/stat");
    return $fields[13] + $fields[14];
}
$waits = fork // die "fork: $!\n";
if (!$waits) {
    pipe my $reader, my $writer or POSIX::_exit(126);
    open STDOUT, '>&', $writer or POSIX::_exit(126);
    close $reader;
    close $writer;
    exec $ctl, "--runtime-dir=$dir", 'wait', '700@5';
}
ok(Forkbus->wait_until(sub { $broker->status->{subscribers} == 1 }), 'a client waits whose output is not read');
ok(Forkbus->wait_until(sub { my $before = used($waits); select undef, undef, undef, 0.2; used($waits) == $before }),
    'and sleeps');
$feed->write({ %common, type => 'exit', uid => 0, pid => 700, startUsec => 5, status => { code => 0 } });
waitpid $waits, 0;
is($?, 0, 'until the process has ended');
$broker->stop;
done_testing;
