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
use IO::Socket::UNIX;
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

# --- a directory or a socket that is removed ------------------------------------------------------------------------------

# Do something to a running broker's directory, which it has to notice.
sub is_noticed {
    my ($name, $socket, $code) = @_;
    my $broker = Forkbus->broker(@replay);
    my $stream = $broker->subscribe({});
    $stream->wait_ready;
    $code->($broker->dir);
    ok(Forkbus->wait_until(sub { $broker->ended }), "$name: the broker ends");
    is($broker->{status} >> 8, 1, 'with a failure, so that a service manager starts it again');
    like($broker->stderr, qr/\Q${\$broker->dir}\E\/$socket was removed, so clients do not find this broker any more; ending/,
        'and says why');
    $broker->restart;
    is($broker->status->{pid}, $broker->pid, 'that works');
    $broker->stop("again after $name");
}

is_noticed('the directory is removed', '(?:stream|org\.forkbus1)', sub { remove_tree($_[0]) });
is_noticed('it is renamed', 'stream', sub { rename $_[0], "$_[0].old" or die "$_[0]: $!\n" });
is_noticed('a socket is removed', 'org\.forkbus1', sub { unlink "$_[0]/org.forkbus1" or die "$_[0]: $!\n" });
is_noticed('another socket has its name', 'stream', sub {
    my $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$_[0]/other", Listen => 1) or die "socket: $!\n";
    rename "$_[0]/other", "$_[0]/stream" or die "$_[0]: $!\n";
});

# What else happens there is nothing to it.
$broker = Forkbus->broker(@replay);
Forkbus->write_file($broker->dir . '/file', 'anything');
unlink $broker->dir . '/file';
unlink $broker->dir . '/log';
is($broker->status->{pid}, $broker->pid, 'other files, and the log, may be removed');
$broker->stop;

# --- a successor in the same place --------------------------------------------------------------------------------------

my $old = Forkbus->broker(@replay);
$old->signal('STOP');
remove_tree($old->dir);
my $new = Forkbus->broker(@replay, dir => $old->{base});
is($new->status->{pid}, $new->pid, 'after the directory was removed, another broker begins in a new one of that name');
$old->signal('CONT');
ok(Forkbus->wait_until(sub { $old->ended }), 'the old broker ends');
is($new->status->{pid}, $new->pid, 'the sockets of the new one are still there');
ok(-S $new->dir . '/org.forkbus1', 'both of them');
$new->stop('the successor');
done_testing;
