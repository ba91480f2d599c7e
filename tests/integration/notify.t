#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The rules of forkbus-notify, by the output of --test; its command line; and notifications for real processes.
use strict;
use warnings;
use Cpanel::JSON::XS ();
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(run);
use Forkbus::Desktop;
use MIME::Base64 'encode_base64';
use Test::More;

use constant { NIGHT => 1_700_000_000_000_000, HOUR => 3_600_000_000 };    # 22:13 in Greenwich

my $program = Forkbus->program('forkbus-notify');
my $feed    = Forkbus::Feed->new;
my $broker  = $feed->broker;
my $desktop = Forkbus::Desktop->new;

# The expected result of each of these is below, by name.
my @endings = (
    Forkbus::Desktop::ending(comm => 'long'),
    Forkbus::Desktop::ending(comm => 'short', usage => { elapsedUsec => 9_999_999 }),
    Forkbus::Desktop::ending(comm => 'failed', status => { code => 3 }),
    Forkbus::Desktop::ending(comm => 'killed', status => { signal => 9 }),
    Forkbus::Desktop::ending(comm => 'interrupted', status => { signal => 2 }),
    Forkbus::Desktop::ending(comm => 'code-130', status => { code => 130 }),
    Forkbus::Desktop::ending(comm => 'code-143', status => { code => 143 }),
    Forkbus::Desktop::ending(comm => 'vim'),
    Forkbus::Desktop::ending(comm => 'bash', session => 4900, pid => 4900, ppid => 3000),
    Forkbus::Desktop::ending(comm => 'grandchild', ppid => 4711),
    Forkbus::Desktop::ending(comm => 'service', tty => undef, cgroup => '/user.slice/backup.service'),
    Forkbus::Desktop::ending(comm => 'others', uid => $< + 1),
    Forkbus::Desktop::ending(comm => 'other-crash', uid => $< + 1, status => { signal => 11 }),
    Forkbus::Desktop::ending(comm => 'crash', status => { signal => 11 }, tty => undef, usage => undef),
    Forkbus::Desktop::ending(comm => 'long-crash', status => { signal => 6, coreDumped => Forkbus::true() }),
    Forkbus::Desktop::ending(comm => 'tool', exe => '/opt/tools/tool'),
    Forkbus::Desktop::ending(comm => 'unknown', status => undef),
    Forkbus::Desktop::ending(comm => 'thread', tid => 77),
    Forkbus::Desktop::ending(comm => 'noon', timeUsec => NIGHT + 14 * HOUR),
    # The last ones, of both kinds: when they arrive, all earlier ones have arrived.
    Forkbus::Desktop::ending(comm => 'end-crash', exe => '/end', cgroup => '/end', status => { signal => 11 }),
    Forkbus::Desktop::ending(
        comm => 'end', exe => '/end', cgroup => '/end', status => { code => 1 }, usage => { elapsedUsec => 2 * HOUR }
    ),
);
$_->{timeUsec} //= NIGHT for @endings;
$feed->write(@endings)->settle;

# Return: the output with a configuration up to the last ones, in the order of the events; the end of the program is tested.
sub try {
    my ($name, $config, @last) = @_;
    @last = qw(end end-crash) if !@last;
    my $notify = $desktop->notify($broker, config => $config, args => ['--test', '--since=' . $broker->beginning]);
    my @printed;
    Forkbus->wait_until(sub {
        @printed = $notify->printed;
        my %seen = map { $_->{summary} =~ /^(\S+)/ ? ($1 => 1) : () } @printed;
        return !grep { !$seen{$_} } @last;
    }) or diag("$name: " . $notify->stderr);
    $notify->stop($name);
    return sort { $a->{pid} <=> $b->{pid} } @printed;
}

sub names { return join ' ', grep { !/^end/ } map { $_->{summary} =~ /^(\S+)/ } @_ }

my @all = try('defaults', '');
is(names(@all), 'long failed killed crash long-crash tool noon', 'the notifications by default');
is_deeply(
    [grep { $_->{summary} =~ /^failed/ } @all],
    [{
            pid => $endings[2]{pid}, startUsec => $endings[2]{startUsec}, kind => 'failure', urgency => 'normal',
            category => 'x-forkbus.process.exited', summary => 'failed failed with 3 after 1 min',
            body => "CPU 3.0 s (5 %), up to 19 MiB\n/usr/bin/failed, pid $endings[2]{pid} on pts/1",
            transient => Forkbus::false(), quiet => Forkbus::false()
        }],
    'all of one'
);

