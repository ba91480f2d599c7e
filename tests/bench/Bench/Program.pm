# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A program that runs beside the bench, and ends with it. It reads tasks from its standard input, one per line, and answers each
# with a line of JSON.
package Bench::Program;

use strict;
use warnings;
use Forkbus;
use IO::Handle;
use IO::Select;
use POSIX ();
use Time::HiRes ();

use constant PATIENCE => 120;    # seconds that an answer may take

my %running;

END {
    my $status = $?;
    kill 'KILL', keys %running;
    waitpid $_, 0 for keys %running;
    %running = ();
    $? = $status;
}

my $build = $ENV{FORKBUS_BUILD} // 'build';

# The path of one of tests/bench.
sub path {
    my ($class, $name) = @_;
    return "$build/tests/bench/$name";
}

# start($command, env => {…}, ready => 1): with "ready", wait until it says its first line.
sub start {
    my ($class, $command, %options) = @_;
    pipe my $input,  my $to     or die "pipe: $!\n";
    pipe my $from,   my $output or die "pipe: $!\n";
    my $said = File::Temp->new(TEMPLATE => 'forkbus-XXXXXXXX', TMPDIR => 1);
    my $pid  = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<&', $input  or POSIX::_exit(126);
        open STDOUT, '>&', $output or POSIX::_exit(126);
        open STDERR, '>&', $said   or POSIX::_exit(126);
        close $_ for $input, $to, $from, $output;
        @ENV{ keys %{ $options{env} } } = values %{ $options{env} } if $options{env};
        { no warnings 'exec'; exec 'setpriv', '--pdeathsig', 'KILL', '--', @$command; }
        POSIX::_exit(127);
    }
    close $_ for $input, $output;
    $to->autoflush(1);
    $running{$pid} = 1;
    my $name = $command->[0] =~ s{.*/}{}r;
    my $self = bless { pid => $pid, owner => $$, to => $to, from => $from, said => $said, name => $name }, $class;
    $self->answer if $options{ready};
    return $self;
}

sub pid { return $_[0]{pid} }

# Its output on standard error.
sub said {
    my ($self) = @_;
    my $text = Forkbus->read_file("$self->{said}");
    chomp $text;
    return $text;
}

sub fail {
    my ($self, $what) = @_;
    my $said = $self->said;
    die "$self->{name} $what" . ($said eq '' ? '' : ": $said") . "\n";
}

sub line {
    my ($self) = @_;
    IO::Select->new($self->{from})->can_read(PATIENCE) or $self->fail('does not answer');
    return readline($self->{from}) // $self->fail('has ended');
}

# Its next message.
sub answer {
    my ($self) = @_;
    my $line = $self->line;
    return $line =~ /^\{/ ? Forkbus::parse($line) : $line;
}

sub tell {
    my ($self, $line) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } "$line\n";
    return $self;
}

sub ask {
    my ($self, $line) = @_;
    return $self->tell($line)->answer;
}

# There are no more tasks. Return: its last message, if any.
sub finish {
    my ($self) = @_;
    close $self->{to};
    my $line = readline $self->{from};
    $self->wait;
    return defined $line && $line =~ /^\{/ ? Forkbus::parse($line) : undef;
}

sub wait {
    my ($self) = @_;
    waitpid $self->{pid}, 0;
    delete $running{ $self->{pid} };
}

sub end {
    my ($self) = @_;
    return if !$running{ $self->{pid} };
    kill 'KILL', $self->{pid};
    $self->wait;
}

# If the handle goes, the program ends.
sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->end if $self->{owner} == $$;
}

# Processor time of a process with all its threads, those too that are gone, in seconds: clock_getcpuclockid(3).
sub cpu_of {
    my ($pid) = @_;
    return Time::HiRes::clock_gettime(unpack 'l', pack 'L', (~($pid + 0) << 3 | 2) & 0xffffffff);
}

1;
