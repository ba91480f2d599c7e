# SPDX-License-Identifier: LGPL-2.1-or-later
#
# (d) The rate at which this machine starts processes while others listen: to the broker, to the proc connector, by eBPF. The
# module is measured in a machine of its own: see Bench::Listening.
package Bench::Forks;

use strict;
use warnings;
use Bench::Peers;
use Bench::Program;
use Bench::Report;
use Forkbus;

my $nobodys = Forkbus::json({ uids => [4242] });
my %traced  = (fork => 'args->child_pid', exec => 'pid', exit => 'pid');
my $probes  = join ' ', map { "tracepoint:sched:sched_process_$_ { printf(\"$_ %d\\n\", $traced{$_}); }" } sort keys %traced;

# Those that make bench-quick have "quick".
my @settings = (
    { name => 'nobody',         quick => 1 },
    { name => 'connector-1',    quick => 1, listeners => 1 },
    { name => 'connector-100',  quick => 1, listeners => 100 },
    { name => 'connector-1000', listeners => 1000 },
    { name => 'forkbus-1',      quick => 1, broker => 1, listeners => 1 },
    { name => 'forkbus-100',    quick => 1, broker => 1, listeners => 100 },
    { name => 'forkbus-1000',   broker => 1, listeners => 1000 },
    { name => 'forkbus-1-idle', quick => 1, broker => 1, listeners => 1, request => $nobodys },
    { name => 'forkbus-1000-idle', quick => 1, broker => 1, listeners => 1000, request => $nobodys },
    { name => 'forkstat', command => sub { [Bench::Peers::program('forkstat'), '-e', 'fork,exec,exit'] } },
    # Where it finds what can be traced has to be mounted: for it alone.
    {
        name    => 'bpftrace',
        command => sub {
            my $mount = '[ -e /sys/kernel/tracing/events ] || mount -t tracefs none /sys/kernel/tracing; exec "$0" -e "$1"';
            ['unshare', '--mount', 'sh', '-c', $mount, Bench::Peers::program('bpftrace'), $probes];
        },
        quick => 1
    },
);

sub begin {
    my ($setting) = @_;
    my %it;
    if ($setting->{broker}) {
        $it{broker} = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '1h' } });
    }
    if ($setting->{listeners}) {
        my @command = (Bench::Program->path('listeners'), $it{broker} ? ('stream', $it{broker}->stream) : 'connector');
        push @command, $setting->{listeners}, $setting->{request} // ();
        $it{listeners} = Bench::Program->start(\@command, ready => 1);
    }
    if ($setting->{command}) {
        $it{tool} = Bench::Program->start($setting->{command}->());
        # It is there when it tells of a process.
        my $pulse = Bench::Program->start([Bench::Program->path('pulse'), 100, 10000]);
        my $line  = eval { $it{tool}->line };
        $line = eval { $it{tool}->line } while defined $line && $line !~ /fork/;
        $pulse->end;
        $it{tool}->fail('tells nothing') if !defined $line;
        # Somebody has to read it.
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            1 while sysread $it{tool}{from}, my $data, 65536;
            POSIX::_exit(0);
        }
        $it{reader} = $pid;
    }
    return \%it;
}

sub finish {
    my ($it) = @_;
    $_->end for grep { $_ } @$it{qw(listeners tool broker)};
    return if !$it->{reader};
    kill 'KILL', $it->{reader};
    waitpid $it->{reader}, 0;
}

sub rate {
    my ($kind, $workers, $msec) = @_;
    my ($status, $out, $err) = Forkbus::run([Bench::Program->path('forks'), $kind, $workers, $msec / 4, $msec]);
    die "forks $kind: $err\n" if $status != 0;
    my $made = Forkbus::parse($out);
    return $made->{processes} * 1e6 / $made->{usec};
}

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector\n" if $> != 0;
    my @of    = grep { $_->{quick} || !$effort->{quick} } @settings;
    my @kinds = $effort->{quick} ? ('vfork') : ('vfork', 'spawn');
    my $cpus  = () = Forkbus->read_file('/proc/cpuinfo') =~ /^processor/mg;
    my (%rates, %why);
    for my $run (1 .. $effort->{runs}) {
        for my $setting (grep { !$why{ $_->{name} } } @of) {
            my $it = eval { begin($setting) };
            if (!$it) {
                $why{ $setting->{name} } = $@;
                next;
            }
            for my $kind (@kinds) {
                push @{ $rates{$kind}{ $setting->{name} } }, rate($kind, $cpus, $effort->{quick} ? 200 : 1000);
                $report->say(sprintf 'forks, run %d: %-18s %-5s %6.0f a second', $run, $setting->{name}, $kind,
                    $rates{$kind}{ $setting->{name} }[-1]);
            }
            finish($it);
        }
    }
    $report->samples('forks', $_, $rates{$_}) for @kinds;
    figures($report, $rates{$_}, $_, \%why) for @kinds;
    my @shown = grep { $rates{vfork}{ $_->{name} } } @of;
    my $n     = 0;
    $report->plot(name => 'forks', title => 'Processes (vfork) that this machine starts', xlabel => 'who listens',
        ylabel => 'processes a second', xtics => join(', ', map { "'$_->{name}' " . $n++ } @shown),
        lines => { rate => [map { [$_, Bench::Report::spread(@{ $rates{vfork}{ $shown[$_]{name} } })] } 0 .. $#shown] });
}

sub figures {
    my ($report, $rates, $kind, $why) = @_;
    my @lines = (
        ['100 subscribers, to 100 on the connector', 'forkbus-100', 'connector-100', '>= 5'],
        ['1,000 subscribers, to 1,000 on the connector', 'forkbus-1000', 'connector-1000'],
        ['1,000 filtered, idle subscribers, to 1', 'forkbus-1000-idle', 'forkbus-1-idle', '>= 0.95'],
        ['1 subscriber, to nobody', 'forkbus-1', 'nobody'],
        ['1 subscriber, to 1 on the connector', 'forkbus-1', 'connector-1'],
        ['1 subscriber, to forkstat', 'forkbus-1', 'forkstat'],
        ['1 subscriber, to bpftrace', 'forkbus-1', 'bpftrace'],
    );
    for (@lines) {
        my ($name, $over, $under, $target) = @$_;
        my ($failed) = grep { $why->{$_} } $over, $under;
        if ($failed) {
            $report->skip('forks', "$kind: $name", $why->{$failed}, $target);
        } elsif ($rates->{$over} && $rates->{$under}) {
            $report->figure('forks', "$kind: $name", Bench::Report::ratios(@$rates{ $over, $under }), $target);
        }
    }
}

1;
