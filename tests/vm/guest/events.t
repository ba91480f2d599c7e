#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every type of record, and its content.
use strict;
use warnings;
use Errno 'ENOSYS';
use FindBin '$Bin';
use lib $Bin;
use Genl;
use Guest;
use POSIX ();
use Test::More;

ok(load(), 'the module loads');
my $genl = Genl->new(buffer => 16 << 20);
$genl->join_group;
is($genl->start(qw(fork exec exit id comm session chroot coredump ptrace), { ARGS => 64 }), 0, 'START with every type');
my $self = { start => 0, comm => 'perl' };

# With PREEMPT_RT, what needs a spinlock is left out: paths and terminals.
sub unlocked { return -e '/sys/kernel/realtime' ? undef : $_[0] }

# Run $work in a child. Return: its pid, its status, and its records by type, several of one type in a list.
sub reported {
    my ($work) = @_;
    $genl->records(0.05);
    my ($pid, $status) = child($work);
    my @records = $genl->records(5, sub { $_[0]{TYPE} eq 'exit' && $_[0]{TGID} == $pid });
    my %by_type;
    push @{ $by_type{ $_->{TYPE} } }, $_ for of($pid, @records);
    return ($pid, $status, \%by_type, \@records);
}

sub in_order {
    my (@records) = @_;
    return !grep { $records[$_]{SEQ} != $records[ $_ - 1 ]{SEQ} + 1 || $records[$_]{TIME} < $records[ $_ - 1 ]{TIME} }
      1 .. $#records;
}

