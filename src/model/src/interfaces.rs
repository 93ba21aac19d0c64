//! One file in the format of interfaces(5).

use std::borrow::Cow;
use std::fmt;

/// A parsed file: its stanzas in the order of the file. Words are those of the file and no copies,
/// unless a line was joined from several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces<'a> {
    /// Stanzas in file order.
    pub stanzas: Vec<Stanza<'a>>,
}

impl Interfaces<'_> {
    /// Whether there is nothing but blank lines and comments. Such a file configures no network,
    /// not even `lo`: for `/etc/network/interfaces` that is damage.
    pub fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }
}

/// A stanza and the line it starts on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// The first line.
    pub line: usize,
    /// What it says.
    pub kind: Kind<'a>,
}

/// The kinds of stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `auto NAME…` or `allow-CLASS NAME…`; `class` is the keyword itself.
    Allow {
        /// `auto`, `allow-hotplug`, `allow-vmbr0`, …
        class: Cow<'a, str>,
        /// The interfaces named.
        names: Vec<Cow<'a, str>>,
    },
    /// `iface NAME [FAMILY] [METHOD]` with its options.
    Iface(Iface<'a>),
    /// `mapping PATTERN…` with its options (`script`, `map`).
    Mapping(Vec<Opt<'a>>),
    /// `source PATTERN…`: files to read as if they stood here.
    Source(Vec<Vec<u8>>),
    /// `source-directory PATTERN…`: folders whose plainly named files are read.
    SourceDirectory(Vec<Vec<u8>>),
    /// A line that says nothing about addresses or bridges (`rename`, ifupdown2's `vlan` and
    /// template lines, a line Proxmox keeps without understanding it), kept as it is.
    Unknown(Vec<u8>),
}

/// An `iface` stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iface<'a> {
    /// The interface.
    pub name: Cow<'a, str>,
    /// `inet`, `inet6`, …; none in ifupdown2's typeless stanzas.
    pub family: Option<Cow<'a, str>>,
    /// `static`, `dhcp`, `manual`, …
    pub method: Option<Cow<'a, str>>,
    /// Options in file order, repeated ones included.
    pub options: Vec<Opt<'a>>,
}

/// One option of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt<'a> {
    /// The line, counted from 1.
    pub line: usize,
    /// The option's name as written.
    pub name: Cow<'a, str>,
    /// The rest of the line, trimmed. Bytes, since nothing obliges it to be UTF-8.
    pub value: Cow<'a, [u8]>,
}

impl Opt<'_> {
    /// Whether this is option `name` (written with `-`) in either spelling, `bridge-ports` or
    /// `bridge_ports`: ifupdown2 takes them for the same.
    pub fn is(&self, name: &str) -> bool {
        let same = |(own, asked): (u8, u8)| own == asked || (own == b'_' && asked == b'-');
        self.name.len() == name.len() && self.name.bytes().zip(name.bytes()).all(same)
    }

    /// The first word of the value, if it is UTF-8.
    pub fn word(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()?.split_whitespace().next()
    }
}

/// Why a file does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// Reads a file. A file that was cut off between two lines can't be told from a whole one.
///
/// # Errors
/// A NUL byte anywhere, another control character outside comments, an option before any stanza,
/// an `iface` without a name or with one that is not UTF-8, a `source` of nothing.
pub fn parse(bytes: &[u8]) -> Result<Interfaces<'_>, ParseError> {
    let mut parser = Parser::default();
    for (line, text) in logical_lines(bytes)? {
        match text {
            Cow::Borrowed(text) => parser.line(line, text, Cow::Borrowed)?,
            Cow::Owned(text) => parser.line(line, &text, |part| Cow::Owned(part.to_vec()))?,
        }
    }
    Ok(Interfaces { stanzas: parser.stanzas })
}

/// A line's number, and its text with those that continue it.
type Line<'a> = (usize, Cow<'a, [u8]>);

/// Joins continued lines, drops blank ones and comments. As in ifupdown, a comment ends with its
/// line even if a backslash stands there, so that it can't swallow a live line.
fn logical_lines(bytes: &[u8]) -> Result<Vec<Line<'_>>, ParseError> {
    let mut out: Vec<Line<'_>> = Vec::new();
    let mut continues = false;
    for (number, raw) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = number + 1;
        if raw.contains(&0) {
            return Err(error(line, "a NUL byte: the file is damaged"));
        }
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let joined = std::mem::take(&mut continues);
        let text = raw.trim_ascii_start();
        if !joined && (text.is_empty() || text.starts_with(b"#")) {
            continue;
        }
        if let Some(bad) = raw.iter().find(|b| b.is_ascii_control() && !b.is_ascii_whitespace()) {
            let what = format!("control character 0x{bad:02x}: the file is damaged");
            return Err(error(line, what));
        }
        let body = raw.strip_suffix(b"\\");
        continues = body.is_some();
        let body = body.unwrap_or(raw);
        match out.last_mut().filter(|_| joined) {
            Some((_, text)) => text.to_mut().extend_from_slice(body),
            None => out.push((line, Cow::Borrowed(body))),
        }
    }
    Ok(out)
}

