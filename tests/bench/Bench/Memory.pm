# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (e) Memory with a thousand subscribers, of which a tenth read nothing: the broker's own beside the log (RssAnon), and what the
# kernel holds in sockets for it (skmem of ss(8): what is written and not read).
package Bench::Memory;

use strict;
use warnings;
use Bench::Peers;
use Bench::Report;
use Forkbus;

use constant {
    SUBSCRIBERS => 1000,
    STUCK       => 100,
    EVENTS      => 400,
    LIMIT       => 16 * 1024 * 1024,
};

sub anonymous {
    my (@pids) = @_;
    my $sum = 0;
    for my $pid (@pids) {
        $sum += 1024 * $1 if Forkbus->read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
    }
    return $sum;
}

# What its Unix and TCP sockets hold, in bytes, both ways.
sub in_sockets {
    my ($pid) = @_;
    my $ss  = Bench::Peers::program('ss');
    my $sum = 0;
    for (grep { /pid=$pid,/ } split /\n(?=\S)/, qx($ss -x -t -a -n -m -p 2>/dev/null)) {
        $sum += $1 + $2 if /skmem:\(r(\d+),rb\d+,t(\d+)/;
        $sum += $1 if /skmem:\(.*?,w(\d+)/ && !/^u_/;
    }
    return $sum;
}

sub measure {
    my ($name, $lines) = @_;
    my $peer   = Bench::Peers->start($name, lines => $lines);
    my %memory = (before => anonymous(@{ $peer->{servers} }));
    $peer->subscribe(SUBSCRIBERS, stuck => STUCK);
    $memory{connected} = anonymous(@{ $peer->{servers} });
    my $result = $peer->publish(EVENTS, wanted => EVENTS * (SUBSCRIBERS - STUCK));
    $memory{after}      = anonymous(@{ $peer->{servers} });
    $memory{sockets}    = in_sockets($peer->{servers}[0]);
    $memory{deliveries} = $result->{deliveries};
    $peer->stop;
    return \%memory;
}

sub run {
    my ($class, $report, $effort) = @_;
    my $lines = $effort->{lines}->();
    my (%samples, %why);
    for my $run (1 .. $effort->{runs}) {
        for my $name (grep { !$why{$_} } 'stream', 'nats-server', $effort->{quick} ? () : 'mosquitto') {
            my $memory = eval { measure($name, $lines) };
            $why{$name} = $@ and next if !$memory;
            push @{ $samples{$name} }, $memory;
            $report->say(sprintf 'memory, run %d: %-12s %6.2f MiB, %6.2f with 1,000, %6.2f after; %6.2f in sockets', $run, $name,
                map { $_ / 1048576 } @$memory{qw(before connected after sockets)});
            # It takes long.
            $why{$name} //= 'measured once' if $name ne 'stream' && $effort->{quick};
        }
    }
    $report->samples('memory', 'bytes', \%samples);
    my $of = sub { my ($name, $key) = @_; return map { $_->{$key} } @{ $samples{$name} // [] } };
    my %share = map { my $key = $_; ($key => [map { $_ / LIMIT } $of->('stream', $key)]) } qw(after sockets);
    $report->figure('memory', '1,000 subscribers, 100 stuck: RssAnon, to 16 MiB', $share{after}, '<= 1');
    $report->figure('memory', '... and in sockets, to 16 MiB', $share{sockets});
    for my $name ('nats-server', $effort->{quick} ? () : 'mosquitto') {
        my $other = Bench::Report::median($of->($name, 'after'));
        if ($other) {
            $report->figure('memory', "RssAnon, to that of $name", [map { $_ / $other } $of->('stream', 'after')]);
        } else {
            $report->skip('memory', "RssAnon, to that of $name", $why{$name});
        }
    }
}

1;