subtest 'fork, exit' => sub {
    my ($pid, $status, $reported, $all) = reported(sub { 7 });
    my ($fork, $exit) = map { $reported->{$_}[0] } qw(fork exit);
    ok(in_order(@$all), 'numbers go up by one, times never go back');
    is_deeply([map { scalar @{ $reported->{$_} // [] } } qw(fork exec exit)], [1, 0, 1], 'one fork, one exit');
    is($fork->{PARENT_TGID}, $$, 'the parent');
    ok($fork->{PARENT_START} < $fork->{START}, 'started before its child');
    ok($fork->{START} <= $fork->{TIME} && $fork->{TIME} - $fork->{START} < 1e9, 'who started now');
    is($fork->{START}, $exit->{START}, 'its start is the same at its end');
    is($exit->{STATUS}, 7 << 8, 'the status is that of waitpid(2)');
    is_deeply([@$fork{qw(UID GID EUID EGID COMM)}], [0, 0, 0, 0, 'perl'], 'ids and name');
    ok($fork->{CLONE_FLAGS} & 0x01000000, 'clone flags: fork(3) has its pid stored (CLONE_CHILD_SETTID)');
    ok(exists $fork->{CGROUP} && $fork->{CGROUP} == (stat '/sys/fs/cgroup')[1], 'the cgroup is an inode number')
      or diag(explain($fork));
    ok(!exists $fork->{LOGIN_UID}, 'no login, no login uid');
    ok(!exists $fork->{PID_NS}, 'the initial pid namespace is not reported');
};

subtest 'exec' => sub {
    my ($pid, undef, $reported) = reported(sub { exec '/bin/sh', '-c', 'exit 3', 'x' x 100 });
    my ($exec) = @{ $reported->{exec} };
    is($exec->{FILENAME}, '/bin/sh', 'as asked for');
    is($exec->{EXE}, unlocked('/usr/bin/dash'), 'what runs');
    is($exec->{COMM}, 'sh', 'the new name');
    is(length $exec->{ARGV}, 64, 'arguments, as many bytes as were asked for');
    like($exec->{ARGV}, qr{^/bin/sh\0-c\0exit 3\0x+$}, 'separated by NUL');
    ok($exec->{ARGV_CUT}, 'and said to be cut');
    ok(!exists $reported->{comm}, 'the renaming of an exec is no event');
    is($reported->{exit}[0]{COMM}, 'sh', 'its end has the new name');
};

subtest 'exec of a script, and of what is not there' => sub {
    open my $script, '>', '/tmp/script.sh' or die;
    print {$script} "#!/bin/sh\nexit 0\n";
    close $script;
    chmod 0755, '/tmp/script.sh';
    my (undef, undef, $reported) = reported(sub { exec '/tmp/script.sh' });
    is($reported->{exec}[0]{FILENAME}, '/tmp/script.sh', 'the script as asked for');
    is($reported->{exec}[0]{EXE}, unlocked('/usr/bin/dash'), 'the shell that runs it');
    (undef, undef, $reported) = reported(sub { no warnings; exec '/tmp/nothing'; 9 });
    ok(!$reported->{exec}, 'a failed call causes no event');

    my $long = '/tmp/' . join '/', ('d' x 250) x 15;
    system 'mkdir', '-p', $long;
    system 'cp', '/bin/true', "$long/t";
    (undef, undef, $reported) = reported(sub { exec "$long/t" });
    is($reported->{exec}[0]{FILENAME}, "$long/t", 'a path of ' . length("$long/t") . ' bytes is whole');
    is($reported->{exec}[0]{EXE}, unlocked("$long/t"), 'both times');
};

subtest 'ids' => sub {
    my (undef, undef, $reported) = reported(sub {
        POSIX::setgid(1000);
        syscall 119, 1001, 1002, 1002;    # setresgid
        POSIX::setuid(1003);
        POSIX::setuid(1003);
        return 0;
    });
    my @ids = @{ $reported->{id} };
    is(scalar @ids, 3, 'one for each change, none where nothing changes');
    is_deeply([@{ $ids[0] }{qw(GID EGID OLD_GID OLD_EGID UID)}], [1000, 1000, 0, 0, 0], 'setgid');
    is_deeply([@{ $ids[1] }{qw(GID EGID OLD_GID OLD_EGID)}], [1001, 1002, 1000, 1000], 'setresgid');
    is_deeply([@{ $ids[2] }{qw(UID EUID OLD_UID OLD_EUID GID EGID)}], [1003, 1003, 0, 0, 1001, 1002], 'setuid');
    is($reported->{exit}[0]{UID}, 1003, 'the end has the last ones');
};

subtest 'name, session, root' => sub {
    my ($pid, undef, $reported) = reported(sub {
        my $name = "again\0";
        syscall 157, 15, $name, 0, 0, 0 for 1 .. 2;    # prctl(PR_SET_NAME)
        POSIX::setsid();
        chroot '/tmp';
        return 0;
    });
    is_deeply([map { $_->{COMM} } @{ $reported->{comm} }], ['again'], 'the new name, once');
    is($reported->{session}[0]{SESSION}, $pid, 'leader of a session of the own');
    is($reported->{session}[0]{PGID}, $pid, 'and of a process group');
    is($reported->{fork}[0]{PGID}, getpgrp, 'which was that of its parent before');
    is($reported->{session}[0]{TTY}, unlocked(0), 'without a terminal');
    is($reported->{chroot}[0]{ROOT}, unlocked('/tmp'), 'the new root');

    for my $abi (qw(i386 x32)) {
        (undef, my $status, $reported) = reported(sub { exec "$Bin/../../../build/tests/vm/chroot-abi", $abi, '/usr' });
      SKIP: {
            skip("this kernel has no programs for $abi", 1) if $status >> 8 == ENOSYS || $status == 11;
            is_deeply([$status, map { $_->{ROOT} } @{ $reported->{chroot} }], [0, unlocked('/usr')], "a program for $abi");
        }
    }

    (undef, undef, $reported) = reported(sub {
        open my $namespace, '<', '/proc/self/ns/mnt' or return 1;
        return 2 if syscall 272, 0x20000;    # unshare(CLONE_NEWNS)
        return syscall(308, fileno $namespace, 0x20000) ? 3 : 0;    # setns
    });
    is($reported->{exit}[0]{STATUS}, 0, 'setns(2) into a mount namespace');
    ok(!$reported->{chroot}, '... is no chroot(2)');
};

subtest 'signals and cores' => sub {
    my (undef, $status, $reported) = reported(sub { kill 'KILL', $$; sleep 9 });
    is($reported->{exit}[0]{STATUS}, 9, 'killed');
    ok(!$reported->{coredump}, 'that leaves no core');
    system 'echo /tmp/core.%p > /proc/sys/kernel/core_pattern';
    (undef, $status, $reported) = reported(sub {
        my $limit = pack 'Q2', 1 << 30, 1 << 30;
        syscall 160, 4, $limit;    # setrlimit(RLIMIT_CORE)
        kill 'SEGV', $$;
        sleep 9;
    });
    is($status, 11 | 0x80, 'a core');
    is($reported->{exit}[0]{STATUS}, $status, 'its status shows this');
    is(scalar @{ $reported->{coredump} // [] }, 1, 'announced by an event');
};

subtest 'reading and writing' => sub {
    my $write = sub {
        open my $file, '>', '/var/tmp/written' or return 1;
        print {$file} 'x' x (1 << 20);
        return close $file ? 0 : 2;
    };
    my (undef, undef, $reported) = reported($write);
    my ($exit) = @{ $reported->{exit} };
    cmp_ok($exit->{WRITE_BYTES}, '>=', 1 << 20, 'bytes that were written');
    cmp_ok($exit->{WRITE_CHARS}, '>=', 1 << 20, 'characters too');
    my ($pid, undef, undef, $all) = reported(sub { return (child($write))[1] });
    my %exit = exits(@$all);
    my ($child) = grep { $_->{PARENT_TGID} == $pid } values %exit;
    cmp_ok($child->{WRITE_BYTES}, '>=', 1 << 20, 'a child has its own');
    cmp_ok($exit{$pid}{WRITE_BYTES}, '<', 1 << 20, "its parent has not the child's");
    ok(!exists $exit{$pid}{WRITE_CHARS}, '... and no characters, which are not apart');
};

# A program of a single page, whose memory is too small to be counted: it forks, and its child writes 64 bytes.
sub tiny_program {
    my ($path) = @_;
    my $code = pack 'H*', join '',
      'b839000000', '0f05',                    # mov $57, %eax (fork); syscall
      '85c0', '741a',                          # test %eax, %eax; je child
      'b83d000000', '83cfff', '31f6', '31d2', '4d31d2', '0f05',    # wait4(-1, 0, 0, 0)
      'b83c000000', '31ff', '0f05',            # exit(0)
      # child:
      'b801000000', '89c7', '488d35f0ffffff', 'ba40000000', '0f05',    # write(1, code, 64)
      'b83c000000', '31ff', '0f05';            # exit(0)
    my $base = 0x400000;
    my $size = 64 + 56 + length($code) + 64;
    my $head = pack('A4 C12 S S L Q Q Q L S6', "\x7fELF", 2, 1, 1, (0) x 9, 2, 62, 1, $base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
      . pack 'L L Q6', 1, 5, 0, $base, $base, $size, $size, 4096;
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $head, $code, "\0" x 64;
    close $file;
    chmod 0755, $path;
}

subtest 'writing of a child that is too small to be counted' => sub {
    tiny_program('/var/tmp/tiny');
    my ($pid, $status, undef, $all) = reported(sub {
        open STDOUT, '>', '/var/tmp/written' or return 1;
        exec '/var/tmp/tiny';
    });
    is($status, 0, 'it runs');
    my %exit = exits(@$all);
    my ($child) = grep { $_->{PARENT_TGID} == $pid } values %exit;
    is($child->{WRITE_CHARS}, 64, 'a child has its own');
    ok(!exists $exit{$pid}{WRITE_CHARS}, "its parent has not the child's");
};

subtest 'pid namespaces, user namespaces' => sub {
    $genl->records(0.05);
    my ($pid) = child(sub { exec 'unshare', '-pf', '--mount-proc', 'sh', '-c', 'true; echo $$ >/tmp/nspid' });
    my @records = $genl->records(5, sub { $_[0]{TYPE} eq 'exit' && $_[0]{TGID} == $pid });
    my ($inside) = grep { $_->{PID_NS} && $_->{TYPE} eq 'exec' } @records;
    is($inside->{NS_TGID}, 1, 'the first one in its pid namespace');
    cmp_ok($inside->{TGID}, '>', 1, 'has another number here');
    ok($inside->{PID_NS} > 4_000_000_000, 'the namespace is an inode number');
    my ($born, $ended) = map { my $type = $_; scalar grep { $_->{TYPE} eq $type && $_->{PID_NS} } @records } qw(fork exit);
    is($ended, $born, 'a process that starts in it ends in it');

    ($pid) = child(sub { exec 'setpriv', '--reuid=65534', '--clear-groups', 'unshare', '-U', '-r', 'true' });
    @records = of($pid, $genl->records(5, sub { $_[0]{TYPE} eq 'exit' && $_[0]{TGID} == $pid }));
    is($records[-1]{UID}, 65534, 'root of a user namespace is who it is here');
};

subtest 'ptrace' => sub {
    my (undef, undef, $reported, $all) = reported(sub {
        my $other = fork // die;
        if (!$other) { sleep 1; POSIX::_exit(0) }
        syscall 101, 16, $other, 0, 0;    # PTRACE_ATTACH
        waitpid $other, 2;
        syscall 101, 17, $other, 0, 0;    # PTRACE_DETACH
        waitpid $other, 0;
        return 0;
    });
    my @ptrace = grep { $_->{TYPE} eq 'ptrace' } @$all;
    is(scalar @ptrace, 2, 'attached and detached');
    is($ptrace[0]{TRACER}, $ptrace[0]{PARENT_TGID}, 'by its parent');
    is($ptrace[1]{TRACER}, 0, 'then by nobody');
};

subtest 'threads' => sub {
    $genl->start(qw(fork exit threads));
    $genl->records(0.05);
    my ($said) = workload('exit-from-thread=5');
    my @records = of($said->{pid}, $genl->records(0.5));
    my @threads = grep { $_->{TID} } @records;
    is(scalar(grep { $_->{TYPE} eq 'fork' } @threads), $said->{threads} - 1, 'each thread but the first is born');
    is(scalar(grep { $_->{TYPE} eq 'exit' } @threads), $said->{threads} - 1, 'and ends');
    is(scalar(grep { $_->{TYPE} eq 'exit' && !$_->{TID} } @records), 1, 'and the process once');
    $genl->start(qw(fork exit));
    $genl->records(0.05);
    ($said) = workload('exit-from-thread=5');
    @records = of($said->{pid}, $genl->records(0.5));
    is(scalar(grep { $_->{TID} } @records), 0, 'none if no listener requests them');
    is(scalar @records, 2, 'only the process');
};

subtest 'many ways to live and end' => sub {
    $genl->start(qw(fork exec exit));
    my @said = workload(
        qw(burst=300 vfork spawn failed-exec shebang signals killed-threads=20 leader-first exit-from-thread
           exec-from-thread orphan chain ignored));
    my %exit = exits($genl->records(0.5));
    my (@missing, @wrong);
    for my $process (grep { exists $_->{code} || exists $_->{signal} } @said) {
        my $exit = $exit{ $process->{pid} };
        if (!$exit) { push @missing, $process; next }
        my $status = exists $process->{code} ? $process->{code} << 8 : $process->{signal} | ($process->{coreDumped} ? 0x80 : 0);
        push @wrong, [$process, $exit] if $status != $exit->{STATUS};
    }
    cmp_ok(scalar @said, '>', 300, scalar(@said) . ' processes');
    is_deeply(\@missing, [], 'each has its exit');
    is_deeply(\@wrong,   [], 'with its status');
};

undef $genl;
ok(unload(), 'the module unloads');
done_testing;
