# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A client of a message bus (see bus-client.c), for tests of the D-Bus face.
#
#   my $client = $bus->client(uid => 65534);
#   my $answer = $client->call('GetProcess', 'u', 4711);        # { reply => […] } or { error => , message => }
#   my $path = $client->subscribe({ types => ['exit'] });
#   my $signal = $client->wait_signal(sub { $_->{signal} eq 'Ready' });
package Forkbus::BusClient;

use strict;
use warnings;
use Carp 'confess';
use Exporter 'import';
use Forkbus::Children;
use IO::Handle;
use POSIX ();
use Time::HiRes ();

our @EXPORT_OK = qw(plain typed);

# Values without the types of variants.
sub plain {
    my ($value) = @_;
    return [map { plain($_) } @$value] if ref $value eq 'ARRAY';
    return $value if ref $value ne 'HASH';
    return plain($value->{data}) if exists $value->{type} && exists $value->{data} && keys %$value == 2;
    return { map { $_ => plain($value->{$_}) } keys %$value };
}

# A value of a type, in a variant.
sub typed { return { type => $_[0], data => $_[1] } }

# new(address, uid => , groups => […], runs => 1)
sub new {
    my ($class, $address, %options) = @_;
    my $self = bless { buffer => '', signals => [], calls => [], answers => [], runs => [] }, $class;
    my $program = Forkbus->helper('bus-client');
    $program = Forkbus->installed($program, Forkbus->directory) if defined $options{uid};
    my @command = ('setpriv', '--pdeathsig', 'KILL', $program, $address);
    push @command, map { "group=$_" } @{ $options{groups} // [] };
    push @command, "uid=$options{uid}" if defined $options{uid};
    push @command, 'runs' if $options{runs};
    pipe my $in, $self->{to} or confess "pipe: $!";
    pipe $self->{from}, my $out or confess "pipe: $!";
    my $pid = fork // confess "fork: $!";
    if (!$pid) {
        open STDIN,  '<&', $in  or POSIX::_exit(126);
        open STDOUT, '>&', $out or POSIX::_exit(126);
        $ENV{ASAN_OPTIONS} = 'detect_leaks=0';
        exec @command or POSIX::_exit(127);
    }
    close $_ for $in, $out;
    $running{$pid} = $self->{pid} = $pid;
    $self->{to}->autoflush(1);
    $self->{from}->blocking(0);
    my $first = $self->read_line(Time::HiRes::time() + Forkbus::patience());
    $self->{name} = ($first // {})->{name} // confess 'not on the bus: ' . Forkbus::json($first);
    return $self;
}

sub pid  { return $_[0]{pid} }
sub name { return $_[0]{name} }

sub signal_process {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} or confess "kill: $!";
}

# It leaves the bus, at once.
sub leave {
    my ($self) = @_;
    my $pid = delete $running{ $self->{pid} } // return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# Its input ends, and it closes the connection.
sub end {
    my ($self) = @_;
    close $self->{to};
    waitpid delete $running{ $self->{pid} } ? $self->{pid} : return, 0;
}

sub DESTROY { local ($?, $!); $_[0]->leave }

# Read the next line, and sort it. Return: the line, undef at the end; dies if nothing arrives.
sub read_line {
    my ($self, $deadline) = @_;
    until ($self->{buffer} =~ /\n/) {
        my $count = sysread $self->{from}, $self->{buffer}, 1 << 20, length $self->{buffer};
        return undef if defined $count && $count == 0;
        next if defined $count;
        confess "read: $!" if !$!{EAGAIN} && !$!{EINTR};
        my $left = $deadline - Time::HiRes::time();
        confess 'nothing came in time; the last was: ' . ($self->{last} // 'nothing at all') if $left <= 0;
        my $bits = '';
        vec($bits, fileno $self->{from}, 1) = 1;
        select $bits, undef, undef, $left;
    }
    my $end = index $self->{buffer}, "\n";
    $self->{last} = substr $self->{buffer}, 0, $end + 1, '';
    my $line = Forkbus::parse($self->{last});
    push @{ $self->{ exists $line->{signal} ? 'signals' : exists $line->{call} ? 'calls' : 'answers' } }, $line
      if !exists $line->{name} && !exists $line->{from} && !exists $line->{gone};
    push @{ $self->{runs} }, $line if exists $line->{from};
    return $line;
}

sub wait_line {
    my ($self, $is_it, $what) = @_;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    for (;;) {
        local $_ = $self->read_line($deadline) // confess "it ended before $what";
        confess "it is off the bus before $what: $_->{gone}" if exists $_->{gone};
        return $_ if $is_it->($_);
        confess "in all that came there was no $what" if Time::HiRes::time() > $deadline;
    }
}

# --- calls -----------------------------------------------------------------------------------------------------------

# send(destination, path, interface, member, signature, arguments…)
sub send {
    my ($self, $destination, $path, $interface, $member, $signature, @arguments) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $line = join ' ', 'call', $destination, $path, $interface, $member, $signature || '-', Forkbus::json(\@arguments);
    print { $self->{to} } "$line\n" or confess "send: $!";
    return $self;
}

# Answers that were read earlier come first.
sub answer {
    my ($self) = @_;
    $self->wait_line(sub { exists $_->{reply} || exists $_->{error} }, 'answer') if !@{ $self->{answers} };
    return shift @{ $self->{answers} };
}

sub ask {
    my ($self, @call) = @_;
    return $self->send(@call)->answer;
}

# A method of the manager.
sub call {
    my ($self, @call) = @_;
    return $self->ask('org.forkbus1', '/org/forkbus1', 'org.forkbus1.Manager', @call);
}

# Subscribe, which must succeed. Return: the path.
sub subscribe {
    my ($self, $filter) = @_;
    my $answer = $self->call('Subscribe', 'a{sv}', $filter // {});
    confess "refused: $self->{last}" if !$answer->{reply};
    return $answer->{reply}[0];
}

# Property of a subscription, or without a path of the manager. Return: its value, or the error.
sub get {
    my ($self, $property, $path) = @_;
    my $interface = defined $path ? 'Subscription' : 'Manager';
    my @get = ('org.forkbus1', $path // '/org/forkbus1', 'org.freedesktop.DBus.Properties', 'Get', 'ss');
    my $answer = $self->ask(@get, "org.forkbus1.$interface", $property);
    return $answer->{reply} ? plain($answer->{reply}[0]) : $answer;
}

sub match {
    my ($self, $rule) = @_;
    print { $self->{to} } "match $rule\n" or confess "send: $!";
    return $self->answer;
}

# --- signals ---------------------------------------------------------------------------------------------------------

# Signals of the broker that were read so far, of one subscription if a path is given.
sub signals {
    my ($self, $path) = @_;
    return grep { $_->{interface} =~ /^org\.forkbus1\./ && (!defined $path || $_->{path} eq $path) } @{ $self->{signals} };
}

# Forget the signals that were read so far.
sub forget {
    my ($self) = @_;
    $self->{signals} = [];
}

# Among signals that were read, or are still to come.
sub wait_signal {
    my ($self, $is_it, $what) = @_;
    for (@{ $self->{signals} }) {
        return $_ if $is_it->($_);
    }
    return $self->wait_line(sub { exists $_->{signal} && $is_it->($_) }, $what // 'signal');
}

# Wait until a subscription has been notified of the event with a number, or of a later one. Return: its signals.
sub catch_up {
    my ($self, $path, $seq) = @_;
    $self->wait_signal(sub { $_->{path} eq $path && number_of($_) >= $seq }, "event $seq");
    return $self->signals($path);
}

sub number_of {
    my ($signal) = @_;
    return $signal->{signal} =~ /^(?:Process(?!Listed)|SourceChanged)/ ? $signal->{args}[0]
      : $signal->{signal} eq 'Ready' ? (split /:/, $signal->{args}[0])[1]
      :                                -1;
}

# A signal as the event that it reports, with names as in the other faces.
my %types = (ProcessForked => 'fork', ProcessExecuted => 'exec', ProcessExited => 'exit', ProcessListed => 'process');

sub event_of {
    my ($signal) = @_;
    my ($name, @args) = ($signal->{signal}, @{ plain($signal->{args}) });
    my %event = ref $args[-1] ? %{ pop @args } : ();
    return { type => 'ready', cursor => $args[0] } if $name eq 'Ready';
    return { type => 'lost', reason => $args[0], count => $args[1], %event } if $name eq 'Lost';
    @event{qw(type source reason)} = ('source', @args[1, 2]) if $name eq 'SourceChanged';
    $event{type} = $types{$name} // $args[3] if !exists $event{type};
    $event{seq} = shift @args if $name ne 'ProcessListed';
    @event{qw(pid startUsec)} = @args if $name =~ /^Process/;
    return \%event;
}

1;
