# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Varlink clients that nobody here wrote, and a broker for them.
package Foreign;

use strict;
use warnings;
use Exporter 'import';
use File::Basename 'dirname';
use File::Spec;
use Forkbus qw(now_usec run);
use Test::More ();

our @EXPORT = qw(client begin_client stage $socket);
our $socket;

my $here = File::Spec->rel2abs(dirname __FILE__);
my $tree;

# A broker that knows a few processes. Skips the test where there are no clients.
sub stage {
    my ($status, $out, $err) = run(["$here/tree"], seconds => 600);
    Test::More::plan(skip_all => $err =~ s/^forkbus: //gmr =~ s/\n/; /gr) if $status == 77;
    die "$err\n" if $status != 0;
    $tree = (split /\n/, $out)[-1];
    my $feed = Forkbus::Feed->new;
    my %process = (type => 'process', timeUsec => 1, startUsec => 1000, ppid => 1);
    $feed->write(map { { %process, pid => $_, uid => $_ % 2, comm => "p$_" } } 100 .. 199);
    $feed->settle;
    $socket = $feed->broker->dir . '/org.forkbus1';
    return $feed;
}

# Run one to its end. Return: its exit status, what it says, what it says of errors.
sub client {
    my ($program, @arguments) = @_;
    return run(["$here/run", $tree, $program, @arguments]);
}

# Start one that goes on. Return: its pid, the end of a pipe that it writes to.
sub begin_client {
    my ($program, @arguments) = @_;
    my $pid = open my $pipe, '-|', 'setpriv', '--pdeathsig', 'KILL', "$here/run", $tree, $program, @arguments;
    $pid or die "$program: $!\n";
    return ($pid, $pipe);
}

1;
