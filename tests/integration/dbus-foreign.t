#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The D-Bus face with clients of other projects: busctl of systemd, gdbus of GLib, python3-dbus. Once with processes that live.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec run true);
use Test::More;

use constant NAME => 'org.forkbus1';

# A name that is not ASCII, and its bytes.
my $comm  = "\x{fc}n\x{ef}";
my $bytes = "\xc3\xbcn\xc3\xaf";

my $python = '/usr/bin/python3';
my ($no_python) = run([$python, '-c', 'import dbus, gi']);

sub fork_of {
    my ($pid, %fields) = @_;
    return { type => 'fork', timeUsec => now_usec(), pid => $pid, startUsec => 5, ppid => 1, uid => 0, comm => $comm, %fields };
}

# --- busctl ----------------------------------------------------------------------------------------------------------

sub test_busctl {
    my ($feed, $bus) = @_;
    my $client = $bus->client;
    my $path   = $client->subscribe({});
    my ($status, $tree) = $bus->busctl('tree', '--list', NAME);
    is($tree, "/\n/org\n/org/forkbus1\n/org/forkbus1/subscription\n$path\n",
        'busctl tree: tidy, and for root with all') or diag($tree);
    my ($code, $text, $err) = $bus->busctl('introspect', NAME, '/org/forkbus1', 'org.forkbus1.Manager', '--no-legend');
    is($code, 0, 'busctl introspect') or diag($err);
    my %line = map { s/\s+/ /gr =~ /^\.(\w+) (.*?) ?$/ ? ("$1" => "$2") : () } split /\n/, $text;
    is(join(' ', sort keys %line),
        'Cursor EventsLost EventsReceived GetProcess ListProcesses LongestTurnUsec Source Subscribe Subscribers Version',
        'names all members');
    is($line{Subscribe}, 'method a{sv} o -', 'with their types');
    like($line{Version}, qr/^property s "[\d.]+" const$/, 'that one is constant');
    is($line{Subscribers}, 'property u 1 emits-change', 'the changes of another are reported');
    like($line{Cursor}, qr/^property s "[0-9a-f]+:\d+" -$/, 'those of a third are not');

    my $monitor = $bus->watch('busctl', "--address=${\$bus->address}", '--json=short', 'monitor', NAME);
    $monitor->says(qr/Monitoring bus/) or die 'no monitor';
    my $seq = $feed->write(fork_of(4711))->settle;
    ok($monitor->says(qr/"member":"ProcessForked"/), 'busctl monitor, as root, sees signals');
    my ($line) = grep { /"member":"ProcessForked"/ } split /\n/, $monitor->text;
    my $signal = Forkbus::parse($line);
    is_deeply([@$signal{qw(type destination path interface)}], ['signal', $client->name, $path, 'org.forkbus1.Subscription'],
        'to their one receiver');
    is($signal->{payload}{type}, 'tuta{sv}', 'of a type');
    is_deeply([@{ $signal->{payload}{data} }[0, 1, 2], $signal->{payload}{data}[3]{comm}{data}], [$seq, 4711, 5, $comm],
        'with their values');
    $monitor->stop;

    (undef, $text) = $bus->busctl('call', NAME, '/org/forkbus1', 'org.forkbus1.Manager', 'GetProcess', 'u', 4711);
    is(Forkbus::parse($text)->{data}[0]{comm}{data}, $comm, 'busctl call');
    ($status, $text, $err) = $bus->busctl('call', NAME, '/org/forkbus1', 'org.forkbus1.Manager', 'Subscribe', 'a{sv}', 1,
        'types', 's', 'frok');
    like($err, qr/types has "frok"/, 'which gets the reason');
    $client->leave;
}

# --- gdbus -----------------------------------------------------------------------------------------------------------

