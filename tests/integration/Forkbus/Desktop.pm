# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A desktop for a test: a session bus, a server of notifications that prints its requests (notifications.c), and
# forkbus-notify. All end with the test.
#
#   my $desktop = Forkbus::Desktop->new;
#   $desktop->serve('body');
#   my $notify = $desktop->notify($broker, config => "[Commands]\nMinElapsedSec=1s\n");
#   my $shown = $desktop->shows(qr/make is done/);
package Forkbus::Desktop;

use strict;
use warnings;
use Carp 'confess';
use Forkbus::Children;
use IO::Handle;
use POSIX ();

# A child. Return: its pid.
sub spawn {
    my ($prepare, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $prepare->();
        { no warnings 'exec'; exec 'setpriv', '--pdeathsig', 'KILL', '--', @command; }
        POSIX::_exit(127);
    }
    $running{$pid} = 1;
    return $pid;
}

# Wait for the end of a child. Return: its wait status, undef if it did not end.
sub ended {
    my ($pid) = @_;
    Forkbus->wait_until(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }) or return;
    my $status = $?;
    delete $running{$pid};
    return $status;
}

sub output_to {
    my ($stdout, $stderr) = @_;
    return sub {
        open STDIN,  '<',  '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>>', $stdout     or POSIX::_exit(126);
        open STDERR, '>>', $stderr     or POSIX::_exit(126);
    };
}

# The end of a process, as it is reported: by default of a command of ours at a shell's prompt, which took a minute. What is undef
# is not reported.
my $last_pid = 5000;

sub ending {
    my (%more) = @_;
    my $pid   = $last_pid++;
    my $comm  = $more{comm} // 'make';
    my %event = (
        type => 'exit', pid => $pid, startUsec => $pid * 1000, ppid => 4000, session => 4000, uid => $<, euid => $<,
        tty => 'pts/1', comm => $comm, exe => "/usr/bin/$comm", cgroup => '/user.slice/term.scope', status => { code => 0 },
        usage => { elapsedUsec => 60_000_000, userUsec => 2_000_000, systemUsec => 1_000_000, maxRssKib => 20_000 },
        %more
    );
    return { map { $_ => $event{$_} } grep { defined $event{$_} } keys %event };
}

# It starts no service of this machine, only those that a test puts into its directory "services".
sub new {
    my ($class) = @_;
    my $dir = Forkbus->directory;
    my $self = bless { dir => $dir, lines => 0, runs => 0 }, $class;
    mkdir "$dir/services" or die "$dir: $!\n";
    Forkbus->write_file("$dir/bus.conf", <<"END");
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$dir/bus</listen>
  <servicedir>$dir/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
END
    $self->{address} = "unix:path=$dir/bus";
    $self->start_bus;
    return $self;
}

sub start_bus {
    my ($self) = @_;
    my $dir = $self->{dir};
    $self->{bus} = spawn(output_to("$dir/bus.out", "$dir/bus.err"), 'dbus-daemon', "--config-file=$dir/bus.conf", '--nofork');
    Forkbus->wait_until(sub { -S "$dir/bus" }) or confess 'no session bus: ' . Forkbus->read_file("$dir/bus.err");
}

sub stop_bus {
    my ($self) = @_;
    kill 'TERM', $self->{bus};
    ended($self->{bus});
}

