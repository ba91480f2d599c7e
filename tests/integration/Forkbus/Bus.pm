# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A message bus for a test, with policies like the system bus: no program may own a name or call a method unless a file allows it,
# and the file of the project is installed.
#
#   for my $kind (Forkbus::Bus->kinds) {              # dbus-daemon, dbus-broker; prints why one cannot be started
#       my $bus = Forkbus::Bus->start($kind);
#       my $feed = Forkbus::Feed->new(bus => 'system', env => $bus->env);
#       $bus->has_owner;                             # the broker is on it
#       my $client = $bus->client(uid => 65534);      # see Forkbus::BusClient
package Forkbus::Bus;

use strict;
use warnings;
use Carp 'confess';
use Fcntl;
use File::Basename 'dirname';
use File::Spec;
use Forkbus::Children;
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Test::More ();

my $top = File::Spec->rel2abs(dirname(__FILE__) . '/../../..');
my @all = qw(dbus-daemon dbus-broker);

# The buses that can be started here; FORKBUS_BUS selects one.
sub kinds {
    my ($class) = @_;
    my @found;
    for my $kind ($ENV{FORKBUS_BUS} // @all) {
        my $bus = eval { $class->start($kind) };
        push @found, $kind if $bus;
        Test::More::diag("$kind is not tested, since it does not start here: $@") if !$bus;
        $bus->stop if $bus;
    }
    Test::More::plan(skip_all => 'no message bus can be started here') if !@found;
    return @found;
}

my $header = <<'END';
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
END

# As in dbus' own system.conf and session.conf.
my %policies = (
    system => <<'END',
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
END
    session => <<'END',
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
END
);

# start(kind, type => 'system', daemon_user => name, policies => text)
# daemon_user: the user who may own org.forkbus1 in addition to root. policies: additional configuration.
sub start {
    my ($class, $kind, %options) = @_;
    my $dir  = Forkbus->directory;
    my $self = bless { kind => $kind, type => 'system', dir => $dir, path => "$dir/bus", %options }, $class;
    -x "/usr/bin/$kind" or die "/usr/bin/$kind is not there\n";
    my $policy = Forkbus->read_file("$top/systemd/org.forkbus1.conf");
    my $user = $self->{daemon_user} // (getpwnam('forkbus') ? 'forkbus' : 'nobody');
    $policy =~ s/user="forkbus"/user="$user"/ or confess 'the policy names no user forkbus';
    Forkbus->write_file("$dir/org.forkbus1.conf", $policy);
    my $include = $self->{type} eq 'system' ? "  <include>$dir/org.forkbus1.conf</include>\n" : '';
    my $text    = "<busconfig>\n  <type>$self->{type}</type>\n  <listen>unix:path=$self->{path}</listen>\n"
      . "  <auth>EXTERNAL</auth>\n$policies{ $self->{type} }$include" . ($self->{policies} // '') . "</busconfig>\n";
    $self->{config} = Forkbus->write_file("$dir/bus.conf", $header . $text);
    return $self->up;
}

sub address { return "unix:path=$_[0]{path}" }

sub env {
    my ($self) = @_;
    my $name = $self->{type} eq 'system' ? 'DBUS_SYSTEM_BUS_ADDRESS' : 'DBUS_SESSION_BUS_ADDRESS';
    return { $name => $self->address };
}

# Start it, again. Return: itself; dies if it does not start.
sub up {
    my ($self) = @_;
    unlink $self->{path};
    my $socket = $self->{kind} eq 'dbus-broker' ? $self->listen : undef;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null'        or POSIX::_exit(126);
        open STDOUT, '>>', "$self->{dir}/out" or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT           or POSIX::_exit(126);
        @ENV{ keys %{ $self->env } } = values %{ $self->env };
        $self->exec_broker($socket) if $socket;
        my @daemon = ("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file=$self->{config}");
        exec "setpriv", "--pdeathsig", "KILL", @daemon or POSIX::_exit(127);
        POSIX::_exit(127);
    }
    $running{$pid} = $self;
    $self->{main} = $pid;
    delete $self->{gone};
    return $self if Forkbus->wait_until(sub { $self->gone || $self->answers }, 60) && !$self->gone;
    my $said = $self->said;
    $self->stop;
    die $said eq '' ? "it says nothing\n" : $said;
}

sub said { return Forkbus->read_file("$_[0]{dir}/out") }

sub answers {
    my ($self) = @_;
    my ($status) = Forkbus::run(['busctl', "--address=${\$self->address}", '--timeout=5', 'status'], seconds => 60);
    return $status == 0;
}

# dbus-broker gets its socket from a service manager, and requires a journal. It gets one in a separate mount namespace, so that
# its messages can be read here.
sub listen {
    my ($self) = @_;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $self->{path}, Listen => 128)
      or die "$self->{path}: $!\n";
    chmod 0666, $self->{path};
    my $journal = "$self->{dir}/journal";
    unlink $journal;
    socket my $reader, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
    bind $reader, pack_sockaddr_un($journal) or die "$journal: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $socket;
        $self->keep_journal($reader);
    }
    $running{$pid} = $self;
    $self->{reader} = $pid;
    return $socket;
}

