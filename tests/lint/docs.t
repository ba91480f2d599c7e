#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Man pages, help, and what "make install" leaves behind.
use strict;
use warnings;
use File::Find;
use File::Temp 'tempdir';
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More;

# The makes below are not part of the one that runs us.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES)};

my @pages = files(qr{^docs/[^/]+\.[1-8]$});
tool_ok("$_ is a well-formed man page", 'mandoc', '-T', 'lint', '-W', 'warning', $_) for @pages;

# Files that texts name are there.
my @gone;
for my $text (files(qr{^(?:README\.md|docs/.*\.md|tests/fixtures/.*\.md)$})) {
    for my $path (content($text) =~ m{`((?:broker|clients|docs|kmod|proto|systemd|tests)/[\w./-]+)`}g) {
        push @gone, "$text: $path" if $path !~ /NAME/ && !-e $path;
    }
}
none(\@gone, 'files that are named are there');

my $makefile = content('Makefile');
my $help     = qx(make -s help);
for my $target (split ' ', $makefile =~ s/\\\n//gr =~ /^\.PHONY: (all .*)$/m ? $1 : die 'no .PHONY') {
    next if $target eq 'prove';    # not for people
    like($help, qr/^  \Q$target\E +\S/m, "make help reports $target");
}

# The page on the log is about the version that brokers write.
my ($version) = content('proto/log-format.h') =~ /^#define LOG_VERSION\s+(\d+)/m;
like(content('docs/forkbus-ring.7'), qr/^This page describes version $version\.\n.*Ta version Ta $version\n/ms,
    'forkbus-ring(7) describes the version of the log');

# The configuration names every key that the man page does, and the other way round.
SKIP: {
    -e 'docs/forkbusd.conf.5' or skip 'there is no forkbusd.conf(5)', 1;
    my %example = map  { $_ => 1 } content('systemd/forkbusd.conf') =~ /^#?([A-Z]\w+)=/mg;
    my @missing = grep { content('docs/forkbusd.conf.5') !~ /\b$_/ } sort keys %example;
    is_deeply(\@missing, [], 'forkbusd.conf(5) documents every key of the example');
}

# So does that of forkbus-notify, and its man page has the commands that it ignores.
my %notify = map { $_ => 1 } content('systemd/notify.conf') =~ /^#?([A-Z]\w+)=/mg;
my %keys   = map { $_ => 1 } content('clients/notify/config.c') =~ /\{[\s\\]*"?\w+"?, "([A-Z]\w+)", /g;
is_deeply([sort keys %notify], [sort keys %keys], 'notify.conf has every key that there is');
my $page = content('docs/forkbus-notify.conf.5');
is_deeply([grep { $page !~ /\b$_=/ } sort keys %notify], [], 'forkbus-notify.conf(5) documents them');
my ($listed) = $page =~ /config\.c\.\n(.*?)^\.Ed$/ms;
my $ignored  = join '', content('clients/notify/config.c') =~ /^#define IGNORED_COMMANDS(.*?)^$/ms ? $1 =~ /"(.*?)"/g : ();
is_deeply([split ' ', $listed], [split ' ', $ignored], 'and the commands that are ignored');

my $build = $ENV{FORKBUS_BUILD};
SKIP: {
    $build && -x "$build/bin/forkbusd" && $build !~ /sanitize/ or skip 'nothing is built', 3;
    my $root = tempdir(CLEANUP => 1);
    my @make = ('make', '-s', "BUILD=$build", "DESTDIR=$root", 'PREFIX=/usr');
    tool_ok('make install', @make, 'install');
    my $files = sub {
        my @found;
        find({ no_chdir => 1, wanted => sub { push @found, s/^\Q$root\E//r if -f } }, $root);
        return [sort @found];
    };
    my $unit = content("$root/usr/lib/systemd/system/forkbusd.service");
    like($unit, qr{^ExecStart=/usr/bin/forkbusd\b}m, 'the unit starts what was installed');
    my $interface = 'org.forkbus1.varlink';
    is(content("$root/usr/share/varlink/$interface"), content("proto/$interface"), 'the Varlink interface is installed');
    is(scalar(grep { m{^/usr/share/man/man\d/} } @{ $files->() }), scalar @pages, 'man pages are installed');
  SKIP: {
        -x '/usr/bin/systemd-analyze' or skip 'no systemd here', 1;
        # The paths are those of the machine that it will be on.
        open my $copy, '>', "$root/forkbusd.service" or die "$root: $!\n";
        print {$copy} $unit =~ s{/usr/bin/forkbusd}{/bin/true}r =~ s/^Documentation=.*\n//mr;
        close $copy;
        tool_ok('systemd-analyze verify', 'systemd-analyze', 'verify', "$root/forkbusd.service");
        unlink "$root/forkbusd.service";
    }
  SKIP: {
        -x '/usr/bin/systemd-analyze' or skip 'no systemd here', 1;
        my $user = content("$root/usr/lib/systemd/user/forkbus-notify.service");
        open my $copy, '>', "$root/forkbus-notify.service" or die "$root: $!\n";
        print {$copy} $user =~ s{^ExecStart=/usr/bin/forkbus-notify$}{ExecStart=/bin/true}mr =~ s/^Documentation=.*\n//mr;
        close $copy;
        local $ENV{XDG_RUNTIME_DIR} = $root;
        tool_ok('systemd-analyze verify, for users', 'systemd-analyze', '--user', 'verify', "$root/forkbus-notify.service");
        unlink "$root/forkbus-notify.service";
    }
    tool_ok('make uninstall', @make, 'uninstall');
    is_deeply($files->(), [], 'nothing is left');
}

done_testing;
