//! What the pending changes change, and where the kernel differs from the files.

use ::cli::screen::Colours;
use ::cli::{note, out};
use history::snapshot;
use host::{Error, Result};
use model::NetworkFiles;
use similar::udiff::UnifiedHunkHeader;
use similar::{Algorithm, capture_diff_slices, group_diff_ops};

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

/// Lines around each change, as diff -u has them.
const CONTEXT: usize = 3;

fn unified(before: &[u8], after: &[u8], from: &str, to: &str) -> Result<String> {
    if before == after {
        return Ok(String::new());
    }
    let text = |bytes, path: &str| {
        std::str::from_utf8(bytes)
            .map_err(|_| Error::new(format!("{path} is not UTF-8")).way_out("pvenet validate names the place"))
    };
    let (before, after) = (text(before, from)?, text(after, to)?);
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    // Not TextDiff, which first hashes every line: mostly all are the same but a few.
    let changes = capture_diff_slices(Algorithm::Myers, &old, &new);
    let mut out = format!("--- {from}\n+++ {to}\n");
    for hunk in group_diff_ops(changes, CONTEXT) {
        out += &format!("{}\n", UnifiedHunkHeader::new(&hunk));
        for change in hunk.iter().flat_map(|op| op.iter_changes(&old, &new)) {
            let end = if change.value().ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            out += &format!("{}{}{end}", change.tag(), change.value());
        }
    }
    Ok(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_those_of_diff_u() {
        let numbers = |range: std::ops::Range<u32>| range.map(|n| format!("{n}\n")).collect::<String>();
        for (before, after) in [
            (String::new(), numbers(1..3)),
            (numbers(1..3), String::new()),
            (numbers(1..20), numbers(1..20).replace("10\n", "ten\n")),
            (numbers(1..200), numbers(1..200).replace("\n50\n", "\nfifty\n").replace("\n150\n", "\n")),
            (numbers(1..9), numbers(1..9) + "no end"),
            ("no end".to_owned(), "no end\n".to_owned()),
            ("a\n\nb\n".to_owned(), "b\n\na".to_owned()),
        ] {
            let whole = similar::TextDiff::from_lines(&before, &after);
            let expected = whole.unified_diff().context_radius(3).header("a", "b").to_string();
            assert_eq!(unified(before.as_bytes(), after.as_bytes(), "a", "b").unwrap(), expected);
        }
        assert_eq!(unified(b"x\n", b"x\n", "a", "b").unwrap(), "");
        assert!(unified(b"x\n", b"\xff\n", "a", "b").unwrap_err().to_string().contains("b is not UTF-8"));
    }
}
