# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Events, sorted by the process that they are about. Pids are reused, also within one test: a process is its pid and its start.
package Forkbus::Processes;

use strict;
use warnings;

# A workload and the broker read the clocks at different times, so their times differ.
use constant SLACK_USEC => 1000;

sub new {
    my ($class, @events) = @_;
    my %by_pid;
    for my $event (grep { exists $_->{startUsec} } @events) {
        push @{ $by_pid{ $event->{pid} }{ $event->{startUsec} } }, $event;
    }
    return bless \%by_pid, $class;
}

# The events of a process that a workload reported, in order of arrival.
sub of {
    my ($self, $made) = @_;
    my $starts = $self->{ $made->{pid} } // {};
    my ($start) = grep { $_ >= $made->{bornAfterUsec} - SLACK_USEC && $_ <= $made->{goneUsec} + SLACK_USEC } keys %$starts;
    return defined $start ? @{ $starts->{$start} } : ();
}

# Those of the process with a pid and a start.
sub exactly {
    my ($self, $pid, $start) = @_;
    return @{ $self->{$pid}{$start} // [] };
}

1;