# Start a server with these capabilities. Its output is appended to that of earlier servers.
sub serve {
    my ($self, @capabilities) = @_;
    my $dir = $self->{dir};
    pipe my $input, my $to or die "pipe: $!\n";
    my $prepare = output_to("$dir/shown", "$dir/server.err");
    my $from    = $self->reported;
    $self->{server} = spawn(
        sub {
            $prepare->();
            open STDIN, '<&', $input or POSIX::_exit(126);
            CORE::close $to;
            $ENV{DBUS_SESSION_BUS_ADDRESS} = $self->{address};
        },
        Forkbus->helper('notifications'),
        @capabilities
    );
    CORE::close $input;
    $to->autoflush(1);
    $self->{to} = $to;
    $self->hears(sub { ($_->{did} // '') eq 'start' }, $from);
    return $self;
}

# A server that the bus starts when it is called.
sub offer {
    my ($self, @capabilities) = @_;
    my $dir    = $self->{dir};
    my $helper = Forkbus->helper('notifications');
    POSIX::mkfifo("$dir/orders", 0600) or die "$dir: $!\n";
    # Both ends, so that it lives as long as the test.
    open my $orders, '+<', "$dir/orders" or die "$dir: $!\n";
    $orders->autoflush(1);
    $self->{to} = $orders;
    Forkbus->write_file("$dir/start", "#!/bin/sh\nexec '$helper' @capabilities <'$dir/orders' >>'$dir/shown'\n");
    chmod 0755, "$dir/start";
    Forkbus->write_file("$dir/services/notifications.service",
        "[D-BUS Service]\nName=org.freedesktop.Notifications\nExec=$dir/start\n");
    kill 'HUP', $self->{bus};    # it may not see the file by itself
}

sub stop_server {
    my ($self, $signal) = @_;
    $signal ? kill($signal, $self->{server}) : CORE::close $self->{to};
    return ended($self->{server});
}

# Send a command to the server, see notifications.c, and wait until it is done.
sub order {
    my ($self, $line) = @_;
    my $from = $self->reported;
    print { $self->{to} } "$line\n";
    $self->hears(sub { ($_->{did} // '') eq "$line\n" }, $from);
}

# The output of all servers, from a line number on.
sub said {
    my ($self, $from) = @_;
    my @said = map { Forkbus::parse($_) } Forkbus->read_file("$self->{dir}/shown") =~ /^(.*)\n/mg;
    return @said[($from // 0) .. $#said];
}

sub reported { my @said = said(@_); return scalar @said }

# Wait until their output matches. Return: the line, undef if it does not.
sub hears {
    my ($self, $what, $from) = @_;
    my $found;
    Forkbus->wait_until(sub { ($found) = grep { $what->() } $self->said($from); $found });
    return $found;
}

sub notices { return grep { ($_->{call} // '') eq 'Notify' } said(@_) }

# Wait for a notification whose summary, or summary and body, match. Return: the notification.
sub shows {
    my ($self, $pattern, $from) = @_;
    return $self->hears(sub { ($_->{call} // '') eq 'Notify' && "$_->{summary}\n$_->{body}" =~ $pattern }, $from);
}

# The notifications on the screen now, by id. The end of a server removes its notifications.
sub screen {
    my ($self) = @_;
    my %screen;
    for ($self->said) {
        %screen = () if ($_->{did} // '') eq 'start';
        delete $screen{$1} if ($_->{did} // '') =~ /^close (\d+)/;
        $screen{ $_->{id} } = $_ if ($_->{call} // '') eq 'Notify';
    }
    return \%screen;
}

# notify($broker, config => , args => [], env => {}): the program on a broker, or on a directory; it listens
sub notify {
    my ($self, $broker, %options) = @_;
    my $number = ++$self->{runs};
    my $notify = bless {
        desktop => $self,
        config  => "$self->{dir}/notify-$number.conf",
        stdout  => "$self->{dir}/notify-$number.out",
        stderr  => "$self->{dir}/notify-$number.err",
    }, 'Forkbus::Desktop::Notify';
    my $prepare = output_to(@$notify{qw(stdout stderr)});
    Forkbus->write_file($notify->{config}, $options{config} // '');
    my $dir = ref $broker ? $broker->dir : $broker;
    $notify->{pid} = spawn(
        sub {
            $prepare->();
            delete @ENV{qw(NOTIFY_SOCKET JOURNAL_STREAM)};
            %ENV = (%ENV, DBUS_SESSION_BUS_ADDRESS => $self->{address}, TZ => 'UTC', %{ $options{env} // {} });
            Forkbus::become($options{uid}) if defined $options{uid};
        },
        $options{program} // Forkbus->program('forkbus-notify'),
        "--runtime-dir=$dir", "--config=$notify->{config}", @{ $options{args} // [] }
    );
    confess 'it does not listen: ' . $notify->stderr if !$options{early} && !$notify->says(qr/listening to the broker/);
    return $notify;
}

package Forkbus::Desktop::Notify;

use strict;
use warnings;
use Test::More ();

sub stderr { return Forkbus->read_file($_[0]{stderr}) }
sub pid    { return $_[0]{pid} }

# All complete lines of standard output.
sub printed { return map { Forkbus::parse($_) } Forkbus->read_file($_[0]{stdout}) =~ /^(.*)\n/mg }

# Wait until its output matches. Return: whether it did.
sub says {
    my ($self, $pattern) = @_;
    return Forkbus->wait_until(sub { $self->stderr =~ $pattern });
}

sub count {
    my ($self, $pattern) = @_;
    return scalar(() = $self->stderr =~ /$pattern/g);
}

# Another configuration, read at once.
sub reload {
    my ($self, $config, $pattern) = @_;
    $pattern //= qr/configuration reloaded/;
    my $before = $self->count($pattern);
    Forkbus->write_file($self->{config}, $config);
    kill 'HUP', $self->{pid};
    return Forkbus->wait_until(sub { $self->count($pattern) > $before });
}

# The end of a test: it ends cleanly on a signal. Two tests.
sub stop {
    my ($self, $name, $signal, $expected) = @_;
    kill $signal // 'TERM', $self->{pid};
    return $self->is_ended($name, $expected);
}

sub is_ended {
    my ($self, $name, $expected) = @_;
    my $status = Forkbus::Desktop::ended($self->{pid});
    my $said   = $self->stderr;
    my $fine   = Test::More::is($status, ($expected // 0) << 8, "$name: forkbus-notify ends");
    $fine = Test::More::unlike($said, $Forkbus::Broker::report, "$name: nothing is wrong with its memory") && $fine;
    Test::More::diag($said) if !$fine;
}

1;
