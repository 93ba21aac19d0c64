//! `preinst`, `postinst`, `prerm` and `postrm` of a sealed package: one program, which tells by its
//! name and by `DPKG_MAINTSCRIPT_NAME` which of the four it is. All of it is in [`maintscript`].

fn main() -> std::process::ExitCode {
    maintscript::main()
}