my @cases = (
    ['Show=failure', 'failed killed'],
    ['Show=failure stopped', 'failed killed interrupted code-130 code-143'],
    ["Show=failure\nStoppedCodes=3", 'killed interrupted code-130 code-143'],
    ["MinElapsedSec=9", 'long short failed killed tool noon'],
    ["MinElapsedSec=1h", ''],
    ['Scope=terminal', 'long failed killed grandchild tool noon'],
    ["Scope=terminal\nIgnoreComm=", 'bash long failed killed vim grandchild tool noon'],
    ['Scope=all', 'long failed killed grandchild service tool noon'],
    ["Scope=all\nIgnoreCgroup=*/backup.*", 'long failed killed grandchild tool noon'],
    ["Scope=all\nOnlyCgroup=*/backup.* /end", 'service'],
    ['IgnoreComm=l* noon', 'failed killed tool'],
    ['OnlyComm=l* end vim', 'long'],
    ['IgnoreExe=/opt/*', 'long failed killed noon'],
    ['OnlyExe=/opt/* /end', 'tool'],
);
for my $case (@cases) {
    my ($lines, $expected) = @$case;
    my $config = "[Commands]\n$lines\n[Crashes]\nOnlyComm=end-crash\n";
    my $name   = "[Commands] $lines" =~ s/\n/, /gr;
    is(names(try($name, $config)), $expected, $name);
}
is(names(try('no crashes but one', "[Commands]\nShow=failure\nMinElapsedSec=70\n[Crashes]\nIgnoreComm=*crash\nIgnoreComm=\n"
          . "IgnoreExe=/usr/*\n")), '', 'crashes have lists of their own');
my %quiet = map { (split ' ', $_->{summary})[0] => $_->{quiet} } try('quiet', "[Notifications]\nQuietHours=22:00-07:00\n");
is_deeply([map { "$_ " . ($quiet{$_} ? 1 : 0) } sort keys %quiet],
    ['crash 1', 'end 1', 'end-crash 1', 'failed 1', 'killed 1', 'long 1', 'long-crash 1', 'noon 0', 'tool 1'],
    'quiet hours hold what is shown');
%quiet = map { (split ' ', $_->{summary})[0] => $_->{quiet} }
  try('quiet, except for crashes', "[Notifications]\nQuietHours=22:00-07:00\nQuietCrashes=yes\n");
is_deeply([map { $quiet{$_} ? 1 : 0 } qw(long crash long-crash)], [1, 0, 0], 'crashes may break the silence');

# --- names that are no text ------------------------------------------------------------------------------------------

