//! The gate's command line: one unsigned package, named in every way that dpkg and apt take.

use super::{By, Case, Desk};

pub fn cases(desk: &Desk) -> Vec<Case> {
    let unsigned = desk.demo().unsigned().build();
    let case = |name, gate, dpkg, apt| Case {
        gate: Some(gate),
        dpkg: Some(dpkg),
        apt,
        ..Case::new("the gate's command line", By::Forger, name, "it is not signed", unsigned.clone())
    };
    let not_signed = "it is not signed";
    vec![
        case(
            "a space in the name",
            not_signed,
            "cp $f \"$d/a b.deb\"; dpkg -i \"$d/a b.deb\"",
            Some("cp $f \"$d/a b.deb\"; apt-get -y install \"$d/a b.deb\""),
        ),
        case(
            "a newline in the name",
            "refused|not understood",
            "cp $f \"$d/a\nb.deb\"; dpkg -i \"$d/a\nb.deb\"",
            Some("cp $f \"$d/a\nb.deb\"; apt-get -y install \"$d/a\nb.deb\""),
        ),
        case(
            "a name that looks like apt's next line",
            not_signed,
            "x=\"$d/x.deb\nq - - none < 1.0 amd64 none $d\"; mkdir -p \"$x\"; cp $f \"$x/y.deb\"; dpkg -i \"$x/y.deb\"",
            Some(
                "x=\"$d/x.deb\nq - - none < 1.0 amd64 none $d\"; mkdir -p \"$x\"; cp $f \"$x/y.deb\"; apt-get -y install \"$x/y.deb\"",
            ),
        ),
        case(
            "a name of another package",
            not_signed,
            "cp $f $d/bash_5.2_amd64.deb; dpkg -i $d/bash_5.2_amd64.deb",
            Some("cp $f $d/bash_5.2_amd64.deb; apt-get -y install $d/bash_5.2_amd64.deb"),
        ),
        case("a name without an ending", not_signed, "cp $f $d/demo; dpkg -i $d/demo", None),
        case(
            "a name that begins with a hyphen",
            not_signed,
            "cp $f $d/-i; cd $d; dpkg -i -- -i",
            Some("cp $f $d/-i.deb; cd $d; apt-get -y install -- ./-i.deb"),
        ),
        case(
            "a relative path",
            not_signed,
            "cp $f $d/x.deb; cd $d/..; dpkg -i ${d##*/}/x.deb",
            Some("cp $f $d/x.deb; cd $d/..; apt-get -y install ./${d##*/}/x.deb"),
        ),
        case(
            "a path with dots",
            not_signed,
            "mkdir $d/p; cp $f $d; dpkg -i $d/p/.././${f##*/}",
            Some("mkdir $d/p; cp $f $d; apt-get -y install $d/p/.././${f##*/}"),
        ),
        case(
            "a link",
            not_signed,
            "ln -s $f $d/l.deb; dpkg -i $d/l.deb",
            Some("ln -s $f $d/l.deb; apt-get -y install $d/l.deb"),
        ),
        case(
            "a link to a link in a linked folder",
            not_signed,
            "mkdir $d/r; ln -s r $d/e; ln -s $f $d/r/l; ln -s l $d/r/m.deb; dpkg -i $d/e/m.deb",
            Some("mkdir $d/r; ln -s r $d/e; ln -s $f $d/r/l; ln -s l $d/r/m.deb; apt-get -y install $d/e/m.deb"),
        ),
        case(
            "a hard link",
            not_signed,
            "ln $f $d/h.deb; dpkg -i $d/h.deb",
            Some("ln $f $d/h.deb; apt-get -y install $d/h.deb"),
        ),
        case("a folder, recursively", not_signed, "mkdir $d/r; cp $f $d/r/x.deb; dpkg -i -R $d/r", None),
        case(
            "a folder of links, recursively",
            not_signed,
            "mkdir -p $d/r/s; ln -s $f $d/r/s/x.deb; dpkg --recursive --unpack $d/r",
            None,
        ),
        case("short options in one word", not_signed, "dpkg -GEBOi $f", None),
        case(
            "an option with its value behind",
            not_signed,
            "dpkg -D 10 --status-fd 3 -i $f 3>/dev/null",
            Some("apt-get -y -o DPkg::Options::=--force-all install $f"),
        ),
        case(
            "by --unpack",
            not_signed,
            "dpkg --unpack $f",
            Some("apt-get -y --reinstall --allow-downgrades install $f"),
        ),
        case(
            "with everything forced",
            not_signed,
            "dpkg --force-all --no-debsig -i $f",
            Some("apt-get -y --allow-unauthenticated --allow-remove-essential install $f"),
        ),
        case(
            "from another folder for its database",
            not_signed,
            "dpkg --admindir=/var/lib/dpkg --instdir=/ -i $f",
            None,
        ),
        case(
            "an environment of nothing",
            not_signed,
            "env -i PATH=$PATH dpkg -i $f",
            Some("env -i PATH=$PATH apt-get -y install $f"),
        ),
        case("by a descriptor", "another file for each process", "dpkg -i /dev/fd/9 9<$f", None),
        case("by standard input", "another file for each process", "dpkg -i /dev/stdin <$f", None),
        case(
            "by a descriptor's link",
            "another file for each process|it is not signed",
            "ln -s /proc/self/fd/9 $d/l.deb; dpkg -i $d/l.deb 9<$f",
            Some("ln -s /proc/self/fd/9 $d/l.deb; apt-get -y install $d/l.deb 9<$f"),
        ),
        case("a pipe", "not a regular file", "mkfifo $d/p.deb; dpkg -i $d/p.deb", None),
        case("among good ones", not_signed, "cp /root/corpus/good.deb $d/good.deb; dpkg -i $d/good.deb $f", None),
        case(
            "with dpkg's words in apt's configuration",
            not_signed,
            "dpkg -i -- $f",
            Some("printf 'DPkg::Options { \"--force-overwrite\"; };' >$d/c; APT_CONFIG=$d/c apt-get -y install $f"),
        ),
    ]
}