sub test_gdbus {
    my ($feed, $bus) = @_;
    my @manager = ('--dest', NAME, '--object-path', '/org/forkbus1');
    my ($status, $text, $err) = $bus->gdbus('introspect', @manager, '--recurse');
    is($status, 0, 'gdbus introspect') or diag($err);
    like($text, qr/Subscribe\(in  a\{sv\} filter,\s+out o subscription\)/, 'with the names of arguments');
    like($text, qr/readonly u Subscribers = 0;/, 'and values');
    my @call = (@manager, '--method', 'org.forkbus1.Manager.ListProcesses');
    ($status, $text) = $bus->gdbus('call', @call, "{'comm': <['$bytes']>, 'pids': <[uint32 4711]>}");
    like($text, qr/^\(\[\(uint32 4711, uint64 5, \{.*'comm': <'$bytes'>/, 'gdbus call');
    ($status, $text, $err) = $bus->gdbus('call', @call, "{'pids': <1.5>}");
    like($err, qr/GDBus\.Error:org\.forkbus1\.Error\.InvalidFilter: pids has a value/, 'gets the name of an error');
    my $monitor = $bus->watch('gdbus', 'monitor', '--system', @manager);
    $monitor->says(qr/owned by/) or die 'no monitor';
    my $client = $bus->client;
    my $path   = $client->subscribe({});

    # Changes are signalled at most once a second: one that is reverted within the second would not be seen.
    $client->subscribe({ types => ['lost'] });
    ok($monitor->says(qr/PropertiesChanged.*'Subscribers': <uint32 2>/), 'gdbus monitor is notified of changed properties');
    $client->catch_up($path, $feed->write(fork_of(4712))->settle);
    $client->leave;
    ok($monitor->says(qr/PropertiesChanged.*'Subscribers': <uint32 0>/), 'again and again');
    unlike($monitor->text, qr/ProcessForked|Ready/, 'and sees no signals of others');
    $monitor->stop;
}

# --- python ----------------------------------------------------------------------------------------------------------

# As in docs/protocol.md.
my $program = <<'END';
import sys, dbus, dbus.mainloop.glib
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus() if sys.argv[1] == "system" else dbus.SessionBus()

def exited(seq, pid, start_usec, details):
    print("exited", int(pid), details.get("comm"), {str(k): int(v) for k, v in details.get("status", {}).items()}, flush=True)

forkbus = dbus.Interface(bus.get_object("org.forkbus1", "/org/forkbus1"), "org.forkbus1.Manager")
path = forkbus.Subscribe({"types": ["exit"], "status": "failure"})
bus.get_object("org.forkbus1", path).connect_to_signal("ProcessExited", exited)
bus.get_object("org.forkbus1", path).connect_to_signal("Ready", lambda cursor: print("ready", flush=True))
try:
    forkbus.Subscribe({"types": dbus.Array(["frok"], signature="s")})
except dbus.DBusException as error:
    print(error.get_dbus_name(), flush=True)
print("subscribed", path, flush=True)
GLib.MainLoop().run()
END

sub test_python {
    my ($feed, $bus) = @_;
    my $file = Forkbus->write_file(Forkbus->directory . '/client.py', $program);
    my $client = $bus->watch($python, $file, 'system');
    ok($client->says(qr/subscribed/), 'python3-dbus subscribes');
    like($client->text, qr/^org\.forkbus1\.Error\.InvalidFilter$/m, 'and gets errors by name');
    my %exit = (%{ fork_of(4713) }, type => 'exit');
    $feed->write({ %exit, status => { code => 0 } }, { %exit, pid => 4714, status => { code => 3 } })->settle;
    ok($client->says(qr/exited 4714 $bytes \{'code': 3\}/), 'it is notified of a failure');
    unlike($client->text, qr/exited 4713/, 'and of no success');
    $client->stop;
}

# --- live events, on the user's bus ----------------------------------------------------------------------------------

sub test_live {
    my ($kind) = @_;
    my $source = Forkbus->probe(Forkbus::live_source());
    if (!$source->{works}) {
        diag("processes that live are not tested: $source->{found}");
        return;
    }
    my $bus = Forkbus::Bus->start($kind, type => 'session');
    my $broker = Forkbus->broker(source => 'connector', bus => 'user', env => $bus->env);
    ok($bus->has_owner, "$kind: --bus=user");
    ok($broker->says(qr/on the session bus/), 'as the broker has it');
    my $client = $bus->client;
    my $path   = $client->subscribe({ types => ['fork', 'exec', 'exit'] });
    $client->wait_signal(sub { $_->{signal} eq 'Ready' });
    my $python_client;
    if ($no_python == 0) {
        $python_client = $bus->watch($python, Forkbus->write_file(Forkbus->directory . '/client.py', $program), 'session');
        $python_client->says(qr/subscribed/);
    }
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        exec 'sh', '-c', 'exit 7' or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    $client->wait_signal(sub { $_->{signal} eq 'ProcessExited' && $_->{args}[1] == $pid }, 'its end');
    my @reported = grep { $_->{signal} =~ /^Process/ && $_->{args}[1] == $pid } $client->signals($path);
    is(join(' ', map { $_->{signal} } @reported), 'ProcessForked ProcessExecuted ProcessExited',
        'the life of a process, from the kernel');
    my $exit = Forkbus::BusClient::event_of($reported[-1]);
    is_deeply($exit->{status}, { code => 7 }, 'how it ended');
    ok(exists $exit->{usage}{elapsedUsec}, 'and its resource usage');
    ok($python_client->says(qr/exited $pid sh \{'code': 7\}/), 'as python3-dbus is') if $python_client;
    my $list = $client->call('ListProcesses', 'a{sv}', { pids => [$$] })->{reply}[0];
    is($list->[0][2]{comm}{data}, Forkbus->read_file("/proc/$$/comm") =~ s/\n//r, 'this one is in the list');
    my $snapshot = $client->subscribe({ snapshot => true });
    $client->wait_signal(sub { $_->{signal} eq 'Ready' && $_->{path} eq $snapshot });
    my %listed = map { $_->{args}[0] => 1 } grep { $_->{signal} eq 'ProcessListed' } $client->signals($snapshot);
    ok($listed{$$} && $listed{ $broker->pid } && $listed{ $bus->pid }, 'and in the snapshot');
    $broker->stop("$kind, live");
    $bus->stop;
}

for my $kind (Forkbus::Bus->kinds) {
    note($kind);
    my $bus  = Forkbus::Bus->start($kind);
    my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
    ok($bus->has_owner, "$kind: the broker is there");
    test_busctl($feed, $bus);
    -x '/usr/bin/gdbus' ? test_gdbus($feed, $bus) : diag('gdbus is not tested: it is not there');
    $no_python == 0 ? test_python($feed, $bus) : diag('python3-dbus is not tested: it, or python3-gi, is not there');
    $feed->broker->stop($kind);
    $bus->stop;
    test_live($kind);
}
done_testing;
