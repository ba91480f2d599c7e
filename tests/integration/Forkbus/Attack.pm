# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A user who does what costs the broker most (hostile.c), beside whatever the test does.
#
#   my $attack = Forkbus::Attack->start($broker, uid => 65534);
#   my $times  = $attack->stop;                                  # how often each thing was done
package Forkbus::Attack;

use strict;
use warnings;

use constant CONNECTIONS => 512;

# start($broker, uid => , bus => ): has begun. With a bus it attacks there, too.
sub start {
    my ($class, $broker, %options) = @_;
    my $dir     = Forkbus->directory;
    my $program = Forkbus->installed(Forkbus->helper('hostile'), $dir);
    mkdir "$dir/own" and chown $options{uid}, $options{uid}, "$dir/own" or die "$dir/own: $!\n";
    my $workload = Forkbus::Workload->start(
        program   => $program,
        arguments => [$broker->dir, CONNECTIONS, "$dir/own"],
        uid       => $options{uid},
    );
    $workload->next->{ready} or die "the attack does not begin\n";
    return bless { workload => $workload }, $class;
}

sub stop {
    my ($self) = @_;
    my ($times) = $self->{workload}->finish;
    return $times;
}

1;
