//! What the pending changes change, and where the kernel differs from the files.

use ::cli::screen::Colours;
use ::cli::{note, out};
use history::snapshot;
use host::{Error, Result};
use model::NetworkFiles;
use similar::TextDiff;

use crate::Node;
use crate::apply::wanted::{missing, wanted};
use crate::files::{INTERFACES, PENDING, before_and_after, content};
use crate::kernel::Kernel;

pub(super) fn run(node: &Node) -> Result<()> {
    running(node)?;
    let Some(pending) = content(node, PENDING)? else {
        note!("pvenet: nothing is pending");
        return Ok(());
    };
    let saved = content(node, INTERFACES)?.unwrap_or_default();
    let patch = unified(&saved, &pending, INTERFACES, PENDING)?;
    if patch.is_empty() {
        note!("pvenet: {PENDING} is there and changes nothing");
    }
    paint(&patch)
}

/// What the kernel lacks of what the saved files want, a line each.
pub(super) fn lacking(node: &Node) -> Result<Vec<String>> {
    if !node.store.root.is_system() {
        return Ok(Vec::new());
    }
    let (saved, _) = before_and_after(&snapshot::present(&node.store, true)?);
    Ok(missing(&wanted(&saved), &Kernel::read()?).into_iter().collect())
}

fn running(node: &Node) -> Result<()> {
    let colours = Colours::of_stdout();
    lacking(node)?.into_iter().try_for_each(|line| out(colours.yellow(&format!("running: {line}"))))
}

/// A patch of every file that differs.
pub(super) fn patch(before: &NetworkFiles, after: &NetworkFiles) -> Result<String> {
    let mut out = String::new();
    for path in before.paths().chain(after.paths().filter(|p| before.get(p).is_none())) {
        let name = path.display().to_string();
        let bytes = |files: &NetworkFiles| files.get(path).unwrap_or_default().to_vec();
        out += &unified(&bytes(before), &bytes(after), &name, &name)?;
    }
    Ok(out)
}

fn unified(before: &[u8], after: &[u8], from: &str, to: &str) -> Result<String> {
    if before == after {
        return Ok(String::new());
    }
    let text = |bytes, path: &str| {
        std::str::from_utf8(bytes)
            .map_err(|_| Error::new(format!("{path} is not UTF-8")).way_out("pvenet validate names the place"))
    };
    let (before, after) = (text(before, from)?, text(after, to)?);
    Ok(TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(from, to).to_string())
}

/// Prints a patch.
pub(super) fn paint(patch: &str) -> Result<()> {
    let colours = Colours::of_stdout();
    for line in patch.lines() {
        out(match line.as_bytes().first() {
            Some(b'+') => colours.green(line),
            Some(b'-') => colours.red(line),
            Some(b'@') => colours.cyan(line),
            _ => line.to_owned(),
        })?;
    }
    Ok(())
}
