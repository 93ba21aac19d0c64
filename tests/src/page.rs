//! Runs a page of the documents: every command block, as it stands there, on the machine that it
//! names, in order, and compares what it prints with what the page shows.
//!
//! ````text
//! ```sh on=pve1 exit=3          the machine (or several: on=pve1,pve2), and the exit code if not 0;
//!                               with=pve2:/root/x: that file of pve2's, brought over before
//! migration-ctl phase set rust-sdn
//! ```
//! ```text                       right after it: lines of its output, in this order
//! migration-ctl: cannot go from … to rust-sdn: …
//! ```
//! <!-- sh on=pve1               what happens meanwhile, not shown to the reader
//! rust-write …
//! -->
//! ````
//!
//! In shown output `…` stands for anything, and a line of it alone for any lines. A command block
//! that names no machine is a mistake in the page.

use std::fmt;

/// A block of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the page.
    pub line: usize,
    /// The machines that it runs on, one after the other.
    pub on: Vec<String>,
    /// The exit code that it ends with.
    pub exit: i32,
    /// Files that are brought over from other machines before.
    pub with: Vec<(String, String)>,
    /// The commands.
    pub script: String,
    /// Whether a reader does not see it.
    pub hidden: bool,
    /// What the page shows of the output.
    pub shown: Option<String>,
}

/// What is wrong with a page, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    line: usize,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The command blocks of a page, in order.
///
/// # Errors
/// A block without a machine, an unknown word in its first line, a block without an end.
pub fn blocks(page: &str) -> Result<Vec<Block>, Mistake> {
    let mut out: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    // Only what directly follows a block can be its output.
    let mut fresh = false;
    while let Some((number, line)) = lines.next() {
        let line_number = number + 1;
        let (words, end) = match (line.strip_prefix("```"), line.strip_prefix("<!-- ")) {
            (Some(words), _) if !words.is_empty() => (words, "```"),
            (_, Some(words)) if words.starts_with("sh ") => (words, "-->"),
            _ => {
                fresh &= line.trim().is_empty();
                continue;
            }
        };
        let mut body = String::new();
        loop {
            match lines.next() {
                Some((_, line)) if line == end => break,
                Some((_, line)) => body.extend([line, "\n"]),
                None => return Err(Mistake { line: line_number, what: "the block has no end".into() }),
            }
        }
        match words.split_once(' ').unwrap_or((words, "")) {
            ("sh", words) => {
                out.push(Block { hidden: end == "-->", ..block(line_number, words, body)? });
                fresh = true;
            }
            ("text", "") if fresh => {
                out.last_mut().expect("fresh follows a block").shown = Some(body);
                fresh = false;
            }
            _ => fresh = false,
        }
    }
    Ok(out)
}

fn block(line: usize, words: &str, script: String) -> Result<Block, Mistake> {
    let mut block = Block { line, on: Vec::new(), exit: 0, with: Vec::new(), script, hidden: false, shown: None };
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("on", names)) => block.on = names.split(',').map(str::to_owned).collect(),
            Some(("with", file)) if file.contains(":/") => {
                block.with.extend(file.split_once(':').map(|(from, path)| (from.to_owned(), path.to_owned())));
            }
            Some(("exit", code)) if code.parse::<i32>().is_ok() => block.exit = code.parse().unwrap_or_default(),
            _ => {
                return Err(Mistake {
                    line,
                    what: format!("{word:?} is neither on=MACHINE nor exit=CODE nor with=MACHINE:FILE"),
                });
            }
        }
    }
    if block.on.is_empty() {
        return Err(Mistake { line, what: "it names no machine: add on=MACHINE".into() });
    }
    Ok(block)
}

/// What the commands of a page printed, command by command: kept in the folder that `TRANSCRIPTS` names, if it does.
#[derive(Debug)]
pub struct Transcript(Option<std::path::PathBuf>);

impl Transcript {
    /// That of `page`, such as `PLAYBOOK.md`; begun anew.
    pub fn of(page: &str) -> Self {
        let Some(folder) = std::env::var_os("TRANSCRIPTS") else { return Self(None) };
        let file = crate::dist::workspace().join(folder).join(page);
        let head = format!(
            "# {page}, command by command\n\nMade by `make transcripts`: each block of [{page}](../{page}) that runs on a machine, \
             and what it printed there. Times, digests and keys are those of that run.\n"
        );
        std::fs::create_dir_all(file.parent().expect("a file has a folder")).expect("the folder can be made");
        std::fs::write(&file, head).expect("the transcript can be written");
        Self(Some(file))
    }

    /// A block has run. What happens meanwhile, which the page does not show, is in no transcript.
    pub fn add(&self, block: &Block, on: &str, code: Option<i32>, said: &str) {
        use std::io::Write;
        let (Some(file), false) = (&self.0, block.hidden) else { return };
        let code = code.filter(|code| *code != 0).map_or_else(String::new, |code| format!(", exit code {code}"));
        let lines: String = said.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let text =
            format!("\n## Line {}, on {on}{code}\n\n```sh\n{}```\n\n````text\n{lines}````\n", block.line, block.script);
        let mut file = std::fs::OpenOptions::new().append(true).open(file).expect("the transcript is there");
        file.write_all(text.as_bytes()).expect("the transcript can be written");
    }
}

/// The first line that the page shows and that did not come, if any.
pub fn missing<'a>(shown: &'a str, output: &str) -> Option<&'a str> {
    let mut output = output.lines();
    shown
        .lines()
        .filter(|line| !line.trim().is_empty() && line.trim() != "…")
        .find(|wanted| !output.any(|line| like(wanted.trim_end(), line.trim_end())))
}

fn like(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Page

```sh on=a,b exit=3
one
two
```

```text
said …
```

Words.

```text
no output of anything
```

<!-- sh on=a with=b:/root/x
three
-->

<!-- a comment -->
";

    #[test]
    fn blocks_are_found_with_what_they_show() {
        let found = blocks(PAGE).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].exit, found[0].script.as_str()), (3, 3, "one\ntwo\n"));
        assert_eq!(found[0].on, ["a", "b"]);
        assert_eq!(found[0].shown.as_deref(), Some("said …\n"));
        assert_eq!((found[1].on[0].as_str(), found[1].script.as_str()), ("a", "three\n"));
        assert_eq!(found[1].shown, None);
        assert_eq!((found[0].hidden, found[1].hidden), (false, true));
        assert_eq!((found[0].with.len(), found[1].with.as_slice()), (0, &[("b".into(), "/root/x".into())][..]));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (page, said) in [
            ("x\n```sh\na\n```\n", "line 2: it names no machine"),
            ("```sh on=a code=1\na\n```\n", "line 1: \"code=1\""),
            ("```sh on=a with=x\na\n```\n", "line 1: \"with=x\""),
            ("```sh on=a exit=x\na\n```\n", "line 1: \"exit=x\""),
            ("```sh on=a\na\n", "line 1: the block has no end"),
        ] {
            let mistake = blocks(page).unwrap_err().to_string();
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn shown_lines_come_in_order_and_dots_stand_for_anything() {
        let output = "captured 9 paths in /x\nnode pve1 is at perl-only\n";
        for (shown, first_missing) in [
            ("captured … paths in …\nnode pve1 is at perl-only", None),
            ("…\nnode pve1 is at …\n", None),
            ("node pve1 is at perl-only\ncaptured …", Some("captured …")),
            ("captured … paths", Some("captured … paths")),
            ("node pve1", Some("node pve1")),
            ("", None),
        ] {
            assert_eq!(missing(shown, output), first_missing, "{shown}");
        }
    }
}
