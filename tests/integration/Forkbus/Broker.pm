# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A broker for a test. It ends with the test, even if the test fails.
package Forkbus::Broker;

use strict;
use warnings;
use Fcntl;
use Forkbus::Children;
use IO::Socket::UNIX;
use POSIX ();
use Test::More ();
use Text::ParseWords 'shellwords';
use Time::HiRes ();

# The default options of every test's broker: frequent heartbeats, because tests wait for them, and a group with which an ordinary
# user who runs the tests sees the same as root.
my %standard = (
    Broker => { HeartbeatSec => '100ms' },
    Access => { Group        => $> == 0 ? '' : $) + 0 },
);

# The text of a configuration: { Section => { Key => value } } on top of the standard one.
sub configuration {
    my ($sections) = @_;
    my $text = '';
    for my $section (sort keys %{ { %standard, %{ $sections // {} } } }) {
        my %keys = (%{ $standard{$section} // {} }, %{ $sections->{$section} // {} });
        $text .= "[$section]\n" . join '', map { "$_=$keys{$_}\n" } sort keys %keys;
    }
    return $text;
}

# start(source => , bus => , log_size => , config => {…}, dir => , uid => , env => {…}, args => […],
#       sockets => [[name, socket], …])
# Return: the broker; {ready}: clients can connect to it.
sub start {
    my ($class, %options) = @_;
    my $base = $options{dir} // Forkbus->directory;
    my $self = bless { base => $base, dir => "$base/run", %options }, $class;
    $self->{source} = Forkbus::live_source() if ($self->{source} // '') eq 'connector';
    $self->{config_file} = "$base/forkbusd.conf";
    $self->{stderr_file} = "$base/stderr";
    Forkbus->write_file($self->{config_file}, configuration($options{config}));
    if (defined $options{uid} && !-d $self->{dir}) {
        mkdir $self->{dir} or die "$self->{dir}: $!\n";
        chown $options{uid}, $options{uid}, $self->{dir};
    }
    $self->spawn;
    $self->{ready} = Forkbus->wait_until(sub { $self->ended || $self->answers }) && !exists $self->{status};
    return $self;
}

sub command {
    my ($self) = @_;
    my @command = Forkbus::forkbusd();
    if (defined $self->{uid}) {
        # A wrapper may have to write where an ordinary user cannot.
        @command = Forkbus->installed($command[0], $self->{base});
    } elsif ($ENV{FORKBUSD_WRAPPER}) {
        unshift @command, shellwords($ENV{FORKBUSD_WRAPPER});
    }
    push @command, '--foreground', "--runtime-dir=$self->{dir}", "--config=$self->{config_file}";
    push @command, '--bus=' . ($self->{bus} // 'none');
    push @command, "--source=$self->{source}"     if defined $self->{source};
    push @command, "--log-size=$self->{log_size}" if defined $self->{log_size};
    my @user = defined $self->{uid} ? ("--reuid=$self->{uid}", "--regid=$self->{uid}", '--clear-groups') : ();
    return ('setpriv', @user, '--pdeathsig', 'KILL', '--', @command, @{ $self->{args} // [] });
}

sub spawn {
    my ($self) = @_;
    my @command = $self->command;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null'          or POSIX::_exit(126);
        open STDERR, '>>', $self->{stderr_file} or POSIX::_exit(126);
        open STDOUT, '>&', \*STDERR             or POSIX::_exit(126);
        delete @ENV{qw(NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID JOURNAL_STREAM)};
        @ENV{ keys %{ $self->{env} } } = values %{ $self->{env} } if $self->{env};
        hand_over($self->{sockets}) if $self->{sockets};
        { no warnings 'exec'; exec @command; }
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    delete $self->{status};
    $running{$pid} = $self;
}

# Passes sockets like a service manager, [name, socket] each: they are descriptors from 3 on.
sub hand_over {
    my ($sockets) = @_;
    # Descriptors that are in use there are moved first.
    my @high = map { fcntl($_->[1], F_DUPFD, 100) // POSIX::_exit(126) } @$sockets;
    POSIX::dup2($high[$_] + 0, 3 + $_) // POSIX::_exit(126) for 0 .. $#high;
    POSIX::close($_ + 0) for @high;
    $ENV{LISTEN_PID}     //= $$;
    $ENV{LISTEN_FDS}     = @$sockets;
    $ENV{LISTEN_FDNAMES} = join ':', map { $_->[0] } @$sockets;
    delete $ENV{LISTEN_FDNAMES} if !defined $sockets->[0][0];
}

sub answers {
    my ($self) = @_;
    return defined IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$self->{dir}/stream");
}

# Has it ended? Then {status} is its wait status.
sub ended {
    my ($self) = @_;
    return 1 if exists $self->{status};
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
    $self->{status} = $?;
    delete $running{ $self->{pid} };
    return 1;
}

sub pid    { return $_[0]{pid} }
sub dir    { return $_[0]{dir} }
sub stream { return "$_[0]{dir}/stream" }
sub log    { return "$_[0]{dir}/log" }

# Its whole output so far, of all runs in this directory.
sub stderr { return Forkbus->read_file($_[0]{stderr_file}) }

sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} or die "kill $signal: $!\n";
}

# Wait until its output matches. Return: whether it did.
sub says {
    my ($self, $pattern, $from) = @_;
    return Forkbus->wait_until(sub { substr($self->stderr, $from // 0) =~ $pattern || $self->ended })
      && substr($self->stderr, $from // 0) =~ $pattern;
}

# End it by a signal and wait. Return: its wait status, undef if it had to be killed.
sub end {
    my ($self, $signal) = @_;
    kill $signal // 'TERM', $self->{pid} if !$self->ended;
    return $self->{status} if Forkbus->wait_until(sub { $self->ended });
    kill 'KILL', $self->{pid};
    Forkbus->wait_until(sub { $self->ended });
    return undef;
}

# The reports of sanitizers and valgrind.
our $report = qr/(?:Address|Leak|Thread|Memory)Sanitizer|runtime error: |^==\d+== |^\*\*\* /m;

# The end of a test: it ends cleanly on SIGTERM. Two tests.
sub stop {
    my ($self, $name) = @_;
    $name = defined $name ? " ($name)" : '';
    my $status = $self->end('TERM');
    my $fine   = Test::More::is($status, 0, "the broker ends with status 0$name");
    my $said   = $self->stderr;
    $fine = Test::More::ok($said !~ $report, "nothing is wrong with its memory$name") && $fine;
    Test::More::diag($said) if !$fine;
    return $fine;
}

# Start it again on the same directory.
sub restart {
    my ($self, %options) = @_;
    @$self{ keys %options } = values %options;
    $self->spawn;
    $self->{ready} = Forkbus->wait_until(sub { $self->ended || $self->answers }) && !exists $self->{status};
    die 'the broker does not start again: ' . $self->stderr . "\n" if !$self->{ready};
    return $self;
}

# Another configuration, to be read at the next SIGHUP.
sub configure {
    my ($self, $config) = @_;
    Forkbus->write_file($self->{config_file}, ref $config ? configuration($config) : $config);
}

# subscribe($request, uid => , groups => [])
# $request: a hash, or the line itself, or undef for none
sub subscribe {
    my ($self, $request, %options) = @_;
    return Forkbus::Subscriber->new($self->stream, $request, broker => $self, %options);
}

# varlink(uid => , groups => []): a connection to the Varlink face
sub varlink {
    my ($self, %options) = @_;
    return Forkbus::Varlink->new("$self->{dir}/org.forkbus1", broker => $self, %options);
}

sub status {
    my ($self) = @_;
    my $answer = $self->subscribe({ query => 'status' });
    my $status = $answer->next;
    Test::More::diag('the broker says: ' . $self->stderr) if !defined $status;
    return $status;
}

# The number of the last event in the log.
sub last_seq { return (split /:/, $_[0]->status->{cursor})[1] }

# The cursor before the first event of the log.
sub beginning { return (split /:/, $_[0]->status->{cursor})[0] . ':0' }

# CPU time so far, in seconds, and private memory, in KiB.
sub cpu {
    my ($self) = @_;
    my @fields = split ' ', Forkbus->read_file("/proc/$self->{pid}/stat") =~ s/^.*\) //sr;
    return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub memory {
    my ($self) = @_;
    return Forkbus->read_file("/proc/$self->{pid}/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : undef;
}

sub descriptors {
    my ($self) = @_;
    opendir my $dir, "/proc/$self->{pid}/fd" or return undef;
    return scalar grep { !/^\./ } readdir $dir;
}

1;
