# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who calls whom, by the symbols of object files: one uses what another defines. A circle among files means that none
# of them can be read, or tested, without the others.
package Calls;

use strict;
use warnings;
use Exporter 'import';
use File::Basename 'basename';

our @EXPORT_OK = qw(uses circles);

# Return: object => { object that it uses => [symbols] }.
sub uses {
    my (@objects) = @_;
    my (%definer, %needs);
    for my $object (@objects) {
        open my $nm, '-|', 'nm', '--format=posix', $object or die "nm: $!\n";
        while (<$nm>) {
            my ($symbol, $type) = split;
            if ($type eq 'U') { push @{ $needs{$object} }, $symbol }
            elsif ($type =~ /^[A-TV-Z]$/) { $definer{$symbol} = $object }
        }
        close $nm or die "nm $object failed\n";
    }
    my %uses = map { $_ => {} } @objects;
    for my $object (keys %needs) {
        for my $symbol (@{ $needs{$object} }) {
            my $other = $definer{$symbol};
            push @{ $uses{$object}{$other} }, $symbol if defined $other && $other ne $object;
        }
    }
    return \%uses;
}

# All that can be reached from an object.
sub reached {
    my ($uses, $from) = @_;
    my (%seen, @next);
    @next = keys %{ $uses->{$from} };
    while (defined(my $object = pop @next)) {
        push @next, keys %{ $uses->{$object} } if !$seen{$object}++;
    }
    return \%seen;
}

# Return: the circles, each a text that names its files and what they use of each other.
sub circles {
    my ($uses) = @_;
    my %reached = map { $_ => reached($uses, $_) } keys %$uses;
    my (%done, @found);
    for my $object (sort keys %$uses) {
        next if $done{$object} || !$reached{$object}{$object};
        my @members = grep { $reached{$object}{$_} && $reached{$_}{$object} } sort keys %$uses;
        @done{@members} = (1) x @members;
        my $text = 'circle of ' . join ' ', map { basename $_, '.o' } @members;
        for my $from (@members) {
            for my $to (grep { $uses->{$from}{$_} } @members) {
                $text .= sprintf "\n    %s -> %s: %s", basename($from, '.o'), basename($to, '.o'),
                  join ' ', sort @{ $uses->{$from}{$to} };
            }
        }
        push @found, $text;
    }
    return @found;
}

1;
