# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Programs that a test has started: what still runs ends with the test, even if the test fails.
#
#   $running{$pid} = 1;       # after fork
#   delete $running{$pid};    # when it has been waited for
package Forkbus::Children;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(%running);
our %running;

END {
    my $status = $?;
    kill 'KILL', keys %running;
    waitpid $_, 0 for keys %running;
    $? = $status;
}

1;
