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
use Time::HiRes ();

my $nobodys = Forkbus::json({ uids => [4242] });
my %traced  = (fork => 'args->child_pid', exec => 'pid', exit => 'pid');
my $probes  = join ' ', map { "tracepoint:sched:sched_process_$_ { printf(\"$_ %d\\n\", $traced{$_}); }" } sort keys %traced;

# Those that make bench-quick have "quick"; "by" is how listeners have the broker's events, by its stream if it is not said.
my @settings = (
    { name => 'nobody',         quick => 1 },
    { name => 'connector-1',    quick => 1, listeners => 1 },
    { name => 'connector-100',  quick => 1, listeners => 100 },
    { name => 'connector-1000', listeners => 1000 },
    { name => 'forkbus-1',      quick => 1, broker => 1, listeners => 1 },
    { name => 'forkbus-100',    quick => 1, broker => 1, listeners => 100 },
    { name => 'forkbus-1000',   broker => 1, listeners => 1000 },
    { name => 'ring-100',       quick => 1, broker => 1, listeners => 100, by => 'ring' },
    { name => 'ring-1000',      broker => 1, listeners => 1000, by => 'ring' },
    { name => 'forkbus-1-idle', quick => 1, broker => 1, listeners => 1, request => $nobodys },
    { name => 'forkbus-1000-idle', quick => 1, broker => 1, listeners => 1000, request => $nobodys },
    { name => 'forkstat', command => sub { [Bench::Peers::program('forkstat'), '-e', 'fork,exec,exit'] } },
    { name => 'bpftrace', command => \&bpftrace, quick => 1 },
    { name => 'forkbus-10',  broker => 1, listeners => 10 },
    { name => 'bpftrace-10', command => \&bpftrace, times => 10 },
);

# Where it finds what can be traced has to be mounted: for it alone.
sub bpftrace {
    my $mount = '[ -e /sys/kernel/tracing/events ] || mount -t tracefs none /sys/kernel/tracing; exec "$0" -e "$1"';
    return ['unshare', '--mount', 'sh', '-c', $mount, Bench::Peers::program('bpftrace'), $probes];
}

