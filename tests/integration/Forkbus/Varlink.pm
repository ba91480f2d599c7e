# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A client of the Varlink face. Every reply is compared with the description of the interface; a test ends with
# "Forkbus::Varlink->as_described", which reports the differences.
#
#   my $link = $broker->varlink(uid => 65534);
#   my $status = $link->ask('GetStatus');                       # the parameters of one reply
#   $link->call('Subscribe', { snapshot => json true }, more => 1);
#   my $reply = $link->reply;                                   # { parameters => , continues => , error => }
package Forkbus::Varlink;

use strict;
use warnings;
use parent -norequire, 'Forkbus::Subscriber';
use Carp 'confess';
use File::Basename 'dirname';
use Forkbus::Idl;
use POSIX ();
use Socket;
use Test::More ();
use Time::HiRes ();

my $proto = dirname(__FILE__) . '/../../../proto';
my (@complaints, %seen, %idl);

sub description {
    my ($class, $interface) = @_;
    return Forkbus->read_file("$proto/$interface.varlink");
}

# The description of an interface, undef if there is none.
sub idl {
    my ($interface) = @_;
    return $idl{$interface} //= do {
        my $text = __PACKAGE__->description($interface);
        $text eq '' ? undef : Forkbus::Idl->new($text);
    };
}

sub new {
    my ($class, $path, %options) = @_;
    return Forkbus::Subscriber::new($class, $path, undef, %options, terminator => "\0");
}

# Methods without an interface are those of org.forkbus1.
sub full_name { return $_[0] =~ /\./ ? $_[0] : "org.forkbus1.$_[0]" }

# The text of a call, including its NUL. Flags are not converted: true is Forkbus::true.
sub text_of {
    my ($class, $method, $parameters, %flags) = @_;
    my %call = (method => full_name($method), %flags);
    $call{parameters} = $parameters if defined $parameters;
    return Forkbus::json(\%call) . "\0";
}

# expect(method, …): the bytes that the test sends are calls of these methods, in this order.
sub expect {
    my ($self, @methods) = @_;
    push @{ $self->{called} }, map { full_name($_) } @methods;
    return $self;
}

sub call {
    my ($self, $method, $parameters, %flags) = @_;
    $_ = $_ ? Forkbus::true() : Forkbus::false() for values %flags;
    $self->expect($method) if !$flags{oneway};
    $self->send($self->text_of($method, $parameters, %flags));
    return $self;
}

# The next reply, or undef at the end.
sub reply {
    my ($self, $deadline) = @_;
    my $message = $self->next_line($deadline);
    return undef if !defined $message;
    my $reply = eval { Forkbus::parse($message) } or confess "no JSON: $message";
    my $method = $self->{called}[0] // confess "nobody asked for $message";
    $self->{replies}++;
    shift @{ $self->{called} } if !$reply->{continues};
    check($method, $reply, $message);
    return $reply;
}

