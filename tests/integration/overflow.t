#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A broker that cannot run loses the events that do not fit into its sockets. It reports their exact number, finds the processes
# that started and ended, and continues. A second broker with large buffers receives all events for comparison.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec slow);
use Test::More;

# A slow broker needs a larger buffer, so that it loses nothing while it runs, and a larger flood.
use constant { BURST => slow() ? 8000 : 3000, BUFFER => slow() ? '1M' : '64K' };

Forkbus->needs_root;
Forkbus->needs_connector;

my $witness = Forkbus->broker(source => 'connector', config => { Source => { SocketBuffer => '64M' } });
my $broker  = Forkbus->broker(source => 'connector', config => { Source => { SocketBuffer => BUFFER } });
my $stream  = $broker->subscribe({});
my $seen    = $witness->subscribe({});
$_->wait_ready for $stream, $seen;

# Run a short process on each CPU: its sequence number shows how many messages are missing there.
sub settle {
    my @cpus = Forkbus->read_file('/proc/self/status') =~ /^Cpus_allowed_list:\t(.*)$/m ? split /,/, $1 : ();
    for my $cpu (map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } @cpus) {
        system 'taskset', '-c', $cpu, 'true';
    }
    $_->settle for @_;
}

# Every message of the kernel goes to both brokers. The difference between their counts, known losses included, is constant
# except for messages on their way. Return: the most frequent difference of many readings.
sub difference {
    my %count;
    for (1 .. 60) {
        my ($one, $other) = map { $_->status->{source} } $witness, $broker;
        $count{ $one->{messages} + $one->{lostMessages} - $other->{messages} - $other->{lostMessages} }++;
    }
    return (sort { $count{$b} <=> $count{$a} } keys %count)[0];
}

sub holding {
    my ($count) = @_;
    my $workload = Forkbus::Workload->start(arguments => ["hold=$count", 'pause', 'release'])->go;
    my @pids;
    while ((my $reported = $workload->next)->{kind} ne 'pause') {
        push @pids, $reported->{pid};
    }
    return ($workload, @pids);
}

my ($stays, @stay)  = holding(3);
my ($leaves, @leave) = holding(3);
settle($stream, $seen);
my $before = difference();

# The broker does not read, and there are many events.
$broker->signal('STOP');
my $begin = now_usec();
$leaves->go->finish;
my @made = Forkbus::Workload->start(arguments => [ 'burst=' . BURST, 'killed-threads=30' ])->go->finish;
my ($comes, @come) = holding(3);
my $end = now_usec();
$broker->signal('CONT');
settle($stream, $seen);

# Afterwards nothing more should be lost. But the buffer is small, and on a busy machine the broker may be late again.
my @after;
for (1 .. 100) {
    my $losses = grep { $_->{type} eq 'lost' } $stream->events;
    @after = Forkbus::Workload->start(arguments => ['burst=200', 'spawn'])->go->finish;
    push @made, @after;
    settle($stream, $seen);
    last if $losses == grep { $_->{type} eq 'lost' } $stream->events;
}
ok(Forkbus->wait_until(sub { $broker->status->{source}{resyncs} > 0 }), 'the table is read again');

# The number of lost messages.
my $counts = $broker->status;
my $until  = (split /:/, $counts->{cursor})[1];
my @lost   = grep { $_->{type} eq 'lost' && $_->{seq} <= $until } $stream->catch_up($broker, $until);
my ($messages) = grep { $_->{detail} !~ /taskstats/ } @lost;
my ($records)  = grep { $_->{detail} =~ /taskstats/ } @lost;
ok($messages && $records, 'messages and records are reported as lost') or diag(json(\@lost));
is_deeply([grep { $_->{reason} ne 'netlink' || !$_->{count} } @lost], [], 'by the kernel, and how many');
cmp_ok($messages->{sinceUsec}, '<=', $end,   'since some time');
cmp_ok($messages->{untilUsec}, '>=', $begin, 'until some time');
my $total = 0;
$total += $_->{count} for grep { $_->{detail} !~ /taskstats/ } @lost;
is($counts->{source}{lostMessages}, $total, "status counts as many: $total");
is($witness->status->{source}{lostMessages}, 0, 'the witness has lost nothing');
is(difference(), $before, 'received and lost messages are exactly those of the kernel');

