//! The command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The command line as clap sees it, for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Seals, signs, verifies, gates and installs Debian packages.
#[derive(Debug, Parser)]
#[command(name = "debseal", version, about, after_help = EXIT_CODES)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (status: a key expires soon), 2 usage, 3 refused by a rule, 6 refused: \
unsealed, unsigned, altered, or signed by nobody who is trusted. With several files the highest one \
wins.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Seal(SealArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
    Inspect(InspectArgs),
    Install(InstallArgs),
    #[command(subcommand)]
    Key(KeyCommand),
    Status(StatusArgs),
    Allow(AllowArgs),
    #[command(subcommand)]
    Gate(GateCommand),
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
    /// A fact about where it comes from, such as commit=HASH: it is signed with the manifest, and
    /// inspect shows it (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) provenance: Vec<String>,
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
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text)]
    pub(crate) output: VerifyFormat,
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

/// Verify packages, then install what was verified
///
/// For a first install, where no gate is there yet. The file is copied to where only root can write,
/// the copy is judged as by verify, and that copy is given to dpkg -i. Nothing is installed unless
/// all files are good.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// A certificate whose signatures count, instead of those of /etc/debseal (may be repeated)
    #[arg(long = "key", value_name = "CERT")]
    pub(crate) keys: Vec<PathBuf>,
    /// Only verify
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The packages to install
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Say whose signatures count for which package
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Add(KeyAddArgs),
    List(KeyListArgs),
    Remove(KeyRemoveArgs),
}

/// Trust a certificate for a package, or bring a known one up to date
///
/// With --package the certificate counts for that package from now on, besides those that count
/// already: so a new key is introduced while the old one is still in use. A certificate that is known
/// is merged with what is there: a later expiry or a revocation takes effect, and no update takes a
/// revocation away.
#[derive(Debug, Args)]
pub(crate) struct KeyAddArgs {
    /// The package that it may sign
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) package: Option<String>,
    /// Refuse any other certificate than this one
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Option<String>,
    /// What follows from a refusal [default for a new policy: enforce]
    #[arg(long, value_enum, requires = "package")]
    pub(crate) mode: Option<PolicyMode>,
    /// The root that the policy lies in
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Certificates, armored or binary
    #[arg(value_name = "CERT", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Show whose signatures count, and until when
#[derive(Debug, Args)]
pub(crate) struct KeyListArgs {
    /// For this package only
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) package: Option<String>,
    /// The root that the policy lies in
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
}

/// Trust a certificate no more
///
/// The last key of a package is not removed: nobody could sign it any more.
#[derive(Debug, Args)]
pub(crate) struct KeyRemoveArgs {
    /// For this package only
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) package: Option<String>,
    /// The root that the policy lies in
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Full fingerprint of the certificate
    #[arg(value_name = "FINGERPRINT")]
    pub(crate) fingerprint: String,
}

/// Show policies, keys and gates, and what is wrong with them
///
/// Exits with 1 when a key expires within --days, and with 6 when one counts no more or a policy can't
/// be read.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How many days ahead an expiry is a failure
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=36500))]
    pub(crate) days: u64,
    /// The root to look at
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
}

/// Let one very file pass the gate although it is refused
///
/// The file is known by its SHA-256, so that no other passes. Who allowed it and why stands in
/// /var/log/debseal/gate.log.
#[derive(Debug, Args)]
pub(crate) struct AllowArgs {
    /// Why
    #[arg(long, value_name = "WHY")]
    pub(crate) reason: String,
    /// For the next run of dpkg that takes it, and no longer: there is no other way yet
    #[arg(long, required = true)]
    pub(crate) once: bool,
    /// The package
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Judge what dpkg or apt is about to install; called by them
#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    Dpkg(GateDpkgArgs),
    /// Judge what apt is about to install: the list of DPkg::Pre-Install-Pkgs on standard input
    Apt,
}

/// Judge the files on dpkg's command line
#[derive(Debug, Args)]
pub(crate) struct GateDpkgArgs {
    /// dpkg's process id
    #[arg(long, value_name = "PID")]
    pub(crate) pid: u32,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyMode {
    /// The package is not installed.
    Enforce,
    /// It is said, and the package is installed.
    Warn,
}

/// For whom an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs; carries schema_version.
    Json,
}

/// For whom a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyFormat {
    /// For people.
    Text,
    /// For programs; carries schema_version.
    Json,
    /// For CI: JUnit's XML, a test case for each package.
    Junit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }
}
