# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Has a subscriber received exactly the events that it wanted and that were not reported to it as lost?
package Forkbus::Exact;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(inexact);

# inexact($first, $last, sub { does it want event $_[0]? }, what it received: numbers of events, and hashes of losses)
# Return: errors.
sub inexact {
    my ($first, $last, $wants, @received) = @_;
    my ($next, @numbers, @expected, @wrong) = ($first);
    for my $item (@received, { from => $last + 1, to => $last, count => 0 }) {
        push @numbers, $item and next if !ref $item;
        my ($from, $to, $count) = @$item{qw(from to count)};
        push @wrong, "a loss of $count from $from to $to" if $count != $to - $from + 1;
        push @wrong, "a loss from $from after $next" if $from < $next;
        push @expected, grep { $wants->($_) } $next .. $from - 1;
        push @wrong, @numbers . ' events instead of ' . @expected . " before $from" if "@numbers" ne "@expected";
        $next = $to + 1;
    }
    return @wrong;
}

1;
