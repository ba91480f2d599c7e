#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# If a subscriber's recording is replayed, it gives the same events, except for their numbers, at the requested speed.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json now_usec run);
use Test::More;

use constant { START => 1_700_000_000_000_000, HOUR => 3_600_000_000 };

my $dir = Forkbus->directory;

# Every kind of event, with every key.
my $clock = 0;
my %who   = (
    pid => 4711, startUsec => 5, ppid => 1, parentStartUsec => 1, uid => 1000, gid => 1001, euid => 0, egid => 1002,
    loginUid => 1000, session => 4000, tty => 'pts/3', comm => 'worker', cgroup => '/user.slice', unit => 'user.slice'
);
my @recording = map { { timeUsec => START + $clock, bootUsec => $clock += 1000, %$_ } } (
    { type => 'source', source => 'connector', armed => 'fork exec exit', reason => 'started', detail => 'of another broker' },
    { %who, type => 'fork', cloneFlags => 17 },
    { %who, type => 'fork', tid => 4712 },
    { %who, type => 'exec', exe => '/opt/a "b"', filename => 'b', filenameCut => Cpanel::JSON::XS::true },
    { %who, type => 'comm', comm => "caf\x{fffd}", commRaw => 'Y2Fm6Q==' },
    { %who, type => 'comm', comm => "\x{43a}\x{43e}\x{442}\n\t\x{1}" },
    { %who, type => 'id', old => { uid => 0, gid => 0, euid => 1, egid => 2 } },
    { %who, type => 'session' },
    { %who, type => 'chroot' },
    { %who, type => 'ptrace', tracerPid => 12 },
    { %who, type => 'coredump' },
    { %who, type => 'exit', tid => 4712, status => { code => 0 } },
    {
        %who,
        type   => 'exit',
        status => { signal => 11, coreDumped => Cpanel::JSON::XS::true },
        usage  => {
            map { $_ => 1000 + length } qw(userUsec systemUsec elapsedUsec maxRssKib minorFaults majorFaults
              voluntarySwitches involuntarySwitches readBytes writeBytes readChars writeChars)
        }
    },
    { type => 'lost', reason => 'netlink', count => 7, sinceUsec => 1, untilUsec => 2, detail => 'too many' },
    { %who, type => 'exit', pid => 4713, status => { code => 255 } },
);

