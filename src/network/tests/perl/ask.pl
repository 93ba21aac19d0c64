#!/usr/bin/perl
# ask.pl: Proxmox's own reader and writer of interfaces(5), asked by tests/perl.rs: a question in JSON on each
# line of standard input, an answer on each line of standard output. Run with -I CHECKOUT-OF-pve-common/src.
#
#   {"file": TEXT, "links": {NAME: {…}}, "active": [NAME…], "edits": [EDIT…], "ifupdown2": BOOL, "order": [NAME…]}
#   {"parsed": {"ifaces": {…}, "options": […]}, "text": TEXT or "error": WORDS, "warnings": [LINE…]}
#
# A character of "file" is a byte. "order" is the order in which the writer finds the interfaces; without
# it, it is random, as that of each of Perl's hash tables.
use strict;
use warnings;

BEGIN {
    # What Proxmox's modules load, and its reader and writer don't call. The real ones are taken where they are.
    my %stubs = map { $_ => 1 }
        qw(String/ShellQuote.pm Filesys/Df.pm Net/IP.pm Linux/Inotify2.pm Devel/Cycle.pm Date/Format.pm Encode/Locale.pm HTTP/Status.pm);
    push @INC, sub {
        my (undef, $file) = @_;
        my $code;
        if ($file eq 'JSON.pm') {
            $code = 'package JSON; use JSON::PP; sub import { JSON::PP->export_to_level(1) } 1;';
        } elsif ($stubs{$file}) {
            (my $name = $file) =~ s/\.pm$//;
            $name =~ s{/}{::}g;
            # find_cycle is called at loading.
            $code = "package $name; sub import { *{caller() . '::find_cycle'} = sub { } } 1;";
        } else {
            return;
        }
        open(my $handle, '<', \$code) or die "$file: $!";
        return $handle;
    };
}

use PVE::Network::Interfaces;

my $json = eval { require Cpanel::JSON::XS; Cpanel::JSON::XS->new } || do { require JSON::PP; JSON::PP->new };
$json->utf8->ascii->canonical;

# A hash table that tells its keys in the order in which they came.
package Ordered {
    sub TIEHASH { return bless { values => {}, keys => [] }, shift }
    sub FETCH { return $_[0]->{values}->{ $_[1] } }
    sub EXISTS { return exists $_[0]->{values}->{ $_[1] } }
    sub STORE {
        my ($self, $key, $value) = @_;
        push @{ $self->{keys} }, $key if !exists $self->{values}->{$key};
        $self->{values}->{$key} = $value;
    }
    sub DELETE {
        my ($self, $key) = @_;
        @{ $self->{keys} } = grep { $_ ne $key } @{ $self->{keys} };
        return delete $self->{values}->{$key};
    }
    sub CLEAR { my $self = shift; @$self{qw(values keys)} = ({}, []) }
    sub FIRSTKEY { my $self = shift; $self->{next} = 0; return $self->{keys}->[0] }
    sub NEXTKEY { my $self = shift; return $self->{keys}->[++$self->{next}] }
    sub SCALAR { return scalar @{ $_[0]->{keys} } }
}

sub edit {
    my ($ifaces, $edit) = @_;
    my $name = $edit->{iface};
    if ($edit->{drop}) {
        delete $ifaces->{$name};
    } elsif ($edit->{new}) {
        $ifaces->{$name} = $edit->{new};
    } elsif (my $iface = $ifaces->{$name}) {
        delete @$iface{ @{ $edit->{unset} || [] } };
        $iface->{$_} = $edit->{set}->{$_} for keys %{ $edit->{set} || {} };
    }
}

sub answer {
    my ($question) = @_;
    my $answer = { warnings => [] };
    # The others are Perl's own, about values that are not there.
    local $SIG{__WARN__} = sub { push @{ $answer->{warnings} }, $_[0] if $_[0] =~ /^'.*': ignoring / };

    my $file = $question->{file};
    utf8::downgrade($file);
    open(my $handle, '<', \$file) or die "no file in memory: $!";
    my $config = eval {
        PVE::Network::Interfaces::__read_etc_network_interfaces($handle, $question->{links}, $question->{active});
    };
    if (!$config) {
        $answer->{error} = $@;
        return $json->encode($answer);
    }
    # Written down now: the writer changes it.
    my $parsed = $json->encode($config);

    edit($config->{ifaces}, $_) for @{ $question->{edits} };
    if (my $order = $question->{order}) {
        my %rest = %{ $config->{ifaces} };
        tie(my %ordered, 'Ordered');
        for my $name (@$order, sort keys %rest) {
            $ordered{$name} = delete $rest{$name} if exists $rest{$name};
        }
        $config->{ifaces} = \%ordered;
    }
    my $text = eval { PVE::Network::Interfaces::__write_etc_network_interfaces($config, $question->{ifupdown2}) };
    if (defined($text)) {
        $answer->{text} = $text;
    } else {
        ($answer->{error} = $@) =~ s/(?: at \S+ line \d+(?:, <\$?\w+> line \d+)?\.)?\n\z//;
    }
    my $rest = $json->encode($answer);
    return qq({"parsed":$parsed,) . substr($rest, 1);
}

$| = 1;
while (defined(my $line = <STDIN>)) {
    print answer($json->decode($line)), "\n";
}
