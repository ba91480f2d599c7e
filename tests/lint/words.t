#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Words and phrases that are not plain English, or that had a meaning of their own in this tree: texts use the standard
# words of the field, and say who does what. The list grows when more are found.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Sources;
use Test::More;

# Name => pattern, what to write instead. A blank in a pattern is any white space, also the end of a line in a comment.
my @words = (
    ['lives shortly'        => qr/liv\w+ shortly|shortly (?:a process )?liv\w+/i,     'short-lived'],
    ['how it did'           => qr/\bhow (?:it|they|he) (?:did|does|do)\b(?! (?:that|this|so))/i, 'its exit status, its status'],
    ['all told up to'       => qr/\ball told\b|\ball (?:is|was) told/i,               'caught up to, published up to'],
    ['nobody knows'         => qr/\bnobody (?:can )?knows?\b/i,                        'unknown'],
    ['tells nobody'         => qr/\btells? nobody\b/i,                                 'requires CAP_NET_ADMIN'],
    ['somebody else is'     => qr/\bsomebody else is\b/i,                              'the name is taken'],
    ['each send is a system call' => qr/\beach send is a system call/i,                'falling back to sendmsg()'],
    ['does not go on with'  => qr/\bdoes not go on with\b/i,                           'timed out'],
    ['begin to tell'        => qr/\bbeg[iau]n to tell\b/i,                             'start reporting'],
    ['the best one that works' => qr/\bbest (?:one )?that works\b/i,                   'the best available'],
    ['asked for, and does not work' => qr/\basked for, and does not work/i,            'requested but unavailable'],
    ['a call is lost'       => qr/\ba call on the bus is lost/i,                       'dropped a call: out of memory'],
    ['is no forkbus broker' => qr/\bis no forkbus broker/i,                            'is not a forkbus broker'],
    ['what is \'x\'?'       => qr/\bwhat is '%/i,                                      'unexpected argument'],
    ['is none of'           => qr/'?%s'? is none of\b/i,                               'expected ...'],
    ['told'                 => qr/(?<![A-Za-z])(?:[Uu]n)?[Tt]old(?![a-z])/,             'reported, published, notified'],
    ['told of'              => qr/\b(?:told|tells?|telling) of\b/i,                    'reported, notified of'],
    ['what is told'         => qr/\bwhat (?:is|was) told\b/i,                          'the published events'],
    ['said once'            => qr/\b(?:is|was) said once\b/i,                          'not reported again'],
    ['how the broker does'  => qr/\bhow the broker does\b/i,                           'broker status'],
    ['trying on'            => qr/\btrying on\b/i,                                     'retrying'],
    ['commented out'        => qr/\bstands here commented out/i,                       'Commented-out values are the defaults'],
    ['who comes late'       => qr/\bwho comes? late\b/i,                               'late subscribers'],
    ['befell'               => qr/\bbef[ae]ll\b/i,                                     'the subscriber affected'],
    ['whoever'              => qr/\bwhoever\b/i,                                       'name the one who acts'],
    ['the dearest'          => qr/\bdearest\b/i,                                       'the most expensive'],
    ['tell'                 => qr/(?<!->)(?<!sub )\btells?\b/i,                         'report, publish, notify, print'],
    ['be had'               => qr/\b(?:be|was|were) had\b(?! been)/i,                  'available, unavailable'],
    ['held against'         => qr/\b(?:held|holds?|holding) (?:\w+ ){0,3}against\b/i,  'compared with'],
    ['next to nothing'      => qr/\bnext to nothing\b/i,                               'almost nothing'],
    ['for so long'          => qr/\b(?:in|after|for|by) so (?:many|long|often)\b/i,    'name the number'],
    ['in silence'           => qr/\bin silence\b/i,                                    'without an error, not reported'],
    ['pass over'            => qr/\bpass(?:es|ed) over\b|\bto pass over\b/i,           'skip'],
    ['let go'               => qr/\blets? go\b/i,                                      'release, detach'],
    ['amid'                 => qr/\bamid\b/i,                                          'inside, in the middle of'],
    ['somebody'             => qr/\b(?:some|any|every)body\b/i,                        'name the one who acts'],
    ['who asks is'          => qr/\bwho (?:comes|asks|reads|listens|waits) (?:\w+ ){0,3}(?:is|gets|misses|has|hears|decides)\b/i,
                                                                                       'a client that asks'],
    ['by whom'              => qr/\b(?:by|of|for|from) whom\b/i,                       'name the one who acts'],
    ['but for'              => qr/\bbut for\b/i,                                       'except for'],
    ['dear'                 => qr/\b(?:is|are|be|as) dear\b/i,                         'expensive'],
    ['as a rule'            => qr/\bas a rule\b/i,                                     'usually'],
    ['none of our business' => qr/\bnone of our business\b/i,                          'ignored'],
    ['what becomes of'      => qr/\bwhat (?:becomes?|became) of\b/i,                   'how it ended, the result'],
    ['anew'                 => qr/\banew\b/i,                                          'again'],
    ['in vain'              => qr/\bin vain\b/i,                                       'without effect, gave up'],
    ['in the midst'         => qr/\bin the midst\b/i,                                  'during'],
    ['for ever'             => qr/\bfor ever\b/i,                                      'without limit, permanent'],
    ['for good'             => qr/\bfor good\b/i,                                      'permanent, final'],
    ['who lives'            => qr/\bwho (?:lives|is alive)\b/i,                        'the living processes'],
    ['what there is'        => qr/\b(?:what|all|all that) there is\b/i,                'the pending, the remaining ones'],
    ['has got'              => qr/\b(?:has|have|had)(?: not|n't)? got\b/i,             'has, has received'],
    ['due in any case'      => qr/\bdue in any case\b/i,                               'call ... in either case'],
    ['falls silent'         => qr/\bfall(?:s|en|ing)? silent\b/i,                      'stops sending'],
    ['now and then'         => qr/\bnow and then\b/i,                                  'sometimes'],
    ['without a word'       => qr/\bwithout a word\b/i,                                'without a message'],
    ['by chance'            => qr/\bby chance\b/i,                                     'random'],
    ['comes too late'       => qr/\bcomes? too late\b/i,                               'is late, arrives after'],
    ['much happens'         => qr/\bmuch happens\b/i,                                  'there are many events, load'],
    # Names in code
    ['n_told'               => qr/\bn_told\b/,                                         'n_caught_up'],
    ['set_names'            => qr/\bset_names\(struct/,                                'adopt_known_start'],
    ['module_name'          => qr/\bmodule_name\b/,                                    'process_id'],
    ['believe'              => qr/\bbelieve\(/,                                        'validate'],
    ['be_without'           => qr/\bbe_without\b/,                                     'enter_no_source'],
);

# Where a word may stay for a reason. File => names.
my %allowed = ('tests/lint/words.t' => [map { $_->[0] } @words]);

# Folders that are not rewritten yet. Folder => names.
my %not_yet = ();

# The text without what comments have at the beginnings of lines, in one line, and where each of its lines began.
sub flatten {
    my ($text) = @_;
    my ($flat, @starts) = ('');
    for my $line (split /\n/, $text, -1) {
        $line =~ s{^\s*(?:\*(?!/)|//|#+|\.\\")?\s*}{};
        push @starts, length $flat;
        $flat .= "$line ";
    }
    return ($flat, \@starts);
}

sub exempt {
    my ($file, $name) = @_;
    return 1 if grep { $_ eq $name } @{ $allowed{$file} // [] };
    for my $folder (keys %not_yet) {
        return 1 if ($file eq $folder || index($file, "$folder/") == 0) && grep { $_ eq $name } @{ $not_yet{$folder} };
    }
    return 0;
}

# Return: the words in a text that is said to be in a file, with their lines.
sub complaints {
    my ($file, $text) = @_;
    my ($flat, $starts) = flatten($text);
    my @found;
    for my $word (@words) {
        my ($name, $pattern, $instead) = @$word;
        next if exempt($file, $name);
        while ($flat =~ /$pattern/g) {
            my $at   = $-[0];
            my $line = grep { $_ <= $at } @$starts;
            push @found, "$file:$line: \"" . substr($flat, $at, $+[0] - $at) . "\" ($name) -> $instead";
        }
    }
    return @found;
}

my @texts = grep { !/\.(?:svg|abi|jsonl?)$/ } files();
ok(@texts > 0, 'there are texts');
none([map { complaints($_, content($_)) } @texts], 'texts are plain English');

# It finds what it looks for, wherever a line ends.
is(scalar complaints('x.c', "/* It is told to\n * whoever\n * asks. */\n"), 2, 'words in a comment are found');
is(scalar complaints('x.c', "/*\n * Events of a process are not\n * told twice.\n */\n"), 1, 'a phrase over two lines, too');
like((complaints('x.c', "a\nb\n# who comes\n# late\n"))[0], qr/^x\.c:3: /, 'with the line where it begins');
is(scalar complaints('x.c', "/* The broker publishes each event once. */\n"), 0, 'plain English is fine');

done_testing;