# Replay a file. Return: all lines that the log has at the end, without numbers and the broker's own events.
sub play {
    my ($file, $speed, $name) = @_;
    my $broker = Forkbus->broker(source => "replay:$file\@$speed");
    my $stream = $broker->subscribe({ since => $broker->beginning, threads => Cpanel::JSON::XS::true });
    $stream->wait_for(sub { $_->{type} eq 'source' && ($_->{reason} // '') eq 'end of file' }, 'the end of the file');
    my @own = grep { $_->{type} eq 'source' && $_->{source} eq 'replay' } $stream->events;
    my @events = grep { $_->{type} ne 'source' || $_->{source} ne 'replay' } $stream->events;
    my $status = $broker->status;
    $broker->stop($name);
    return (\@events, \@own, $status, $stream);
}

sub without_number {
    return [map { my %event = %$_; delete $event{seq}; \%event } @{ $_[0] }];
}

my $first = Forkbus->write_file("$dir/first.jsonl", join '', map { json($_) . "\n" } @recording);
my ($events, $own, $status) = play($first, 'flat', 'first');
is_deeply(without_number($events), \@recording, 'all replayed events are reported');
is($status->{source}{malformed}, 0, 'and understood');
is_deeply([map { $_->{reason} } @$own], ['started', 'end of file'], 'the stream reports the beginning and end of the file');

# A subscriber's recording: with ready, heartbeats, a snapshot, a loss of this subscriber, and numbers.
my @noise = (
    { %who, type => 'process', pid => 4999, startUsec => 3 },
    { type => 'ready', timeUsec => START, cursor => '0123456789abcdef:7' },
    { type => 'lost', timeUsec => START, reason => 'slow', from => 5, to => 8, count => 4 },
    { type => 'heartbeat', timeUsec => START, cursor => '0123456789abcdef:9' },
);
my $second = Forkbus->write_file("$dir/second.jsonl", join '', map { json($_) . "\n" } @noise, @$events);
my ($again, undef, $second_status) = play($second, 'flat', 'second');
is_deeply(without_number($again), \@recording, 'a recording of a replay is the recording');
is($second_status->{processes}, 1, 'the snapshot in it fills the table');

# A file with errors.
my @rest = map { json($_) } @recording;
my $bad = Forkbus->write_file("$dir/bad.jsonl",
    join "\n", '', 'no JSON', $rest[0], '{"type":"nonsense"}', '{"pid":1}', 'x' x 300000, "\0\xff", $rest[1]);
my ($good, undef, $bad_status) = play($bad, 'flat', 'bad');
is_deeply(without_number($good), [@recording[0, 1]], 'of a file with errors the rest is reported');
is($bad_status->{source}{malformed}, 5, 'and the errors are counted');

# Timing. A replay must not be faster than requested; on a busy machine it may be slower.
my @paced = map { { %who, type => 'session', timeUsec => START + $_, bootUsec => $_ } } 0, 200_000, 400_000;
my $paced = Forkbus->write_file("$dir/paced.jsonl", join '', map { json($_) . "\n" } @paced);
for my $speed (1, 4) {
    my $begin = now_usec();
    play($paced, $speed, "at $speed");
    cmp_ok(now_usec() - $begin, '>=', 400_000 / $speed, "a recording of 400 ms at speed $speed takes as long");
}
my @long = map { { %who, type => 'session', timeUsec => START + $_, bootUsec => $_ } } 0, HOUR;
my $long = Forkbus->write_file("$dir/long.jsonl", join '', map { json($_) . "\n" } @long);
for my $speed (100000, 'flat') {
    my ($reported) = play($long, $speed, "at $speed");
    is(scalar @$reported, 2, "an hour at speed $speed is soon over");
}

# Names that end a line for str.splitlines() of Python and others, in events and in the name of the file.
my $ends  = qr/[\x0b\x0c\x1c-\x1e\x85\x{2028}\x{2029}]/;
my $ender = "a\x{b}b\x{c}c\x{1c}d\x{1d}e\x{1e}f\x{85}g\x{2028}h\x{2029}i";
my $named = Forkbus->write_file("$dir/a\xe2\x80\xa8b\xff.jsonl", json({ %who, type => 'comm', comm => $ender }) . "\n"
      . json({ %who, type => 'process', comm => $ender }) . "\n");
my $ending = Forkbus->broker(source => "replay:$named\@flat");
my $reader = $ending->subscribe({ since => $ending->beginning });
my $comm   = $reader->wait_for(sub { $_->{type} eq 'comm' }, 'an event with such a name');
is($comm->{comm}, $ender, 'is the same');
my @ctl = (Forkbus::forkbusctl(), '--runtime-dir=' . $ending->dir);
for my $command ([qw(ps --json=short)], [qw(ps --json=pretty)], [qw(status --json=short)], [qw(status --json=pretty)]) {
    my ($ended, $out) = run([@ctl, @$command]);
    utf8::decode($out);
    is($ended, 0, "forkbusctl @$command");
    unlike($out, $ends, 'has no other ends of lines than LF');
    like($out, qr/\\u2028/i, 'but the escape of one');
}
$ending->stop('with such names');

# Between two events the broker serves clients, and can be stopped.
my $broker = Forkbus->broker(source => "replay:$long");
my $stream = $broker->subscribe({ since => $broker->beginning });
$stream->wait_for(sub { $_->{type} eq 'session' }, 'the first event');
is($broker->status->{source}{done}, Cpanel::JSON::XS::false, 'at recorded speed the next one is an hour away');
$broker->stop;
done_testing;
