#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel's own tools accept proto/forkbus.yaml: it is a valid specification, the header generated from it has the names
# and numbers of proto/forkbus_netlink.h, and the tools can use the module with it.
use strict;
use warnings;
use File::Copy 'copy';
use File::Path 'make_path';
use File::Temp 'tempdir';
use FindBin '$Bin';
use JSON::PP;
use Test::More;

use constant UNAVAILABLE => 77;

chomp(my $tools = qx($Bin/netlink-tools));
plan skip_all => 'the tools are unavailable' if $? >> 8 == UNAVAILABLE;
$? == 0 or BAIL_OUT('the tools');
my $ynl  = "$tools/tools/net/ynl";
my $spec = "$Bin/../../proto/forkbus.yaml";
my $dir  = tempdir(CLEANUP => 1);

sub content {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/ = undef;
    return <$file>;
}

sub put {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
    return $path;
}

# The schema

my $validate = <<'PYTHON';
import sys, yaml, jsonschema
jsonschema.validate(*(yaml.safe_load(open(path)) for path in sys.argv[1:]))
PYTHON
is(system('python3', '-c', $validate, $spec, "$tools/Documentation/netlink/genetlink.yaml"), 0, 'it holds to the schema');

# The generators. They expect the schema next to the specification, and accept only one licence.

make_path("$dir/netlink/specs", "$dir/include/linux");
copy("$tools/Documentation/netlink/genetlink.yaml", "$dir/netlink") or die "$dir: $!\n";
put("$dir/MAINTAINERS", '');
my $licence = '# SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)';
my $copy    = put("$dir/netlink/specs/forkbus.yaml", content($spec) =~ s/^#.*/$licence/r);

sub generate {
    my ($mode, $kind, $path) = @_;
    my $ok = system("$ynl/ynl-gen-c.py", '--mode', $mode, "--$kind", '--spec', $copy, '-o', $path) == 0;
    return ok($ok, "a $kind for $mode can be made");
}

# The definitions of a header, by name.
sub values_of {
    my ($path) = @_;
    my @names   = content($path) =~ /^(?:\t|#define\h+)(_*FORKBUS_\w+)(?:,|\h+\S)/mg;
    my $program = "#include <stdio.h>\n#include \"$path\"\n" . <<'C';
static void number(const char *name, long long value) { printf("%s %lld\n", name, value); }
static void text(const char *name, const char *value) { printf("%s %s\n", name, value); }
#define show(x) _Generic((x), char *: text, default: number)(#x, x)
int main(void) {
C
    put("$dir/values.c", $program . join('', map { "show($_);\n" } @names) . "}\n");
    system('cc', '-w', '-o', "$dir/values", "$dir/values.c") == 0 or return {};
    return { map { /^(\S+) (.*)$/ } qx($dir/values) };
}

my $made = "$dir/include/linux/forkbus_netlink.h";
if (generate('uapi', 'header', $made)) {
    my ($theirs, $ours) = map { values_of($_) } $made, "$Bin/../../proto/forkbus_netlink.h";
    cmp_ok(keys %$theirs, '>', 100, '... with its definitions');
    is_deeply($theirs, $ours, '... and they are those of the header');
}
generate('kernel', $_, "$dir/kernel.$_") for qw(header source);
if (generate('user', 'header', "$dir/forkbus.h") && generate('user', 'source', "$dir/forkbus.c")) {
    is(system('cc', '-w', "-I$ynl/lib", "-I$dir/include", '-c', '-o', "$dir/forkbus.o", "$dir/forkbus.c"), 0, '... and compiled');
}

# The module is used with the specification alone. Each call has its own socket, so the types stay armed only for the grace
# time. The option to subscribe reads messages once, after the sleep, so events continue until it ends.
my $job = <<'SH';
insmod forkbus.ko grace=600
ynl() {
    echo "== $1"
    shift
    python3 netlink-tools/tools/net/ynl/cli.py --spec proto/forkbus.yaml --no-schema --output-json "$@"
}
ynl before --do status
ynl start --do start --json '{"mask": ["fork", "exec", "exit"], "args": 100}'
/bin/true one two
ynl replay --dump replay --json '{"from": 1}'
ynl subscribe --subscribe events --sleep 3 >/run/subscribe &
while kill -0 $! 2>/dev/null; do sh -c 'exit 3'; sleep 0.1; done
cat /run/subscribe
ynl after --do status
ynl mask --do start
ynl stale --dump replay --json '{"from": 1, "instance": 1}'
true
SH
open my $boot, '-|', "$Bin/boot", '-a', $tools, '6.12', '--', 'bash', '-c', $job or die "boot: $!\n";
my ($name, %said) = '';
while (<$boot>) {
    if (/^== (\w+)/) { $name = $1 }
    else             { push @{ $said{$name} }, $_ }
}
close $boot;
SKIP: {
    skip 'there is no kernel to try it in', 1 if $? >> 8 == UNAVAILABLE;
    is($? >> 8, 0, 'the kernel has nothing to complain of') or skip 'there is nothing to look at', 1;
    my $json = JSON::PP->new->allow_nonref;
    my %reported = map {
        my $lines = $said{$_};
        $_ => [map { eval { $json->decode($_) } // $_ } @$lines]
    } keys %said;

    my ($before) = @{ $reported{before} };
    is(ref $before, 'HASH', 'status') or diag explain $before;
    is_deeply([@$before{qw(armed last listeners)}], [[], 0, 0], '... before there was a listener');
    like($before->{instance}, qr/^[1-9]\d*$/, '... has an instance');
    is_deeply([grep { $_ eq 'exit' } @{ $before->{supported} }], ['exit'], '... and knows types by name');

    my @messages = map { ref eq 'ARRAY' ? @$_ : () } @{ $reported{replay} };
    my @records  = map { @{ $_->{record} // [] } } @messages;
    my ($head)   = grep { defined $_->{first} } @messages;
    is($head->{first}, 1, 'replay: the first number');
    cmp_ok($head->{last}, '>=', 3, '... the last one');
    is($head->{instance}, $before->{instance}, '... of the instance');
    is($records[0]{seq}, 2, '... records after the number that was asked for');
    my ($exec) = grep { $_->{type} eq 'exec' && ($_->{comm} // '') eq 'true' } @records;
    is($exec->{exe}, '/usr/bin/true', '... an exec with its path');
    is(pack('H*', $exec->{argv} // ''), "/bin/true\0one\0two\0", '... and its arguments');
    my ($exit) = grep { $_->{type} eq 'exit' && $_->{tgid} == $exec->{tgid} } @records;
    is_deeply([@$exit{qw(start status)}], [$exec->{start}, 0], '... its exit');
    cmp_ok($exit->{'max-rss'}, '>', 0, '... with its resource usage');

    my @events = map { ref eq 'ARRAY' ? @$_ : () } @{ $reported{subscribe} };
    is_deeply([grep { $_->{name} ne 'events' } @events], [], 'subscribe: events');
    my @ended = grep { $_->{type} eq 'exit' && $_->{status} == 3 << 8 } map { @{ $_->{msg}{record} } } @events;
    cmp_ok(@ended, '>', 0, '... as they come');

    my ($after) = @{ $reported{after} };
    is_deeply([sort @{ $after->{armed} }], [qw(exec exit fork)], 'status: the armed types');
    cmp_ok($after->{last}, '>', $head->{last}, '... and how far it is');
    like("@{ $said{mask} }", qr/'miss-type': 'mask'/, 'start without a mask: the error names the missing attribute');
    like("@{ $said{stale} }", qr/Stale file handle/, 'replay of another instance is refused');
}

done_testing;
