//! What the pending changes change.

use ::cli::out;
use ::cli::screen::Colours;
use host::{Error, Result};
use similar::TextDiff;

use super::content;
use crate::Node;
use crate::legacy::{INTERFACES, PENDING};

pub(super) fn run(node: &Node) -> Result<()> {
    let Some(pending) = content(node, PENDING)? else {
        eprintln!("pvenet: nothing is pending");
        return Ok(());
    };
    let saved = content(node, INTERFACES)?.unwrap_or_default();
    let text = |bytes: Vec<u8>, path: &str| {
        String::from_utf8(bytes)
            .map_err(|_| Error::new(format!("{path} is not UTF-8")).way_out("pvenet validate names the place"))
    };
    let (saved, pending) = (text(saved, INTERFACES)?, text(pending, PENDING)?);
    let diff =
        TextDiff::from_lines(&saved, &pending).unified_diff().context_radius(3).header(INTERFACES, PENDING).to_string();
    if diff.is_empty() {
        eprintln!("pvenet: {PENDING} is there and changes nothing");
    }
    let colours = Colours::of_stdout();
    for line in diff.lines() {
        out(match line.as_bytes().first() {
            Some(b'+') => colours.green(line),
            Some(b'-') => colours.red(line),
            Some(b'@') => colours.cyan(line),
            _ => line.to_owned(),
        })?;
    }
    Ok(())
}
