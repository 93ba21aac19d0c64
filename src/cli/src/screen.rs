//! What a terminal can do: colour, and how wide it is. Elsewhere lines are whole and plain.

use std::io::IsTerminal;

/// Colours by meaning; none where nobody would see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours(bool);

impl Colours {
    /// On a terminal, unless `NO_COLOR` says no (<https://no-color.org>) or the terminal can't.
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        Self(std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    /// Never any.
    pub const NONE: Self = Self(false);

    /// Always, wherever it goes.
    pub const ALWAYS: Self = Self(true);

    /// What went away.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What is well, or new.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// A place.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// To be looked at.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Nobody can tell.
    pub fn magenta(self, text: &str) -> String {
        self.paint("35", text)
    }

    /// To be mended now.
    pub fn alarm(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What the eye shall find.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns and rows of the terminal that standard output is, if it is one.
pub fn size() -> Option<(usize, usize)> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let (width, height) = terminal_size::terminal_size()?;
    Some((width.0.into(), height.0.into()))
}

/// Breaks a line at spaces so that none is wider than `width`; what follows the first is indented
/// by `indent` more. A word that is wider stays whole.
pub fn wrap(line: &str, width: usize, indent: usize) -> Vec<String> {
    let own = line.len() - line.trim_start().len();
    let mut out = vec![" ".repeat(own)];
    for word in line.split_whitespace() {
        let last = out.len() - 1;
        let used = out[last].chars().count();
        let blank = out[last].trim().is_empty();
        if blank {
            out[last].push_str(word);
        } else if used + 1 + word.chars().count() <= width {
            out[last].push(' ');
            out[last].push_str(word);
        } else {
            out.push(format!("{}{word}", " ".repeat(own + indent)));
        }
    }
    out
}

/// The beginning of a text, with `…` where it was longer than `width`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_nothing_is_lost() {
        let line = "  restore /etc/network/interfaces from 20261124-201500: Rust operation x is on trial";
        let broken = wrap(line, 40, 2);
        assert!(broken.iter().all(|l| l.chars().count() <= 40), "{broken:#?}");
        assert!(broken[1].starts_with("    "), "{broken:#?}");
        let joined: Vec<&str> = broken.iter().flat_map(|l| l.split_whitespace()).collect();
        assert_eq!(joined, line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(wrap("short", 40, 2), ["short"]);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 3), "äöü");
    }

    #[test]
    fn colours_are_there_or_not() {
        assert_eq!(Colours::ALWAYS.red("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Colours::NONE.red("x"), "x");
    }
}