# A process whose fork was reported and whose exit was lost is reported as gone once that is certain.
my @burst  = grep { $_->{kind} eq 'burst' } @made;
my $leaked = sub {
    my $processes = Forkbus::Processes->new($stream->events);
    return grep { join(' ', map { $_->{type} } $processes->of($_)) =~ /fork(?!.*exit)/ } @burst;
};
my %unheard = map { $_->{pid} => 1 } $leaked->();
$stream->wait_for(sub { delete $unheard{ $_->{pid} } if $_->{type} eq 'exit'; !%unheard }, 'the ends of all') if %unheard;
is_deeply([$leaked->()], [], 'a process whose fork was reported is reported as gone');

# Each of our processes has two messages, fork and exit: reported and lost ones add up to all.
my $processes = Forkbus::Processes->new($stream->events);
my ($forks, $exits, @doubled, @misordered) = (0, 0);
for my $made (@burst) {
    my @types = map { $_->{type} } $processes->of($made);
    my $types = join ' ', grep { /^(?:fork|exit)$/ } @types;
    push @doubled, "$made->{pid}: $types" if $types =~ /fork.*fork|exit.*exit/;
    push @misordered, "$made->{pid}: $types" if $types eq 'exit fork';

    # An exit that was only inferred has no status.
    $forks += $types =~ /fork/ ? 1 : 0;
    $exits += grep { $_->{type} eq 'exit' && $_->{status} } $processes->of($made);
}
my $unreported = 2 * @burst - $forks - $exits;
cmp_ok($unreported, '>', 0,      "of the burst $unreported messages are missing");
cmp_ok($unreported, '<=', $total, 'which are among those that are reported as lost: others were, too');
is_deeply(\@doubled,    [], 'no process is reported twice');
is_deeply(\@misordered, [], 'nor in the wrong order');
my @wrong = grep {
    my ($exit) = grep { $_->{type} eq 'exit' && $_->{status} } $processes->of($_);
    $exit && json($exit->{status}) ne json({ code => $_->{code} })
} grep { exists $_->{code} } @made;
is_deeply(\@wrong, [], 'reported exits are correct');
my @incomplete = grep { join(' ', map { $_->{type} } $processes->of($_)) !~ /^fork (?:exec )?exit$/ } @after;
is(scalar @after, 201, 'two hundred were started afterwards');
is_deeply(\@incomplete, [], 'and are reported as usual');

# Living processes.
my %exit = map { $_->{pid} => $_ } grep { $_->{type} eq 'exit' } $stream->events;
is_deeply([grep { !$exit{$_} } @leave], [], 'processes that ended meanwhile are reported as ended');
my %living;
my $same = Forkbus->wait_until(sub {
    my $snapshot = $broker->subscribe({ snapshot => Cpanel::JSON::XS::true });
    $snapshot->wait_ready;
    my %reported   = map { $_->{pid} => 1 } grep { $_->{type} eq 'process' } $snapshot->events;
    my %really = map { m{(\d+)$} ? ($1 => 1) : () } glob '/proc/[0-9]*';

    # Other processes start and end between the two readings.
    %living = (reported => \%reported, really => \%really);
    return "@{[sort keys %reported]}" eq "@{[sort keys %really]}" && $broker->status->{processes} == keys %reported;
});
my @unknown = grep { !$living{reported}{$_} } @stay, @come;
is_deeply(\@unknown, [], 'older and new living processes are in the table');
my @dead    = grep { !$living{really}{$_} } keys %{ $living{reported} };
my @missing = grep { !$living{reported}{$_} } keys %{ $living{really} };
ok($same, 'it has exactly the living processes') or diag("dead: @dead; missing: @missing");
$_->go->finish for $stays, $comes;
my %left = map { $_ => 1 } @stay, @come;
$stream->wait_for(sub { delete $left{ $_->{pid} } if $_->{type} eq 'exit'; !%left }, 'the exits of all');
pass('and reports their ends');
is($broker->status->{lost}{unarmed}{times}, 0, 'nothing of this is taken for silence');
$_->stop for $broker, $witness;
done_testing;