# The parameters of one reply, or an error as { error => , … }.
sub answer {
    my ($self) = @_;
    my $reply = $self->reply // $self->ended("before an answer to $self->{called}[0]");
    return exists $reply->{error} ? { error => $reply->{error}, %{ $reply->{parameters} // {} } } : $reply->{parameters} // {};
}

sub ask {
    my ($self, @call) = @_;
    return $self->call(@call)->answer;
}

# Check that the connection is closed, and nothing more arrived. Return: the error, '' if none.
sub closed {
    my ($self) = @_;
    my $message = $self->next_line;
    return defined $message ? "answered: $message" : $self->{rest} eq '' ? '' : "half an answer: $self->{rest}";
}

# --- subscriptions ---------------------------------------------------------------------------------------------------

sub subscribe {
    my ($self, $parameters) = @_;
    return $self->call('Subscribe', $parameters, more => 1);
}

# Read replies until an event, as $_, matches. Return: the event, and its reply.
sub wait_event {
    my ($self, $is_it, $what) = @_;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    for (;;) {
        my $reply = $self->reply($deadline) // $self->ended('before ' . ($what // 'an event'));
        confess "an error: $self->{line}" if exists $reply->{error};
        push @{ $self->{events} }, @{ $reply->{parameters}{events} };
        $self->{cursor} = $reply->{parameters}{cursor};
        for (@{ $reply->{parameters}{events} }) {
            return wantarray ? ($_, $reply) : $_ if $is_it->($_);
        }
    }
}

sub wait_ready {
    my ($self) = @_;
    return $self->wait_event(sub { $_->{type} eq 'ready' }, 'ready');
}

# Read until everything is reported up to a place in the log; by default that of the broker's last event now. Return: all events
# so far, without those of the subscription.
sub catch_up {
    my ($self, $broker, $seq) = @_;
    $seq //= $broker->last_seq;
    my $deadline = Time::HiRes::time() + Forkbus::patience();
    until (defined $self->{cursor} && (split /:/, $self->{cursor})[1] >= $seq) {
        my $reply = $self->reply($deadline) // $self->ended("before $seq");
        confess "an error: $self->{line}" if exists $reply->{error};
        push @{ $self->{events} }, @{ $reply->{parameters}{events} };
        $self->{cursor} = $reply->{parameters}{cursor};
    }
    return $self->events;
}

# --- descriptors -----------------------------------------------------------------------------------------------------

use constant SYS_RECVMSG => { x86_64 => 47, aarch64 => 212 }->{ (POSIX::uname())[4] };

# Receive the available bytes, with their descriptors: Perl has no recvmsg(). Return: the descriptors.
sub receive_descriptors {
    my ($self) = @_;
    my $bits = '';
    vec($bits, fileno $self->{socket}, 1) = 1;
    select $bits, undef, undef, Forkbus::patience();
    my ($data, $control) = ("\0" x 65536, "\0" x 256);
    my $part   = pack 'P Q', $data, length $data;
    my $header = pack 'Q Q P Q P Q Q', 0, 0, $part, 1, $control, length $control, 0;
    my $count  = syscall SYS_RECVMSG, fileno $self->{socket}, $header, 0;
    confess "recvmsg: $!" if $count < 0;
    $self->{buffer} .= substr $data, 0, $count;
    my $size = unpack 'x40 Q', $header;
    my @found;
    for (my $at = 0; $at + 16 <= $size;) {
        my ($length, $level, $type) = unpack "x$at Q l l", $control;
        push @found, unpack 'x' . ($at + 16) . ' l' . ($length - 16) / 4, $control if $type == 1;    # SCM_RIGHTS
        $at += ($length + 7) & ~7;
    }
    return @found;
}

# --- as described ----------------------------------------------------------------------------------------------------

sub check {
    my ($called, $reply, $message) = @_;
    my ($interface, $method) = $called =~ /^(.*)\.([^.]*)\z/;
    my ($idl, $type) = idl($interface // '');
    my @wrong = grep { !/^(?:parameters|continues|error)$/ } keys %$reply;
    if (exists $reply->{error}) {
        push @wrong, 'an error that continues' if exists $reply->{continues};
        my ($whose, $error) = $reply->{error} =~ /^(.*)\.([^.]*)\z/;
        $idl  = idl($whose // '');
        $type = $idl ? $idl->{errors}{$error} : undef;
    } else {
        $type = $idl ? $idl->{methods}{$method}{out} : undef;
    }
    push @wrong, $type ? $idl->complaints($type, $reply->{parameters} // {}) : 'not declared';
    push @complaints, map { "$called: $_ in " . substr $message, 0, 1000 } @wrong;
    $seen{ $reply->{error} // $called }++;
}

# How often a method answered, or an error was returned, so far.
sub seen { return $seen{ full_name($_[1]) } // 0 }

# A test: all replies that were seen so far are as the interfaces are described.
sub as_described {
    my ($class) = @_;
    my $count = 0;
    $count += $_ for values %seen;
    @complaints = @complaints[0 .. 9] if @complaints > 10;
    return Test::More::ok($count && !@complaints, 'all replies are as the interfaces are described')
      || Test::More::diag(join "\n", "of $count", @complaints);
}

1;
