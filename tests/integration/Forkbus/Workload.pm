# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The program that starts processes and reports how they ended (workload.c).
package Forkbus::Workload;

use strict;
use warnings;
use Carp 'confess';
use Forkbus::Children;
use IO::Handle;
use POSIX ();

# start($program, arguments => […], uid => , groups => [])
# It waits for go() before it does anything.
sub start {
    my ($class, %options) = @_;
    my $program = $options{program} // Forkbus->helper('workload');
    pipe my $input,  my $to   or die "pipe: $!\n";
    pipe my $from, my $output or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<&', $input  or POSIX::_exit(126);
        open STDOUT, '>&', $output or POSIX::_exit(126);
        CORE::close $_ for $input, $to, $from, $output;
        Forkbus::become($options{uid}, @{ $options{groups} // [] }) if defined $options{uid};
        { no warnings 'exec'; exec $program, @{ $options{arguments} // [] }; }
        POSIX::_exit(127);
    }
    $to->autoflush(1);
    $running{$pid} = 1;
    return bless { pid => $pid, to => $to, from => $from }, $class;
}

sub pid { return $_[0]{pid} }

# A line to its standard input.
sub go {
    my ($self, $line) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } ($line // 'go') . "\n";
    return $self;
}

# Its next message, undef at its end.
sub next {
    my ($self) = @_;
    my $line = readline $self->{from};
    return defined $line ? Forkbus::parse($line) : undef;
}

# Wait for its end. Return: all messages until then.
sub finish {
    my ($self) = @_;
    my @said;
    CORE::close $self->{to};
    while (defined(my $reported = $self->next)) {
        push @said, $reported;
    }
    waitpid $self->{pid}, 0;
    delete $running{ $self->{pid} };
    $self->{status} = $?;
    confess "the workload failed: status $self->{status}" if $self->{status} != 0;
    return @said;
}

sub kill {
    my ($self) = @_;
    CORE::kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $running{ $self->{pid} };
}

1;