$feed->write(
    Forkbus::Desktop::ending(comm => "caf\x{fffd}", commRaw => encode_base64("caf\xe9", '')),
    Forkbus::Desktop::ending(comm => "a\n\t\x{1b}[2J"),
    Forkbus::Desktop::ending(comm => 'last'),
)->settle;
my @odd = grep { $_->{summary} =~ /^(?:caf|a\x{fffd})/ } try('odd names', '', 'last');
is_deeply([map { $_->{summary} =~ s/ is done.*//r } @odd], ["caf\x{fffd}", "a\x{fffd}\x{fffd}\x{fffd}[2J"],
    'names that are no UTF-8, or more than text');

# --- the command line ------------------------------------------------------------------------------------------------

my $nowhere = { env => { DBUS_SESSION_BUS_ADDRESS => 'unix:path=/nonexistent', HOME => '/nonexistent', XDG_CONFIG_HOME => '' } };
my $bad     = Forkbus->write_file(Forkbus->directory . '/bad.conf', "[Commands]\n\nMinElapsedSec=soon\n");
for (
    [[], 1, qr/cannot connect to the session bus: /, 'no session bus'],
    [["--config=$bad"], 2, qr/^forkbus-notify: \Q$bad\E:3: \[Commands\] MinElapsedSec=soon: expected a span/, 'a wrong file'],
    [['--config=/nonexistent'], 1, qr{^forkbus-notify: /nonexistent: No such file or directory$}m, 'a file that is not there'],
    [['--since=-1h'], 2, qr/--since needs --test/, '--since alone'],
    [['--test', '--since=yesterday'], 2, qr/--since=yesterday: expected a span before now, like -1h/, 'a bad --since'],
    [['--nonsense'], 2, qr/^forkbus-notify: unrecognized option '--nonsense'$/m, 'an unknown option'],
    [['more'], 2, qr/^forkbus-notify: unexpected argument 'more'/, 'an argument'],
) {
    my ($arguments, $expected, $said, $name) = @$_;
    my ($status, $out, $err) = run([$program, @$arguments], %$nowhere);
    is($status, $expected, "$name: exit status");
    like($err, $said, "$name: it reports the reason");
    is($out, '', "$name: nothing else");
}
my ($status, $help, $errors) = run([$program, '--help'], %$nowhere);
is("$status$errors", '0', '--help');
like($help, qr/^  --test .*^  --since=WHEN /ms, 'it reports the options');
my $manual     = Forkbus->read_file("$Bin/../../docs/forkbus-notify.1") =~ s/\\-/-/gr;
my $completion = Forkbus->read_file("$Bin/../../clients/notify/forkbus-notify.bash");
my @options    = $help =~ /^  (?:-h, )?--([a-z-]+)/mg;
cmp_ok(scalar @options, '>=', 6, 'there are some');
is_deeply([grep { $manual !~ /^\.It .*Fl -?(?:[a-z] , -)?\Q$_\E\b/m } @options], [], 'the manual page has every one');
is_deeply([grep { $completion !~ /--\Q$_\E\b/ } @options], [], 'and so has the completion');
($status, my $version) = run([$program, '--version'], %$nowhere);
like($version, qr/^forkbus-notify \d+\.\d+\.\d+$/, '--version');

# The default paths of the configuration.
my $home = Forkbus->directory;
mkdir $_ or die "$_: $!\n" for "$home/.config", "$home/.config/forkbus", "$home/xdg", "$home/xdg/forkbus";
Forkbus->write_file("$home/.config/forkbus/notify.conf", "[At]\nHome=1\n");
Forkbus->write_file("$home/xdg/forkbus/notify.conf", "[At]\nXdg=1\n");
for (['', qr{^forkbus-notify: \Q$home\E/\.config/forkbus/notify\.conf:2: }], ["$home/xdg", qr{xdg/forkbus/notify\.conf:2: }],
    ['relative', qr{/\.config/forkbus/notify\.conf:2: }]) {
    my ($xdg, $said) = @$_;
    ($status, undef, $errors) = run([$program, '--test'], env => { HOME => $home, XDG_CONFIG_HOME => $xdg });
    is($status, 2, "XDG_CONFIG_HOME=$xdg: it reads a file");
    like($errors, $said, 'this one');
}

# A reader that closes the pipe early.
my $beginning = $broker->beginning;
($status, my $lines, my $ended) = run(['sh', '-c',
    "(\"\$1\" --test --runtime-dir=\"\$2\" --since=\"\$3\"; echo \$? >&2) | head -n 1", 'sh', $program, $broker->dir, $beginning],
    env => { XDG_CONFIG_HOME => '/nonexistent' });
is(scalar(() = $lines =~ /\n/g), 1, 'a pipe that is closed ends it');
like($ended, qr/^0$/m, 'and is no failure');
$broker->stop;

# --- real processes --------------------------------------------------------------------------------------------------

SKIP: {
    skip 'real processes: needs root', 1 if $> != 0;
    my $source = Forkbus::live_source();
    my $reported   = Forkbus->probe($source);
    skip "the $source cannot be heard here: $reported->{found}", 1 if !$reported->{works};
    my $live = Forkbus->broker(source => 'connector');
    $desktop->serve('body', 'body-markup');
    my $notify = $desktop->notify($live, config => "[Commands]\nMinElapsedSec=1s\n");

    # A shell on a terminal of its own, with these as children.
    my $script = 'sleep 0.1; sleep 1.2; sleep 0.2 & sh -c "sleep 1.1; exit 0"; perl -e "sleep 2; exit 7"; true';
    my ($shell) = run(['script', '-qec', $script, '/dev/null'], env => { SHELL => '/bin/sh' });
    is($shell, 0, 'the shell ran');
    run(['sh', '-c', 'ulimit -c 0; kill -SEGV $$'], uid => 65534);    # another user's
    run(['perl', '-e', 'kill "BUS", $$']);
    ok($desktop->shows(qr/^perl crashed: SIGBUS$/m), 'a real crash');
    my $shown = $desktop->shows(qr/^perl failed with 7 after \d+(?:\.\d)? s$/m);
    ok($shown, 'a real command');
    like($shown->{body} // '', qr{^CPU \d+ ms \(\d+ %\), up to .*/perl\S*, pid \d+ on pts/\d+$}s, 'and its resource usage');
    is_deeply([grep { !/^perl|^sleep is done after / } map { $_->{summary} } $desktop->notices], [], 'nothing else')
      or diag($notify->stderr);
    $notify->stop('real processes');
    $live->stop('the live broker');
}
done_testing;