sub begin {
    my ($setting) = @_;
    my %it;
    if ($setting->{broker}) {
        $it{broker} = Forkbus->broker(source => 'connector', config => { Broker => { HeartbeatSec => '1h' } });
    }
    if ($setting->{listeners}) {
        my $broker = $it{broker};
        my @on     = 'connector';
        @on = $setting->{by} ? ('ring', $broker->dir . '/org.forkbus1') : ('stream', $broker->stream) if $broker;
        my @command = (Bench::Program->path('listeners'), @on, $setting->{listeners}, $setting->{request} // ());
        $it{listeners} = Bench::Program->start(\@command, ready => 1);
        $it{hears}     = $setting->{request} ? 0 : $setting->{listeners};
    }
    start_tools(\%it, $setting->{command}, $setting->{times} // 1) if $setting->{command};
    return \%it;
}

sub start_tools {
    my ($it, $command, $n) = @_;
    my @tools = map { Bench::Program->start($command->()) } 1 .. $n;
    $it->{tools} = \@tools;
    # They are there when they report a process.
    my $pulse = Bench::Program->start([Bench::Program->path('pulse'), 100, 10000 * $n]);
    for my $tool (@tools) {
        my $line = eval { $tool->line };
        $line = eval { $tool->line } while defined $line && $line !~ /fork/;
        $tool->fail('prints nothing') if !defined $line;
        # A process has to read it.
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            1 while sysread $tool->{from}, my $data, 65536;
            POSIX::_exit(0);
        }
        push @{ $it->{readers} }, $pid;
    }
    $pulse->end;
}

sub finish {
    my ($it) = @_;
    $_->end for grep { $_ } $it->{listeners}, @{ $it->{tools} // [] }, $it->{broker};
    my @readers = @{ $it->{readers} // [] } or return;
    kill 'KILL', @readers;
    waitpid $_, 0 for @readers;
}

# Events of a process.
my %events = (vfork => 2, spawn => 3);

# measure($it, $kind, $workers, $msec): the rate; how much of it the average listener had received by then; what it lost, if
# it reads the log, and how often sockets were overrun
sub measure {
    my ($it, $kind, $workers, $msec) = @_;
    my $listeners = $it->{hears} && $it->{listeners};
    my $before    = $listeners && caught_up($listeners, $it->{hears});
    my ($status, $out, $err) = Forkbus::run([Bench::Program->path('forks'), $kind, $workers, $msec / 4, $msec]);
    die "forks $kind: $err\n" if $status != 0;
    my $made   = Forkbus::parse($out);
    my %result = (rate => $made->{processes} * 1e6 / $made->{usec});
    return \%result if !$listeners;
    my $after = $listeners->ask('');
    %result = (%result, map { ($_ => $after->{$_} - $before->{$_}) } qw(lost overruns));
    $result{reported} = ($after->{messages} - $before->{messages}) / ($made->{all} * $events{$kind});
    return \%result;
}

# Listeners that are behind must catch up before the next measurement: wait until almost nothing arrives, twice.
sub caught_up {
    my ($listeners, $n) = @_;
    my ($now, $quiet) = ($listeners->ask(''), 0);
    for (my $looks = 0; $quiet < 2 && $looks < 100; $looks++) {
        my $before = $now;
        Time::HiRes::sleep(0.05);
        $now   = $listeners->ask('');
        $quiet = $now->{messages} - $before->{messages} < 50 && ($now->{bytes} - $before->{bytes}) / $n < 10000 ? $quiet + 1 : 0;
    }
    return $now;
}

sub run {
    my ($class, $report, $effort) = @_;
    die "needs root: the proc connector\n" if $> != 0;
    my @of    = grep { $_->{quick} || !$effort->{quick} } @settings;
    my @kinds = $effort->{quick} ? ('vfork') : ('vfork', 'spawn');
    my $cpus  = () = Forkbus->read_file('/proc/cpuinfo') =~ /^processor/mg;
    my (%rates, %heard, %why);
    for my $run (1 .. $effort->{runs}) {
        for my $setting (grep { !$why{ $_->{name} } } @of) {
            my $it = eval { begin($setting) };
            if (!$it) {
                $why{ $setting->{name} } = $@;
                next;
            }
            for my $kind (@kinds) {
                my $result = measure($it, $kind, $cpus, $effort->{quick} ? 200 : 1000);
                push @{ $rates{$kind}{ $setting->{name} } }, $result->{rate};
                push @{ $heard{$kind}{ $setting->{name} } }, $result if defined $result->{reported};
                my $text = sprintf 'forks, run %d: %-18s %-5s %6.0f a second', $run, $setting->{name}, $kind, $result->{rate};
                $text .= sprintf '; %.0f%% reported by then, %d lost, %d overruns', 100 * $result->{reported},
                  @$result{qw(lost overruns)}
                  if $it->{hears};
                $report->say($text);
            }
            finish($it);
        }
    }
    $report->samples('forks', $_, $rates{$_}) for @kinds;
    $report->samples('forks', "$_-heard", $heard{$_}) for @kinds;
    figures($report, $rates{$_}, $_, \%why) for @kinds;
    note_unheard($report, $heard{$_}, $_) for @kinds;
    my @shown = grep { $rates{vfork}{ $_->{name} } } @of;
    my $n     = 0;
    $report->plot(name => 'forks', title => 'Processes (vfork) that this machine starts', xlabel => 'who listens',
        ylabel => 'processes a second', xtics => join(', ', map { "'$_->{name}' " . $n++ } @shown),
        lines => { rate => [map { [$_, Bench::Report::spread(@{ $rates{vfork}{ $shown[$_]{name} } })] } 0 .. $#shown] });
}

# A listener that receives less while processes are started than others leaves more of the machine to these.
sub note_unheard {
    my ($report, $heard, $kind) = @_;
    for my $name (sort keys %$heard) {
        my %of = map {
            my $what = $_;
            ($what => Bench::Report::median(map { $_->{$what} } @{ $heard->{$name} }))
        } qw(reported lost overruns);
        next if $of{reported} >= 0.9 && $of{lost} < 1 && $of{overruns} < 1;
        $report->note(sprintf 'forks: %s, %s: %.0f%% was received by the end; %d lost, %d overruns.',
            $name, $kind, 100 * $of{reported}, @of{qw(lost overruns)});
    }
}

sub figures {
    my ($report, $rates, $kind, $why) = @_;
    my @lines = (
        ['100 subscribers, to 100 on the connector', 'forkbus-100', 'connector-100', '>= 5'],
        ['1,000 subscribers, to 1,000 on the connector', 'forkbus-1000', 'connector-1000'],
        ['100 log readers, to 100 on the connector', 'ring-100', 'connector-100'],
        ['1,000 log readers, to 1,000 on the connector', 'ring-1000', 'connector-1000'],
        ['1,000 filtered, idle subscribers, to 1', 'forkbus-1000-idle', 'forkbus-1-idle', '>= 0.95'],
        ['1 subscriber, to nobody', 'forkbus-1', 'nobody'],
        ['1 subscriber, to 1 on the connector', 'forkbus-1', 'connector-1'],
        ['1 subscriber, to forkstat', 'forkbus-1', 'forkstat'],
        ['1 subscriber, to bpftrace', 'forkbus-1', 'bpftrace'],
        ['10 subscribers, to 10 bpftrace', 'forkbus-10', 'bpftrace-10'],
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
