//! Perl's stand-in as a program, for nodes of the rig: see crate `pveproxy`.

fn main() {
    pveproxy::main();
}