# Ends when the test ends, even if the test is killed: then its parent changes.
sub keep_journal {
    my ($self, $reader) = @_;
    my $parent = getppid;
    open my $out, '>>', "$self->{dir}/out" or POSIX::_exit(1);
    while (getppid == $parent) {
        my $bits = '';
        vec($bits, fileno $reader, 1) = 1;
        next if !select $bits, undef, undef, 1;
        defined recv $reader, my $entry, 1 << 20, 0 or last;
        syswrite $out, "$1\n" if $entry =~ /^MESSAGE=(.*)/m;
    }
    POSIX::_exit(0);
}

sub exec_broker {
    my ($self, $socket) = @_;
    my $scope = $self->{type} eq 'system' ? 'system' : 'user';
    my @launch = ('setpriv', '--pdeathsig', 'KILL', 'dbus-broker-launch', '--scope', $scope, '--config-file', $self->{config});
    delete $ENV{LISTEN_PID};
    Forkbus::Broker::hand_over([['bus', $socket]]);
    $> == 0 or exec @launch or POSIX::_exit(127);
    my $mount = '[ -S /run/systemd/journal/socket ] || { mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&'
      . ' : >/run/systemd/journal/socket; } && mount --bind "$0" /run/systemd/journal/socket && exec "$@"';
    exec 'unshare', '--mount', 'sh', '-c', $mount, "$self->{dir}/journal", @launch;
}

sub gone {
    my ($self) = @_;
    return 1 if $self->{gone};
    return 0 if waitpid($self->{main}, POSIX::WNOHANG()) != $self->{main};
    delete $running{ $self->{main} };
    return $self->{gone} = 1;
}

# It ends, and all its connections with it.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{main} if !$self->gone;
    Forkbus->wait_until(sub { $self->gone }, 30) or kill 'KILL', $self->{main};
    Forkbus->wait_until(sub { $self->gone }, 30);
    if (my $reader = delete $self->{reader}) {
        kill 'KILL', $reader;
        waitpid $reader, 0;
        delete $running{$reader};
    }
    unlink $self->{path};
    return $self;
}

# The process that queues the messages.
sub pid {
    my ($self) = @_;
    return $self->{main} if $self->{kind} eq 'dbus-daemon';
    my ($child) = split ' ', Forkbus->read_file("/proc/$self->{main}/task/$self->{main}/children");
    return $child;
}

# In KiB.
sub memory {
    my ($self) = @_;
    return Forkbus->read_file("/proc/${\$self->pid}/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : undef;
}

# --- who is on it ----------------------------------------------------------------------------------------------------

# Wait until a name, org.forkbus1, has an owner. Return: whether it has.
sub has_owner {
    my ($self, $name) = @_;
    my @ask = ('busctl', "--address=${\$self->address}", '--json=short', 'call', 'org.freedesktop.DBus', '/org/freedesktop/DBus',
        'org.freedesktop.DBus', 'NameHasOwner', 's', $name // 'org.forkbus1');
    return Forkbus->wait_until(sub { (Forkbus::run(\@ask))[1] =~ /true/ });
}

sub client {
    my ($self, %options) = @_;
    return Forkbus::BusClient->new($self->address, %options);
}

# A program that keeps running, on this bus: see Forkbus::Bus::Program.
sub watch {
    my ($self, @command) = @_;
    return Forkbus::Bus::Program->new($self, @command);
}

# busctl(1), which is of systemd. Return: status, output, errors.
sub busctl {
    my ($self, @arguments) = @_;
    my %options = ref $arguments[-1] ? %{ pop @arguments } : ();
    return Forkbus::run(['busctl', "--address=${\$self->address}", '--json=short', @arguments], %options);
}

# gdbus(1), which is of GLib.
sub gdbus {
    my ($self, $verb, @arguments) = @_;
    my %options = ref $arguments[-1] ? %{ pop @arguments } : ();
    my $which = $self->{type} eq 'system' ? '--system' : '--session';
    return Forkbus::run(['gdbus', $verb, $which, @arguments], env => $self->env, %options);
}

# --- programs that others wrote --------------------------------------------------------------------------------------

package Forkbus::Bus::Program;

use Forkbus::Children;

my $count = 0;

sub new {
    my ($class, $bus, @command) = @_;
    my $self = bless { out => "$bus->{dir}/program-" . ++$count, command => \@command }, $class;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<', '/dev/null'  or POSIX::_exit(126);
        open STDOUT, '>', $self->{out} or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT    or POSIX::_exit(126);
        @ENV{ keys %{ $bus->env } } = values %{ $bus->env };
        exec 'setpriv', '--pdeathsig', 'KILL', @command or POSIX::_exit(127);
    }
    $running{$pid} = $self->{pid} = $pid;
    return $self;
}

sub text { return Forkbus->read_file($_[0]{out}) }

# Wait until its output matches. Return: whether it did.
sub says {
    my ($self, $pattern) = @_;
    return 1 if Forkbus->wait_until(sub { $self->text =~ $pattern });
    Test::More::diag("@{ $self->{command} }: " . $self->text);
    return 0;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} // return;
    delete $running{$pid};
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

1;
