# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The servers: the broker's faces, other brokers, and a bare loop. Each is a server whose processor time is counted, tasks to
# publish so much, and subscribers; all carry the same lines.
package Bench::Peers;

use strict;
use warnings;
use Bench::Program;
use Forkbus;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes ();

use constant { WARM_UP => 40000, LOG_FULL => 350000 };    # events
use constant HISTORY => 32 * 1024 * 1024;                 # bytes: more than the broker's cache of lines holds

# In the order of the table. A missing peer dies, and reports why.
my %starts = (
    'stream'      => sub { forkbus($_[0], 'stream',  'stream') },
    'varlink'     => sub { forkbus($_[0], 'varlink', 'org.forkbus1') },
    'dbus-face'   => \&dbus_face,
    'loop'        => \&bare_loop,
    'nats-server' => \&nats,
    'mosquitto'   => sub { mosquitto($_[0], 'unix') },
    'mosquitto-tcp' => sub { mosquitto($_[0], 'tcp') },
    'dbus-daemon' => sub { dbus($_[0], 'dbus-daemon') },
    'dbus-broker' => sub { dbus($_[0], 'dbus-broker') },
);

# start($name, lines => FILE): one of these
sub start {
    my ($class, $name, %options) = @_;
    my $self = bless { name => $name, %options, dir => Forkbus->directory }, $class;
    $starts{$name}->($self);
    return $self;
}

sub program {
    my ($name) = @_;
    my @found = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
    return $found[0] // die "$name is not installed\n";
}

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "no port: $!\n";
    return $socket->sockport;
}

sub wait_for_port {
    my ($self, $server, $port) = @_;
    Forkbus->wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }, 10)
      or $server->fail('does not listen');
}

