//! The command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The command line as clap sees it, for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Seals, signs, verifies and inspects Debian packages.
#[derive(Debug, Parser)]
#[command(name = "debseal", version, about, after_help = EXIT_CODES)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 6 refused: unsealed, unsigned, altered, or signed by nobody \
who is trusted. With several files the highest one wins.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Seal(SealArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
    Inspect(InspectArgs),
}

/// Put hooks and a manifest into a package
///
/// The payload stays as it is, byte for byte. The control archive is written anew with four copies
/// of the hook, each with hooks.toml and the trusted keys appended, and with a manifest of
/// everything. The same inputs give the same bytes.
#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    /// What the hooks shall do
    #[arg(long, value_name = "TOML")]
    pub(crate) hooks: PathBuf,
    /// The hook program: a static ELF for the package's architecture
    #[arg(long, value_name = "FILE")]
    pub(crate) hook_elf: PathBuf,
    /// A certificate whose signatures the hooks trust (armored or binary; may be repeated)
    #[arg(long = "key", value_name = "CERT")]
    pub(crate) keys: Vec<PathBuf>,
    /// Once this package was installed signed, refuse versions below this one
    #[arg(long, value_name = "VERSION")]
    pub(crate) minimum_version: Option<String>,
    /// Seconds since 1970 for every time stamp [default: $SOURCE_DATE_EPOCH, else that of IN.deb]
    #[arg(long, value_name = "EPOCH")]
    pub(crate) source_date: Option<u64>,
    /// Drop the maintainer scripts and the seal that the package has already
    #[arg(long)]
    pub(crate) replace_hooks: bool,
    /// Where to write the sealed package
    #[arg(short, long, value_name = "OUT.deb")]
    pub(crate) output: PathBuf,
    /// The package to seal
    #[arg(value_name = "IN.deb")]
    pub(crate) input: PathBuf,
}

/// Sign sealed packages with a key of gpg's
///
/// Adds manifest-sig to the control archive and _gpgorigin behind the payload, and replaces earlier
/// ones. The key is used through gpg's agent; GNUPGHOME is honoured. A package that is not sealed or
/// is damaged is not signed, nor is any with a key that is expired or revoked.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Full fingerprint of the key's certificate
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) key: String,
    /// Write the signed package here and leave FILE as it is (with one FILE only)
    #[arg(short, long, value_name = "OUT.deb")]
    pub(crate) output: Option<PathBuf>,
    /// The packages to sign
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Judge packages, or what is installed of one
///
/// Strict: exactly the members that a package has, whole, listed in its manifest, and signed by a
/// key that is given with --key or that /etc/debseal/policy.d names for the package. Without any key
/// nothing is accepted. Every file is judged.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A certificate whose signatures count, instead of those of /etc/debseal (may be repeated)
    #[arg(long = "key", value_name = "CERT")]
    pub(crate) keys: Vec<PathBuf>,
    /// Judge the installed files of this package against its manifest
    #[arg(long, value_name = "PACKAGE", conflicts_with = "files", required_unless_present = "files")]
    pub(crate) installed: Option<String>,
    /// The root that policy and installed files lie in
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// The packages to judge
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// Show what a package consists of, without judging whom it comes from
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// The package to look into
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// For whom an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs; carries schema_version.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }
}
