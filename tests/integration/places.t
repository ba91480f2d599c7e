#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The runtime directory: what other users can do there, what was there before, and what happens when it is removed.
use strict;
use warnings;
use Fcntl ':flock';
use File::Path 'remove_tree';
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json nobody run);
use Test::More;

my $base      = Forkbus->directory;
my $recording = Forkbus->write_file("$base/recording", json({ type => 'exec', timeUsec => 1, pid => 2, startUsec => 3 }) . "\n");
my @replay    = (source => "replay:$recording\@flat", log_size => '512K');
my ($nobody)  = nobody();

# Start a broker that has to refuse. Return: what it writes.
sub refusal {
    my ($dir) = @_;
    my ($status, undef, $err) = run(
        [Forkbus::forkbusd(), '--foreground', '--bus=none', '--log-size=512K', "--source=$replay[1]", "--runtime-dir=$dir"]);
    is($status, 1, 'a broker does not start there');
    return $err;
}

# --- locks of other users -----------------------------------------------------------------------------------------------

# A process of another user, if there can be one, holds every lock that it can get. Return: its pid.
sub hold_locks {
    my @paths = @_;
    pipe my $reader, my $writer or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        Forkbus::become($nobody) if $> == 0;
        my @held;
        for my $path (@paths) {
            open my $file, '<', $path or next;
            push @held, $file if flock $file, LOCK_EX | LOCK_NB;
        }
        syswrite $writer, scalar(@held) . "\n";
        sleep 600;
        POSIX::_exit(0);
    }
    close $writer;
    my $held = <$reader>;
    chomp $held;
    return ($pid, $held);
}

my $broker = Forkbus->broker(@replay);
is((stat $broker->dir . '/lock')[2] & 07777, 0600, 'nobody else can open the lock file');
$broker->stop('before others lock');
my @paths = ($broker->dir, $> == 0 ? (map { $broker->dir . "/$_" } qw(lock log)) : ());
my ($holder, $held) = hold_locks(@paths);
is($held, 1, 'another user can lock the directory, and nothing else');
$broker->restart;
is($broker->subscribe({})->next->{type}, 'ready', 'a broker starts nevertheless');
kill 'KILL', $holder;
waitpid $holder, 0;
like(refusal($broker->dir), qr/another broker runs in /, 'a second one does not');

# --- what is in the place of a socket ---------------------------------------------------------------------------------------

$broker->end('KILL');
my $precious = Forkbus->write_file("$base/precious", 'precious');
chmod 0600, $precious;
for my $name ('stream', 'org.forkbus1') {
    unlink $broker->dir . "/$name";
    symlink $precious, $broker->dir . "/$name" or die "symlink: $!\n";
}
$broker->restart;
is((stat $precious)[2] & 07777, 0600,       'a link in the place of a socket is not followed');
is(Forkbus->read_file($precious), 'precious', 'its target is as it was');
is((lstat $broker->dir . "/$_")[2] & 07777, 0666, "everyone may connect to $_") for 'stream', 'org.forkbus1';
$broker->stop('with sockets in the place of links');

# --- foreign directories ------------------------------------------------------------------------------------------------

for my $mode (0757, 0775, 01777) {
    my $dir = "$base/" . sprintf '%o', $mode;
    mkdir $dir;
    chmod $mode, $dir;
    like(refusal($dir), qr/\Q$dir\E is not safe: /, sprintf 'others may write in a directory of mode %o', $mode);
    is_deeply([glob "$dir/*"], [], 'nothing was made there');
}
SKIP: {
    skip 'only root can give a directory away', 3 if $> != 0;
    mkdir "$base/foreign";
    chown $nobody, $nobody, "$base/foreign";
    like(refusal("$base/foreign"), qr/foreign is not safe: /, 'a directory of another user');
    is_deeply([glob "$base/foreign/*"], [], 'nothing was made there');
}

# --- a successor in the same place --------------------------------------------------------------------------------------

my $old    = Forkbus->broker(@replay);
my $stream = $old->subscribe({});
$stream->wait_ready;
remove_tree($old->dir);
my $new = Forkbus->broker(@replay, dir => $old->{base});
is($new->status->{pid}, $new->pid, 'after the directory was removed, another broker begins in a new one of that name');
$stream->wait_for(sub { $_->{type} eq 'heartbeat' }, 'the old broker serves its subscriber');
is($old->end('TERM'), 0, 'the old broker ends');
is($new->status->{pid}, $new->pid, 'the sockets of the new one are still there');
ok(-S $new->dir . '/org.forkbus1', 'both of them');
$new->stop('the successor');
done_testing;
