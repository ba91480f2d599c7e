# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The results: one table, one file of JSON with all samples, one plot of each part.
package Bench::Report;

use strict;
use warnings;
use JSON::PP ();
use List::Util qw(max min);

use constant WIDTHS => (55, 8, 16, 10, 10);

sub new {
    my ($class, %options) = @_;
    return bless { figures => [], samples => {}, plots => [], notes => [], %options }, $class;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return undef if !@sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# Of several values: median, least, most.
sub spread { return (median(@_), min(@_), max(@_)) }

# Messages during the measurements.
sub say {
    my ($self, @words) = @_;
    print STDERR 'forkbus: ', @words, "\n";
}

# figure($part, $name, \@values, target): a ratio, a value a run. target: '>= 5', '<= 2'.
sub figure {
    my ($self, $part, $name, $values, $target) = @_;
    my @values = grep { defined } @$values;
    my %figure = (part => $part, name => $name, values => \@values, target => $target);
    if (!@values) {
        $figure{verdict} = 'skipped';
    } else {
        @figure{qw(median min max)} = spread(@values);
        $figure{verdict} = verdict($figure{median}, $target);
    }
    push @{ $self->{figures} }, \%figure;
    return $figure{median};
}

sub verdict {
    my ($median, $target) = @_;
    return '' if !defined $target;
    my ($relation, $limit) = split ' ', $target;
    return ($relation eq '>=' ? $median >= $limit : $median <= $limit) ? 'met' : 'MISSED';
}

# skip($part, $name, $why, target): a figure that cannot be measured here.
sub skip {
    my ($self, $part, $name, $why, $target) = @_;
    chomp $why;
    $why =~ s/\n.*//s;
    push @{ $self->{figures} }, { part => $part, name => $name, verdict => 'skipped', why => $why, target => $target };
    $self->say("$part: $name: skipped: $why");
}

# ratios(\@over, \@under): of each run
sub ratios {
    my ($over, $under) = @_;
    return [map { $under->[$_] ? $over->[$_] / $under->[$_] : undef } 0 .. min($#$over, $#$under)];
}

# All samples, unchanged: for the JSON file.
sub samples {
    my ($self, $part, $name, $samples) = @_;
    $self->{samples}{$part}{$name} = $samples;
}

sub note { push @{ $_[0]{notes} }, $_[1] }

# plot($name, title, xlabel, ylabel, { line => [[x, y, min, max], …], … }, log => 'xy' or 'x' …)
sub plot {
    my ($self, %plot) = @_;
    push @{ $self->{plots} }, \%plot;
}

# --- showing ---------------------------------------------------------------------------------------------------------

sub number {
    my ($value) = @_;
    return $value >= 100 ? sprintf '%.0f', $value : $value >= 10 ? sprintf '%.1f', $value : sprintf '%.3g', $value;
}

sub row { return sprintf '%-*s%*s%*s%*s  %-*s', map { ((WIDTHS)[$_] - ($_ == 4 ? 2 : 0), $_[$_]) } 0 .. 4 }

sub cells {
    my ($figure) = @_;
    return ($figure->{name}, '-', '', $figure->{target} // '', 'skipped') if !defined $figure->{median};
    return ($figure->{name}, number($figure->{median}), number($figure->{min}) . '..' . number($figure->{max}),
        $figure->{target} // '', $figure->{verdict});
}

sub table {
    my ($self) = @_;
    my ($text, $part) = ('', '');
    my %titles = @{ $self->{titles} // [] };
    for my $figure (@{ $self->{figures} }) {
        if ($figure->{part} ne $part) {
            $part = $figure->{part};
            $text .= "\n" . row($titles{$part} // $part, 'ratio', 'least..most', 'target', '') =~ s/ +$//r . "\n";
        }
        my ($name, @rest) = cells($figure);
        $text .= row("  $name", @rest) =~ s/ +$//r . "\n";
        $text .= '      ' . substr($figure->{why}, 0, 94) . "\n" if defined $figure->{why};
    }
    my $count = sub { my ($verdict) = @_; return scalar grep { $_->{verdict} eq $verdict } @{ $self->{figures} } };
    return $text . sprintf "\n%d targets met, %d MISSED; %d figures skipped\n", map { $count->($_) } qw(met MISSED skipped);
}

sub environment_text {
    my ($self) = @_;
    my $of   = $self->{environment};
    my $text = "Linux $of->{kernel}, $of->{processors} processors ($of->{model}), load $of->{load} at the beginning";
    $text .= "; $of->{runs} runs";
    my $line = '';
    for my $version (map { "$_ $of->{versions}{$_}" } sort keys %{ $of->{versions} }) {
        if (length "$line, $version" > 98) {
            $text .= "\n$line,";
            $line = '';
        }
        $line .= $line eq '' ? $version : ", $version";
    }
    return "$text\n$line\n";
}

sub show {
    my ($self) = @_;
    print $self->environment_text, $self->table;
    print "$_\n" for @{ $self->{notes} };
}

# --- keeping ---------------------------------------------------------------------------------------------------------

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>:encoding(UTF-8)', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
}

sub keep {
    my ($self, $path) = @_;
    my $json = JSON::PP->new->canonical->pretty->indent_length(1)->allow_blessed;
    write_file($path, $json->encode({ map { ($_ => $self->{$_}) } qw(environment figures samples notes plots titles took) }));
}

sub from_file {
    my ($class, $path) = @_;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    local $/ = undef;
    return $class->new(%{ JSON::PP->new->decode(<$file>) });
}

# What all plots have, and what bars ("xtics" name them) and lines have: those are distinguished by points, too.
sub script {
    my ($plot, $path) = @_;
    my @script = (
        "set terminal svg size 760,440 background rgb 'white' font 'sans,13'",
        "set output '$path'", "set title \"$plot->{title}\"", "set xlabel \"$plot->{xlabel}\"", "set ylabel \"$plot->{ylabel}\"",
        'set key outside right top', 'set grid', 'set bars small', "set linetype 9 lc rgb '#8c564b'", 'set yrange [0:*]',
        'set offsets graph 0.05, graph 0.05, 0, 0',
    );
    push @script, "set logscale $plot->{log}" if $plot->{log};
    push @script, 'set yrange [*:*]' if ($plot->{log} // '') =~ /y/;
    push @script, "set xtics rotate by -35 ($plot->{xtics})", 'unset key' if $plot->{xtics};
    push @script, 'set boxwidth 0.7', 'set style fill solid 0.7' if $plot->{xtics};
    my @lines;
    for my $name (sort keys %{ $plot->{lines} }) {
        my $data = '$d' . @lines;
        push @script, "$data << EOD", map({ "@$_" } @{ $plot->{lines}{$name} }), 'EOD';
        push @lines, $plot->{xtics}
          ? "$data using 1:2 with boxes, $data using 1:2:3:4 with yerrorbars lc 'black' pt -1"
          : "$data using 1:2:3:4 with yerrorlines title '$name' lw 2 pt " . (5 + 2 * @lines);
    }
    return @lines ? join("\n", @script, 'plot ' . join(', ', @lines)) . "\n" : undef;
}

# Return: the files that were made.
sub draw {
    my ($self, $dir) = @_;
    my @made;
    for my $plot (@{ $self->{plots} }) {
        my $path   = "$dir/$plot->{name}.svg";
        my $script = script($plot, $path) // next;
        open my $gnuplot, '|-:encoding(UTF-8)', 'gnuplot' or return @made;
        print {$gnuplot} $script;
        close $gnuplot or next;
        tidy($path);
        push @made, $path;
    }
    return @made;
}

# A file of the tree has to look like one.
sub tidy {
    my ($path) = @_;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!\n";
    local $/ = undef;
    my $text = <$file>;
    close $file;
    $text =~ s/[ \t]+$//mg;
    $text =~ s/\A(<\?xml.*?\?>)\n/$1\n<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->\n/s;
    write_file($path, $text);
}

1;
