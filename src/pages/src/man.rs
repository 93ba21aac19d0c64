//! Manual pages in man(7).

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use host::{IoContext, Result};

/// What all our programs' exit codes mean ([`host::Kind`]).
const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "Done."),
    ("1", "Failed; the line on standard error says what, where, and the way out."),
    ("2", "The call makes no sense."),
    ("3", "Refused by a rule or a gate."),
    ("4", "Inconclusive: not enough evidence to say yes or no."),
    ("5", "The cluster's configuration can't be written now, or is locked."),
    ("6", "A signature, seal or key was refused."),
];

/// How many of them a service can end with: it judges no evidence, cluster or signature.
const SERVICE_CODES: usize = 4;

/// File name and text of the pages of `cli` and all its subcommands.
pub(crate) fn all(mut cli: Command, section: char) -> Result<Vec<(String, Vec<u8>)>> {
    // A page for each of "help", "help phase", "help phase set" would say nothing.
    cli = cli.disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    collect(&cli, None, section, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, parent: Option<&str>, section: char, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let name = full_name(command);
    let page = page(command, parent, section).doing(|| format!("cannot make the page {name}"))?;
    pages.push((format!("{name}.{section}"), page));
    for subcommand in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        collect(subcommand, Some(&name), section, pages)?;
    }
    Ok(())
}

/// `migration-ctl-phase-set` for `migration-ctl phase set`.
fn full_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, parent: Option<&str>, section: char) -> std::io::Result<Vec<u8>> {
    let name = full_name(command);
    let man = Man::new(command.clone()).section(section);
    let mut out = title(&name, section).into_bytes();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().any(|a| !a.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if command.get_subcommands().any(|s| !s.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    if command.get_after_long_help().or(command.get_after_help()).is_some() {
        man.render_extra_section(&mut out)?;
    }
    exit_status(section).to_writer(&mut out)?;
    if let Some(parent) = parent {
        see_also(parent, section).to_writer(&mut out)?;
    }
    Ok(out)
}

/// The title line. Its third field, the date, is left empty so that it says nothing of the day of
/// the build; clap_mangen would leave it out and so shift the two that follow.
fn title(name: &str, section: char) -> String {
    let manual = if section == '8' { "System Administration" } else { "User Commands" };
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH \"{}\" \"{section}\" \"\" \"pve-network-rs {version}\" \"{manual}\"\n", name.to_uppercase())
}

fn exit_status(section: char) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["EXIT STATUS"]);
    let known = if section == '8' { SERVICE_CODES } else { EXIT_CODES.len() };
    for (code, meaning) in &EXIT_CODES[..known] {
        roff.control("TP", []);
        roff.text([bold(*code)]);
        roff.text([roman(*meaning)]);
    }
    roff
}

fn see_also(parent: &str, section: char) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(parent), roman(format!("({section})"))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn pages() -> Vec<(String, String)> {
        let set = Command::new("set").about("sets it").arg(Arg::new("phase").required(true));
        let secret = Command::new("secret").hide(true);
        let cli = Command::new("tool").about("a tool").subcommand(set).subcommand(secret);
        let made = all(cli, '1').unwrap();
        made.into_iter().map(|(name, text)| (name, String::from_utf8(text).unwrap())).collect()
    }

    #[test]
    fn one_page_a_visible_command_and_none_for_help() {
        let names: Vec<_> = pages().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["tool.1", "tool-set.1"]);
    }

    #[test]
    fn the_name_line_is_what_apropos_wants() {
        let pages = pages();
        assert!(pages[1].1.contains(".SH NAME\ntool\\-set \\- sets it\n"), "{}", pages[1].1);
        assert!(pages[1].1.contains("tool\\fR(1)"), "{}", pages[1].1);
    }
}