# forkbusd, with the source of source.c in the place of replay.
sub forkbus {
    my ($self, $wire, $socket, %options) = @_;
    my $run    = "$self->{dir}/run";
    my $config = Forkbus->write_file("$self->{dir}/conf", "[Broker]\nHeartbeatSec=1h\nLogLevel=warning\n[Access]\nGroup=\n");
    my @command = (Bench::Program->path('source'), '--foreground', "--runtime-dir=$run", "--config=$config", '--source=replay:-',
        '--log-size=' . ($self->{log_size} // '64M'), '--bus=' . ($options{bus} // 'none'));
    $self->{tasks}   = Bench::Program->start(\@command, env => $options{env});
    $self->{servers} = [$self->{tasks}->pid];
    $self->{wire}    = $wire;
    $self->{address} = $options{address} // "$run/$socket";
    Forkbus->wait_until(sub { -S "$run/stream" }, 10) or $self->{tasks}->fail('does not listen');
    $self->warm_up if !$options{bus};
    return $self;
}

# All memory that it will use is touched once: the log by what nobody wants, the cache of lines by who reads that afterwards. One
# who follows does not touch much of the cache, unless it is slow.
sub warm_up {
    my ($self) = @_;
    $self->publish(LOG_FULL);
    $self->read_history;
    $self->subscribe(1);
    $self->publish(WARM_UP);
    $self->unsubscribe;
}

sub read_history {
    my ($self) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $self->stream) or die "cannot connect: $!\n";
    syswrite $socket, qq({"since":"-10000d"}\n);
    for (my $read = 0; $read < HISTORY;) {
        $read += sysread($socket, my $lines, 1 << 20) || die "the history ends after $read bytes\n";
    }
}

sub stream { return "$_[0]{dir}/run/stream" }

# Signals go through a bus, which also takes processor time: both count.
sub dbus_face {
    my ($self) = @_;
    my $bus = start_bus('dbus-daemon');
    forkbus($self, 'forkbus-dbus', 'stream', bus => 'user', env => $bus->env, address => $bus->{path});
    $bus->has_owner or die "the broker does not come onto the bus\n";
    $self->{bus} = $bus;
    push @{ $self->{servers} }, $bus->pid;
}

sub bare_loop {
    my ($self) = @_;
    $self->{wire}    = 'lines';
    $self->{address} = "$self->{dir}/socket";
    $self->{tasks}   = Bench::Program->start([Bench::Program->path('loop'), $self->{address}, $self->{lines}], ready => 1);
    $self->{servers} = [$self->{tasks}->pid];
}

# A server through which a publisher publishes.
sub others {
    my ($self, $wire, $address, @pids) = @_;
    @$self{qw(wire address servers)} = ($wire, $address, \@pids);
    $self->{tasks} = Bench::Program->start([Bench::Program->path('publisher'), $wire, $address, $self->{lines}], ready => 1);
}

sub nats {
    my ($self) = @_;
    my $port   = free_port();
    my $config = Forkbus->write_file("$self->{dir}/conf",
        "listen: \"127.0.0.1:$port\"\nping_interval: \"60m\"\nmax_pending: 512MB\nwrite_deadline: \"60s\"\n");
    $self->{server} = Bench::Program->start([program('nats-server'), '-c', $config]);
    $self->wait_for_port($self->{server}, $port);
    $self->others('nats', $port, $self->{server}->pid);
}

sub mosquitto {
    my ($self, $kind) = @_;
    my $port    = $kind eq 'tcp' ? free_port() : 0;
    my $address = $port || "$self->{dir}/socket";
    my $config  = Forkbus->write_file("$self->{dir}/conf", 'listener ' . ($port ? "$port 127.0.0.1" : "0 $address") . "\n"
          . "allow_anonymous true\nuser root\nmax_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\nlog_dest none\n");
    $self->{server} = Bench::Program->start([program('mosquitto'), '-c', $config]);
    if ($port) {
        $self->wait_for_port($self->{server}, $port);
    } else {
        Forkbus->wait_until(sub { -S $address }, 10) or $self->{server}->fail('does not listen');
    }
    $self->others('mqtt', $address, $self->{server}->pid);
}

my $limits = join '', map { "  <limit name=\"$_\">1000000000</limit>\n" }
  qw(max_incoming_bytes max_outgoing_bytes max_message_size), ();
$limits .= join '', map { "  <limit name=\"$_\">50000</limit>\n" } qw(max_completed_connections max_incomplete_connections
  max_connections_per_user max_match_rules_per_connection);

sub start_bus {
    my ($kind) = @_;
    program($kind);
    require Forkbus::Bus;
    return Forkbus::Bus->start($kind, type => 'session', policies => $limits);
}

sub dbus {
    my ($self, $kind) = @_;
    $self->{bus} = start_bus($kind);
    $self->others('dbus', $self->{bus}{path}, $self->{bus}->pid);
}

# subscribe($n, stuck => , request => ): those who are there until the next call
sub subscribe {
    my ($self, $n, %options) = @_;
    $self->unsubscribe;
    my @command = (Bench::Program->path('subscribers'), $self->{wire}, $self->{address}, $n, $options{stuck} // 0);
    push @command, $options{request} if defined $options{request};
    $self->{n}           = $n;
    $self->{subscribers} = Bench::Program->start(\@command, ready => 1);
}

sub unsubscribe {
    my ($self) = @_;
    my $subscribers = delete $self->{subscribers} or return;
    $subscribers->end;
    Time::HiRes::sleep(0.05);
}

sub cpu {
    my ($self) = @_;
    return map { Bench::Program::cpu_of($_) } @{ $self->{servers} };
}

# publish($count, rate => , tick => usec, users => , wanted => deliveries, if not all to all)
# Return: the results: deliveries, and the time in seconds, of the servers' processors and by the clock.
sub publish {
    my ($self, $count, %options) = @_;
    my $wanted = $options{wanted} // $count * ($self->{n} // 0);
    my @before = $self->cpu;
    my $made   = $self->{tasks}->ask(join ' ', $count, $options{rate} // 0, $options{tick} // 1000, $options{users} // 1);
    my $got    = $self->{subscribers} ? $self->{subscribers}->ask($wanted) : { messages => 0, lastUsec => $made->{endUsec} };
    my @after  = $self->cpu;
    my @cpu    = map { $after[$_] - $before[$_] } 0 .. $#after;
    my $wall   = ($got->{lastUsec} - $made->{beganUsec}) / 1e6;
    return {
        published  => $count,
        deliveries => $got->{messages},
        wanted     => $wanted,
        bytes      => $got->{bytes},
        cpu        => $cpu[0] + ($cpu[1] // 0),
        cpuOwn     => $cpu[0],
        wall       => $wall,
        publishing => ($made->{endUsec} - $made->{beganUsec}) / 1e6,
    };
}

sub stop {
    my ($self) = @_;
    $self->unsubscribe;
    $_->end for grep { $_ } @$self{qw(tasks server)};
    $self->{bus}->stop if $self->{bus};
}

1;
