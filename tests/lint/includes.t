#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who may include whom: the layers of docs/architecture.md. A file may always include its own folder.
use strict;
use warnings;
use File::Basename qw(basename dirname);
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More;

# Folder of the includer => folders that it may include. "" as the last resort: anything.
my @rules = (
    [qr{^proto/base$}          => qw(proto/base)],
    [qr{^proto$}               => qw(proto proto/base)],
    [qr{^kmod(/|$)}            => qw(kmod)],
    [qr{^broker/core$}         => qw(broker/core proto proto/base)],
    [qr{^broker/source$}       => qw(broker/source broker/source/netlink broker/source/proc broker/core proto proto/base)],
    [qr{^broker/source/(?:netlink|proc)$} => qw(SELF proto proto/base)],
    [qr{^broker/source/\w+$}   => qw(SELF broker/source broker/source/netlink broker/source/proc broker/core proto proto/base)],
    [qr{^broker/serve$}        => qw(broker/serve broker/core proto proto/base)],
    [qr{^broker/serve/\w+$}    => qw(SELF broker/serve broker/core proto proto/base)],
    [qr{^broker$}              => qw(broker broker/core broker/source broker/source/netlink broker/serve proto proto/base)],
    [qr{^clients/lib$}         => qw(clients/lib proto proto/base)],
    [qr{^clients/\w+$}         => qw(SELF clients/lib proto proto/base)],
);

# What the kernel shares with the rest; nothing else of proto is its business.
my %single = ('kmod' => ['proto/forkbus_netlink.h']);

# Libraries that one layer alone may know, so that they can be exchanged there.
my %library = (
    'event2/'  => qr{^broker$|^broker/(source|serve)(/|$)|^tests/},
    'libmnl/'  => qr{^broker/source(/|$)|^tests/},
    'liburing' => qr{^broker/serve$},
    'systemd/' => qr{^broker$|^broker/serve(/|$)|^clients/notify$|^tests/},
    'jansson.h' => qr{^(proto|proto/base|broker|clients/\w+)$|^broker/(source|serve)(/|$)|^tests/},
    'ini.h'    => qr{^proto/base$},
    'linux/'   => qr{^broker/core$|^broker/source(/|$)|^clients/lib$|^kmod|^tests/|^proto(/base)?$},
);

my %exists = map { $_ => 1 } files(qr/\.h$/);

# The compiler's search: beside the file, then -Iproto -Ibroker -I.
sub resolve {
    my ($file, $name) = @_;
    for my $folder (dirname($file), 'proto', 'broker', '.') {
        my $path = $folder eq '.' ? $name : "$folder/$name";
        1 while $path =~ s{[^/]+/\.\./}{};
        return $path if $exists{$path};
    }
    return undef;
}

sub allowed {
    my ($from, $to, $target) = @_;
    return 1 if $from =~ /^tests\b/ || grep { $_ eq $target } @{ $single{$from} // [] };
    for my $rule (@rules) {
        my ($pattern, @folders) = @$rule;
        next if $from !~ $pattern;
        return scalar grep { $to eq ($_ eq 'SELF' ? $from : $_) } @folders;
    }
    return 0;
}

# Return: what is wrong with the includes of a text that is said to be in a file.
sub complaints {
    my ($file, $text) = @_;
    my @wrong;
    my $from = dirname $file;
    while ($text =~ /^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm) {
        my ($quote, $name) = ($1, $2);
        if ($quote eq '<') {
            for my $prefix (grep { index($name, $_) == 0 } keys %library) {
                push @wrong, "$file: <$name> is not for this layer" if $from !~ $library{$prefix};
            }
            next;
        }
        my $target = resolve($file, $name);
        if (!defined $target) {
            push @wrong, "$file: there is no \"$name\"";
        } elsif (!allowed($from, dirname($target), $target)) {
            push @wrong, "$file: must not include $target";
        }
    }
    return @wrong;
}

my @sources = files(qr/\.[ch]$/);
ok(@sources > 0, 'there are sources');
none([map { complaints($_, content($_)) } @sources], 'every include follows the layers');

# The rules can say no.
my %bad = (
    'broker/core/x.c'   => 'source/source.h',
    'proto/base/x.c'    => 'event.h',
    'broker/serve/x.c'  => 'source/source.h',
    'broker/source/x.c' => 'serve/stream/stream.h',
    'broker/source/module/x.c'  => 'source/connector/connector.h',
    'broker/source/proc/x.c'    => 'core/hub.h',
    'broker/serve/varlink/x.c'  => 'serve/stream/stream.h',
    'proto/x.c'         => 'core/log.h',
    'clients/ctl/x.c'   => 'core/log.h',
    'clients/lib/x.c'   => 'clients/ctl/client.h',
    'kmod/x.c'          => 'event.h',
);
for my $file (sort keys %bad) {
    is(scalar(complaints($file, "#include \"$bad{$file}\"\n")), 1, "$file must not include $bad{$file}");
}
is(scalar(complaints('broker/core/x.c', "#include <event2/event.h>\n")), 1, 'core knows no event loop');
is(scalar(complaints('broker/core/x.c', "#include \"log.h\"\n#include \"event.h\"\n")), 0, 'core may include core and proto');

done_testing;
