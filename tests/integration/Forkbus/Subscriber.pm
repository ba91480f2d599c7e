# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A client of the stream face: one request, then lines.
package Forkbus::Subscriber;

use strict;
use warnings;
use Carp 'confess';
use Errno qw(EAGAIN EINTR EPIPE ECONNRESET);
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Time::HiRes ();

# new($path, $request, uid => , groups => [])
# As another user a child connects: the user who connects is the owner of the connection.
sub new {
    my ($class, $path, $request, %options) = @_;
    socket my $socket, AF_UNIX, SOCK_STREAM, 0 or confess "socket: $!";
    my $self = bless { socket => $socket, buffer => '', at => 0, events => [], broker => $options{broker} }, $class;
    $self->{terminator} = $options{terminator} // "\n";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $options{receive_buffer} if $options{receive_buffer};
    if (defined $options{uid}) {
        my $connect = sub { connect($socket, pack_sockaddr_un($path)) ? 0 : $! + 0 };
        my $status  = Forkbus->as_user($options{uid}, $options{groups} // [], $connect);
        confess "connect as $options{uid}: status $status" if $status != 0;
    } else {
        connect $socket, pack_sockaddr_un($path) or confess "$path: $!";
    }
    $socket->blocking(0);
    $self->send(ref $request ? Forkbus::json($request) . "\n" : $request) if defined $request;
    return $self;
}

# Send bytes. Return: how many were sent before the other side closed.
sub send {
    my ($self, $data) = @_;
    my $sent     = 0;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    local $SIG{PIPE} = 'IGNORE';
    while ($sent < length $data) {
        my $count = syswrite $self->{socket}, $data, 65536, $sent;
        if (defined $count) {
            $sent += $count;
        } elsif ($! == EPIPE || $! == ECONNRESET) {
            last;
        } elsif ($! == EAGAIN || $! == EINTR) {
            confess 'the broker takes no more input' if Time::HiRes::time() > $deadline;
            my $bits = '';
            vec($bits, fileno $self->{socket}, 1) = 1;
            select undef, $bits, undef, 1;
        } else {
            confess "send: $!";
        }
    }
    return $sent;
}

# Like nc -N at the end of its input.
sub end_input {
    my ($self) = @_;
    shutdown $self->{socket}, 1;
    return $self;
}

sub close {
    my ($self) = @_;
    CORE::close $self->{socket};
}

# Read available bytes, and wait for them until the deadline. Return: false at the end.
sub fill {
    my ($self, $deadline) = @_;
    for (;;) {
        my $count = sysread $self->{socket}, $self->{buffer}, 1 << 20, length $self->{buffer};
        return $count if defined $count;
        return 0 if $! == ECONNRESET;
        confess "read: $!" if $! != EAGAIN && $! != EINTR;
        my $left = $deadline - Time::HiRes::time();
        confess 'nothing came in time; the last was: ' . ($self->{line} // 'nothing at all') if $left <= 0;
        my $bits = '';
        vec($bits, fileno $self->{socket}, 1) = 1;
        select $bits, undef, undef, $left;
    }
}

# The next line, without its newline (or other separator), or undef at the end. An incomplete line is then in {rest}.
sub next_line {
    my ($self, $deadline) = @_;
    $deadline //= Time::HiRes::time() + Forkbus::patience();
    for (;;) {
        my $end = index $self->{buffer}, $self->{terminator}, $self->{at};
        if ($end >= 0) {
            $self->{line} = substr $self->{buffer}, $self->{at}, $end - $self->{at};
            $self->{at} = $end + 1;
            return $self->{line};
        }
        substr $self->{buffer}, 0, $self->{at}, '';
        $self->{at} = 0;
        next if $self->fill($deadline);
        $self->{rest} = $self->{buffer};
        return undef;
    }
}

# The next event, or undef at the end.
sub next {
    my ($self, $deadline) = @_;
    my $line = $self->next_line($deadline);
    return undef if !defined $line;
    my $event = eval { Forkbus::parse($line) } or confess "no JSON: $line";
    push @{ $self->{events} }, $event;
    return $event;
}

# All events that were read so far, without those of the subscription (ready, heartbeat).
sub events {
    my ($self) = @_;
    return grep { $_->{type} !~ /^(?:ready|heartbeat)$/ } @{ $self->{events} };
}

# Forget the events that were read so far.
sub forget {
    my ($self) = @_;
    $self->{events} = [];
    return $self;
}

# The connection ended too early: report why.
sub ended {
    my ($self, $where) = @_;
    my $broker = $self->{broker};
    my $state  = !$broker ? '' : $broker->ended ? "; its broker ended with wait status $broker->{status}" : '; its broker lives';
    my $said   = $broker ? ' and has said: ' . $broker->stderr : '';
    confess "the stream ended $where, after " . ($self->{line} // 'nothing') . "$state$said";
}

# Read until an event, as $_, matches. Return: the event. There is one deadline in total.
sub wait_for {
    my ($self, $is_it, $what) = @_;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    for (;;) {
        local $_ = $self->next($deadline);
        $self->ended('before ' . ($what // 'what was waited for')) if !defined $_;
        return $_ if $is_it->($_);
        $self->ended('in all that came before ' . ($what // 'what was waited for')) if Time::HiRes::time() > $deadline;
    }
}

sub wait_ready {
    my ($self) = @_;
    return $self->wait_for(sub { $_->{type} eq 'ready' }, 'ready');
}

# The position of a line in the log, or the subscriber's position that it reports; undef if it has neither.
sub place_of {
    my ($line) = @_;
    return $1 if $line =~ /^\{"seq":(\d+),/;
    return $1 if $line =~ /^\{"type":"(?:ready|heartbeat)".*"cursor":"[0-9a-f]{16}:(\d+)"/;
    return undef;
}

# Read until everything is reported up to a place in the log; by default that of the broker's last event now. If the filter
# excludes that event, a heartbeat shows it.
sub catch_up {
    my ($self, $broker, $seq) = @_;
    $seq //= $broker->last_seq;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    until (($self->{place} // -1) >= $seq) {
        my $event = $self->next($deadline) // $self->ended("before $seq");
        $self->{place} = place_of($self->{line}) // $self->{place};
    }
    return $self->events;
}

# The same without parsing the lines. Return: a reference to them, without heartbeats and ready.
sub catch_up_lines {
    my ($self, $broker, $seq) = @_;
    $seq //= $broker->last_seq;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    my @lines;
    until (($self->{place} // -1) >= $seq) {
        my $line = $self->next_line($deadline) // $self->ended("before $seq");
        $self->{place} = place_of($line) // $self->{place};
        push @lines, $line if $line !~ /^\{"type":"(?:ready|heartbeat)"/;
    }
    return \@lines;
}

# Wait until all events of processes up to now are reported: a child ends, and its exit comes after all earlier events. If it is
# lost, there is no event within a second, and another child follows. Return: the event of its end.
sub settle {
    my ($self) = @_;
    for (1 .. 30) {
        my $begin = Forkbus::now_usec();
        my $pid   = fork // confess "fork: $!";
        POSIX::_exit(0) if !$pid;
        waitpid $pid, 0;
        my $end = Forkbus::now_usec();
        my %who = (pid => $pid, beginUsec => $begin, endUsec => $end);
        my $is_it = sub { Forkbus::is_exit_of($_, \%who) || $_->{timeUsec} > $end + 1_000_000 };
        my $event = $self->wait_for($is_it, 'the end of a child');
        return $event if $event->{type} eq 'exit' && $event->{timeUsec} <= $end + 1_000_000;
    }
    confess 'the end of no child is reported';
}

# Read until the other side closes. Return: the lines.
sub rest {
    my ($self) = @_;
    my @lines;
    while (defined(my $line = $self->next_line)) {
        push @lines, $line;
    }
    return @lines;
}

1;
