#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The log's file is cut, removed, replaced or made read-only while a broker runs, and its file system is full: the broker goes on,
# and each subscriber gets every event or an exact loss.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json nobody now_usec run);
use Test::More;

my $feed    = Forkbus::Feed->new(log_size => '512K');
my $broker  = $feed->broker;
my $log     = $broker->log;
my $pid     = 100;
my ($epoch) = split /:/, $broker->status->{cursor};

sub publish {
    my ($times) = @_;
    my %common = (type => 'exec', timeUsec => now_usec());
    my @events = map { { %common, pid => ++$pid, startUsec => $pid, comm => "number $pid" } } 1 .. $times;
    $feed->write(@events)->settle;
    return map { $_->{pid} } @events;
}

# Read until this event: the pids of all, and how many were lost.
sub take {
    my ($stream, $last) = @_;
    my (@pids, $lost);
    $stream->wait_for(sub {
        push @pids, $_->{pid} if $_->{type} eq 'exec';
        $lost += $_->{count}  if $_->{type} eq 'lost';
        $_->{type} eq 'exec' && $_->{pid} == $last;
    }, "event $last");
    return (\@pids, $lost // 0);
}

sub forkbusctl_log {
    my ($status, $out) = run([Forkbus::forkbusctl(), 'log', '--json=short', '--type=exec', $log]);
    return ($status, map { Forkbus::parse($_)->{pid} } grep { /"exec"/ } split /\n/, $out);
}

# --- cut ----------------------------------------------------------------------------------------------------------------

my $stream = $broker->subscribe({ types => ['exec'] });
$stream->wait_ready;
my @first = publish(50);
is_deeply([take($stream, $first[-1])], [\@first, 0], 'a subscriber reads all');
for my $length (0, 4096, 70_000) {
    my $said = length $broker->stderr;
    truncate $log, $length or die "$log: $!\n";
    my @pids = publish(2000);
    is_deeply([take($stream, $pids[-1])], [\@pids, 0], "cut to $length bytes: a subscriber that was not behind loses nothing");
    ok($broker->says(qr/the log was cut/, $said), 'the broker reports it') if $length < 70_000;
    my ($status, @found) = forkbusctl_log();
    is($status, 0, 'there is a log that can be read');
    is($found[-1], $pids[-1], 'with the last event') if $length < 70_000;
}
is((split /:/, $broker->status->{cursor})[0], $epoch, 'cursors stay valid');
my $late = $broker->subscribe({ since => "$epoch:0" });
my ($gone) = $late->wait_for(sub { $_->{type} eq 'lost' }, 'a late subscriber hears of the loss');
is($gone->{from}, 1, 'from the first event on');
is($gone->{count}, $gone->{to}, 'with the exact count');

# --- removed, replaced --------------------------------------------------------------------------------------------------

truncate $log, 0;    # whatever the last length was: begin with a new one
publish(10);
unlink $log or die "$log: $!\n";
my @unnamed = publish(20);
my @since   = ($unnamed[0] - 10 .. $unnamed[0] - 1);
is_deeply([take($stream, $unnamed[-1])], [[@since, @unnamed], 0], 'a log without a name is written');
my $back = "$epoch:" . ($broker->last_seq - 1);
my $seen = $broker->subscribe({ since => $back })->wait_for(sub { $_->{type} eq 'exec' }, 'its history');
is($seen->{pid}, $unnamed[-1], 'is served');
Forkbus->write_file($log, 'not a log');
my @other = publish(20);
is_deeply([take($stream, $other[-1])], [\@other, 0], 'so it is if another file has its name');
is((forkbusctl_log())[0], 1, 'forkbusctl refuses that file');
$broker->end('KILL');
$broker->restart;
like($broker->stderr, qr/existing log is not used: .*; a new one begins/, 'the next broker replaces it');
isnt((split /:/, $broker->status->{cursor})[0], $epoch, 'and has another epoch');
$broker->stop('after that');

# --- read-only ----------------------------------------------------------------------------------------------------------

my $base      = Forkbus->directory;
my $recording = Forkbus->write_file("$base/recording", json({ type => 'exec', timeUsec => 1, pid => 2, startUsec => 3 }) . "\n");
my @user      = $> == 0 ? (uid => (nobody())[0]) : ();
my $plain     = Forkbus->broker(source => "replay:$recording\@flat", log_size => '512K', @user);
$plain->end('TERM');
chmod 0400, $plain->log;
$plain->restart;
like($plain->stderr, qr/not used: it cannot be opened; a new one begins/, 'a log that was made read-only is replaced');
$plain->stop('with a new log');

# --- a full file system -------------------------------------------------------------------------------------------------

SKIP: {
    skip 'only root can mount', 4 if $> != 0;
    my $small = "$base/small";
    mkdir $small;
    my @tmpfs = ('unshare', '--mount', 'sh', '-c');
    my ($status) = run([@tmpfs, "mount -t tmpfs none $small"]);
    skip 'no mounts here', 4 if $status != 0;
    my $forkbusd = Forkbus::forkbusd()
      . " --foreground --bus=none --source=replay:$recording\@flat --log-size=512K --runtime-dir=$small";
    my ($failed, undef, $why) = run([@tmpfs, "mount -t tmpfs -o size=256k,mode=755 none $small && exec $forkbusd"]);
    is($failed, 1, 'without room for the log a broker does not start');
    like($why, qr/cannot open the log in .*: No space left/, 'and reports the reason');
    my $script = "mount -t tmpfs -o size=1m,mode=755 none $small && { $forkbusd & } && "
      . "until [ -S $small/stream ]; do sleep 0.01; done; dd if=/dev/zero of=$small/rest bs=4k 2>/dev/null; "
      . Forkbus::forkbusctl() . " --runtime-dir=$small status --json=short; kill \$!; wait \$!";
    my ($ended, $out, $errors) = run([@tmpfs, $script]);
    is($ended, 0, 'a broker goes on if its file system is full: its log has all the room it needs') or diag($errors);
    like($out, qr/"nextSeq":[2-9]/, 'and publishes');
}
done_testing;