/// Keeps a part of a line: as it is where the line outlives us, else a copy.
type Keep<'t, 'a> = fn(&'t [u8]) -> Cow<'a, [u8]>;

#[derive(Default)]
struct Parser<'a> {
    stanzas: Vec<Stanza<'a>>,
    /// Whether options now belong to the last `iface` or `mapping`.
    open: Option<usize>,
}

impl<'a> Parser<'a> {
    fn line<'t>(&mut self, line: usize, text: &'t [u8], keep: Keep<'t, 'a>) -> Result<(), ParseError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(()); // nothing but a continuation
        }
        // Mako, ifupdown2's template language, may stand inside a stanza without ending it.
        if text.starts_with(b"%") || text.starts_with(b"<%") || text.starts_with(b"</%") {
            self.stanzas.push(Stanza { line, kind: Kind::Unknown(text.to_vec()) });
            return Ok(());
        }
        let (keyword, rest) = split_word(text);
        let kind = match keyword {
            b"iface" => Kind::Iface(iface(line, rest, keep)?),
            b"mapping" => Kind::Mapping(Vec::new()),
            b"source" => Kind::Source(patterns(line, keyword, rest)?),
            b"source-directory" => Kind::SourceDirectory(patterns(line, keyword, rest)?),
            b"vlan" | b"template" | b"rename" | b"no-auto-down" | b"no-scripts" => Kind::Unknown(text.to_vec()),
            _ if keyword == b"auto" || keyword.starts_with(b"allow-") => {
                Kind::Allow { class: lossy(keep(keyword)), names: words(rest).map(|word| lossy(keep(word))).collect() }
            }
            _ => return self.option(line, text, keep),
        };
        self.open = matches!(kind, Kind::Iface(_) | Kind::Mapping(_)).then_some(self.stanzas.len());
        self.stanzas.push(Stanza { line, kind });
        Ok(())
    }

    fn option<'t>(&mut self, line: usize, text: &'t [u8], keep: Keep<'t, 'a>) -> Result<(), ParseError> {
        let (name, value) = split_word(text);
        let opt = Opt { line, name: lossy(keep(name)), value: keep(value) };
        if self.stanzas.is_empty() {
            let what = format!("'{}' stands before any stanza", excerpt(name));
            return Err(error(line, what));
        }
        match self.open.and_then(|i| self.stanzas.get_mut(i)).map(|s| &mut s.kind) {
            Some(Kind::Iface(iface)) => iface.options.push(opt),
            Some(Kind::Mapping(options)) => options.push(opt),
            // Proxmox keeps such lines and ifupdown2 reports and skips them: odd, not damaged.
            _ => self.stanzas.push(Stanza { line, kind: Kind::Unknown(text.to_vec()) }),
        }
        Ok(())
    }
}

fn iface<'t, 'a>(line: usize, rest: &'t [u8], keep: Keep<'t, 'a>) -> Result<Iface<'a>, ParseError> {
    let mut words = words(rest);
    let name = words.next().ok_or_else(|| error(line, "'iface' without a name"))?;
    if std::str::from_utf8(name).is_err() {
        return Err(error(line, format!("the interface name '{}' is not UTF-8", excerpt(name))));
    }
    // `inherits TEMPLATE` may stand where family and method would.
    let mut types = words.take_while(|w| *w != b"inherits").map(|word| lossy(keep(word)));
    Ok(Iface { name: lossy(keep(name)), family: types.next(), method: types.next(), options: Vec::new() })
}

fn patterns(line: usize, keyword: &[u8], rest: &[u8]) -> Result<Vec<Vec<u8>>, ParseError> {
    let found: Vec<_> = words(rest).map(<[u8]>::to_vec).collect();
    if found.is_empty() {
        return Err(error(line, format!("'{}' without a path", excerpt(keyword))));
    }
    Ok(found)
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_ascii())
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty())
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// At most 40 bytes, all printable: enough to find the place, whatever the file holds.
fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(40)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}

fn error(line: usize, what: impl Into<String>) -> ParseError {
    ParseError { line, what: what.into() }
}

#[cfg(test)]
#[path = "interfaces_tests.rs"]
mod tests;
