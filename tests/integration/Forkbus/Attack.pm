# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A user who does what costs the broker most (hostile.c, hostile-bus.c), beside whatever the test does.
#
#   my $attack = Forkbus::Attack->start($broker, uid => 65534);
#   my $times  = $attack->stop;                                  # how often each thing was done
package Forkbus::Attack;

use strict;
use warnings;

use constant { CONNECTIONS => 512, BUS_CONNECTIONS => 48 };

# start($broker, uid => , bus => ): has begun; with a bus (Forkbus::Bus) there, too.
sub start {
    my ($class, $broker, %options) = @_;
    my $dir = Forkbus->directory;
    mkdir "$dir/own" and chown $options{uid}, $options{uid}, "$dir/own" or die "$dir/own: $!\n";
    my @commands = (['hostile', $broker->dir, CONNECTIONS, "$dir/own"]);
    push @commands, ['hostile-bus', $options{bus}->address, BUS_CONNECTIONS] if $options{bus};
    my @workloads;
    for my $command (@commands) {
        my ($name, @arguments) = @$command;
        my $program = Forkbus->installed(Forkbus->helper($name), $dir);
        push @workloads, Forkbus::Workload->start(program => $program, arguments => \@arguments, uid => $options{uid});
    }
    $_->next->{ready} or die "the attack does not begin\n" for @workloads;
    return bless { workloads => \@workloads }, $class;
}

sub stop {
    my ($self) = @_;
    return { map { %$_ } map { $_->finish } @{ $self->{workloads} } };
}

1;
