#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A broker of an ordinary user, on kernels where users may listen (6.6 and later): it reports every process with its status,
# but no usage except the elapsed time; and it logs this.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Forkbus qw(json run);
use Test::More;

my ($user) = Forkbus::nobody;
my @user   = $> == 0 ? (uid => $user) : ();
my $base   = Forkbus->directory;

# The probe for the user who is to run it.
my $program = $> == 0 ? Forkbus->installed(Forkbus::forkbusd(), $base) : Forkbus::forkbusd();
my ($status, $out) = run([$program, '--probe'], @user);
my ($probed) = grep { $_->{source} eq 'connector' } map { Forkbus::parse($_) } split /\n/, $out;
plan(skip_all => "the kernel does not allow it: $probed->{found}") if !$probed->{works};
like("$probed->{found} $probed->{advice}", qr/CAP_NET_ADMIN|root/, '--probe names the benefit of root') or diag($out);

my $broker = Forkbus->broker(source => 'connector', @user);
my $stream = $broker->subscribe({ since => $broker->beginning });
my ($source) = $stream->wait_for(sub { $_->{type} eq 'source' }, 'the source');
like($source->{detail}, qr/without taskstats.*no usage/, 'the source reports that there is no usage');
is($broker->status->{source}{taskstats}, Cpanel::JSON::XS::false, 'the status, too');
like($broker->stderr, qr/CAP_NET_ADMIN/, 'and the messages');

my @kinds = (qw(burst=500 signals shebang killed-threads=20 names orphan chain vfork spawn leader-first exit-from-thread),
    'exec-from-thread');
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
chdir $base;
my $workload = Forkbus::Workload->start(arguments => \@kinds);
my @made     = $workload->go->finish;
$stream->wait_for(sub { $_->{type} eq 'exit' && $_->{pid} == $workload->pid && $_->{ppid} == $$ }, 'the exit of the workload');
chdir '/';

my $processes = Forkbus::Processes->new($stream->events);
my (@order, @status, @usage);
for my $made (@made) {
    my @events = $processes->of($made);
    my $types  = join ' ', map { $_->{type} } grep { $_->{type} =~ /^(?:fork|exec|exit)$/ } @events;
    push @order, "$made->{kind} $made->{pid}: $types" if $types ne join ' ', 'fork', ('exec') x $made->{execs}, 'exit';
    my $exit = $events[-1] // {};
    my $right = exists $made->{code} ? { code => $made->{code} } : { map { $_ => $made->{$_} } qw(signal coreDumped) };
    push @status, "$made->{kind} $made->{pid}: " . json($exit->{status}) . ' for ' . json($right)
      if json($exit->{status}) ne json($right);
    my $usage = join ' ', sort keys %{ $exit->{usage} // {} };
    push @usage, "$made->{kind} $made->{pid}: $usage" if $usage ne 'elapsedUsec';
    push @usage, "$made->{kind} $made->{pid}: $exit->{usage}{elapsedUsec} µs"
      if $exit->{usage} && $exit->{usage}{elapsedUsec} > $made->{goneUsec} - $made->{bornAfterUsec} + 2;
}
is_deeply(\@order,  [], 'every process once, in order: ' . @made);
is_deeply(\@status, [], 'with its status');
is_deeply(\@usage,  [], 'and no usage except the elapsed time');
is(scalar(grep { $_->{type} eq 'lost' } $stream->events), 0, 'nothing is lost');
$broker->stop;
done_testing;
