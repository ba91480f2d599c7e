# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The findings of a kernel with debugging checks. See tests/vm/debug.
package Watch;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(debug_locks taints leaks complaints forget stuck);

# Taints that come with any module from outside the kernel's tree: O, E.
use constant TAINTS_EXPECTED => 1 << 12 | 1 << 13;

my $leaks = '/sys/kernel/debug/kmemleak';

my $complaint = qr/WARNING:|BUG:|Oops|[Kk]ernel panic|general protection|INFO: (?:task|rcu|possible|trying|suspicious)
  |possible (?:circular|recursive) lock|inconsistent lock state|[Ss]uspicious RCU|detected stall|soft lockup|blocked for more than
  |UBSAN|KASAN|kmemleak: \d+ new|refcount_t:|list_(?:add|del) corruption|cut here|Call Trace|scheduling while atomic
  |sleeping function called|ODEBUG|DEBUG_LOCKS|MAX_(?:LOCK|STACK)\w+ too low|lockdep off|Invalid wait context
  |workqueue lockup/x;

# Is lockdep still active? It stops at its first finding, and after other serious errors.
sub debug_locks {
    open my $file, '<', '/proc/lockdep_stats' or return 'no lockdep';
    my ($line) = grep { /debug_locks/ } <$file>;
    return $line =~ /(\d+)/ ? $1 : $line;
}

# The warnings of the kernel.
sub taints {
    open my $file, '<', '/proc/sys/kernel/tainted' or die "tainted: $!\n";
    return readline($file) & ~TAINTS_EXPECTED;
}

sub ask {
    my ($what) = @_;
    open my $file, '>', $leaks or die "$leaks: $!\n";
    syswrite $file, "$what\n" or die "$leaks: $what: $!\n";
}

# From here on: messages from the start of the machine do not concern the module.
sub forget {
    ask('scan');
    ask('clear');
}

# Leaked memory. Recently allocated memory is skipped, so this needs two scans.
sub leaks {
    for (1 .. 2) {
        sleep 6;
        ask('scan');
    }
    open my $file, '<', $leaks or die "$leaks: $!\n";
    local $/;
    my $text = readline($file) // '';
    return split /(?=^unreferenced object)/m, $text;
}

# The warnings in the kernel log, each with the lines that follow.
sub complaints {
    my @log = qx(dmesg);
    my @found;
    for my $i (grep { $log[$_] =~ $complaint } 0 .. $#log) {
        push @found, [$i, $i] if !@found || $i > $found[-1][1] + 1;
        $found[-1][1] = $i + 20 > $#log ? $#log : $i + 20;
    }
    return map { join '', @log[$_->[0] .. $_->[1]] } @found;
}

# Processes in uninterruptible sleep.
sub stuck { return grep { /^D/ } qx(ps -eo stat=,pid=,wchan=,comm=) }

1;
