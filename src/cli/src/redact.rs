//! Taking secrets out of text, before anything is written. A bundle is sent to strangers: what looks
//! like a secret goes, and a word too many is the price.
//!
//! ```text
//!   text ─► JSON: value by value
//!        └► private key blocks ─► lines: shapes (keys, tickets, hashes) ─► names (password …) and what follows
//! ```

use std::path::Path;

use serde_json::Value;

/// What stands in a secret's place.
pub const REMOVED: &str = "[removed]";

/// How much a name like `password` takes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Configuration: a name's value goes to the end of the line.
    Config,
    /// Prose and logs: a value ends with its word, unless it is quoted.
    Log,
}

/// The text without secrets.
pub fn redact(text: &str, form: Form) -> String {
    if let Ok(mut value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        json(&mut value);
        return serde_json::to_string_pretty(&value).unwrap_or_else(|_| REMOVED.into()) + "\n";
    }
    // JSON first: in it a key block lies within one line, and must not take the next lines along.
    let text = by_line(text, |line| json_line(line).unwrap_or_else(|| line.to_owned()));
    let text = without_private_blocks(&text);
    by_line(&text, |line| json_line(line).unwrap_or_else(|| names(&shapes(line), form)))
}

/// Whether nothing of the file is to be shown, in whatever form.
pub fn whole(path: &Path) -> bool {
    path.starts_with("/etc/pve/priv")
}

/// Whether a private key stands in the text, whose lines alone do not show what they are.
pub fn has_private_key(text: &str) -> bool {
    without_private_blocks(text) != text
}

/// One line of configuration, its end kept.
pub fn line(text: &str) -> String {
    by_line(text, |line| names(&shapes(line), Form::Config))
}

fn by_line(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |l| (l, "\n"));
        out.push_str(&change(line));
        out.push_str(end);
    }
    out
}

/// A line that is a JSON object, as journals have them.
fn json_line(line: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    value.is_object().then(|| {
        json(&mut value);
        value.to_string()
    })
}

/// Key by key; strings are looked into as well.
fn json(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if is_secret(key) && !matches!(value, Value::Null | Value::Bool(_)) {
                    *value = REMOVED.into();
                } else {
                    json(value);
                }
            }
            let suspicious: Vec<String> = map.keys().filter(|k| shapes(k) != **k).cloned().collect();
            for key in suspicious {
                if let Some(value) = map.remove(&key) {
                    map.insert(shapes(&key), value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(json),
        Value::String(text) => *text = redact_string(text),
        _ => {}
    }
}

fn redact_string(text: &str) -> String {
    let text = without_private_blocks(text);
    text.split('\n').map(|line| names(&shapes(line), Form::Log)).collect::<Vec<_>>().join("\n")
}

/// `-----BEGIN … PRIVATE KEY …-----` up to its end, or to the end of the text if that is missing.
fn without_private_blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        let label = &rest[at + 11..];
        let label = &label[..label.find("-----").unwrap_or(0)];
        if !label.contains("PRIVATE") {
            let next = at + 11;
            out.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        out.push_str(&rest[..at]);
        out.push_str(REMOVED);
        let end = format!("-----END {label}-----");
        rest = rest[at..].find(&end).map_or("", |e| &rest[at + e + end.len()..]);
    }
    out + rest
}

/// Secrets that show by what they look like, whatever their name.
fn shapes(line: &str) -> String {
    let line = urls(line);
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        if let Some(length) = shape(rest, out.chars().next_back()) {
            out.push_str(REMOVED);
            rest = &rest[length..];
        } else if is_word(first) || first == '$' {
            // A secret begins where a word begins.
            let length = rest[first.len_utf8()..].find(|c| !is_word(c)).map_or(rest.len(), |n| n + first.len_utf8());
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '+' || c == '/'
}

/// The length of the secret that `rest` begins with.
fn shape(rest: &str, before: Option<char>) -> Option<usize> {
    let run = |of: &dyn Fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
    let base64 = run(&is_word);
    // A WireGuard key: 32 bytes in base64.
    if base64 == 43 && rest[43..].starts_with('=') && !rest[44..].starts_with(|c| is_word(c) || c == '=') {
        return Some(44);
    }
    // Keys of IPsec and MACsec, 128 bits and more.
    if let Some(digits) = rest.strip_prefix("0x") {
        let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        return (length >= 32).then_some(length + 2);
    }
    // crypt(5)
    if rest.starts_with('$') && ["$1$", "$5$", "$6$", "$y$", "$7$", "$2", "$argon2"].iter().any(|p| rest.starts_with(p))
    {
        let length = run(&|c: char| is_word(c) || "$.,=-_".contains(c));
        return (length >= 20).then_some(length);
    }
    let token = run(&|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
    // A JSON Web Token.
    if rest.starts_with("eyJ") && rest[..token].matches('.').count() == 2 {
        return Some(token);
    }
    // A ticket of Proxmox VE, as in its cookie.
    let ticket = ["PVE:", "PVE%3A", "PVEVNC:", "PVEVNC%3A"].iter().any(|p| rest.starts_with(p));
    if ticket {
        let length = run(&|c: char| !c.is_whitespace() && !"\"';,".contains(c));
        return (rest[..length].contains("::") || rest[..length].contains("%3A%3A")).then_some(length);
    }
    // The secret of an API token, user@realm!name=UUID.
    let uuid = run(&|c: char| c.is_ascii_hexdigit() || c == '-');
    let is_uuid = uuid == 36 && rest[..36].matches('-').count() == 4;
    (is_uuid && matches!(before, Some('=' | ':'))).then_some(36)
}

/// User and password in front of an URL's host.
fn urls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/\"'?#".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(REMOVED);
                &after[at..]
            }
            None => after,
        };
    }
    out + rest
}

/// Names that tell a secret, and what follows them.
fn names(line: &str, form: Form) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(is_name) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        out.push_str(name);
        rest = after;
        if !is_secret(name) {
            continue;
        }
        let Some((between, value)) = value_after(after, name, form) else { continue };
        out.push_str(&after[..between]);
        out.push_str(REMOVED);
        rest = &after[between + value..];
    }
    out + rest
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.'
}

/// How far it is to the value that follows a name, and how long that is.
fn value_after(after: &str, name: &str, form: Form) -> Option<(usize, usize)> {
    let blanks = |text: &str| text.len() - text.trim_start().len();
    let quote = usize::from(after.starts_with(['"', '\'']));
    let mut between = quote + blanks(&after[quote..]);
    let sign = after[between..].starts_with([':', '=']);
    if sign {
        let signs = after[between..].find(|c| !":=>".contains(c)).unwrap_or(after.len() - between);
        between += signs;
        between += blanks(&after[between..]);
    } else if quote == 1 || between == 0 {
        return None; // a name at the end of a quotation or of a clause
    }
    // "the password is …", "token was …"
    for word in ["is ", "was ", "of ", "for "] {
        if form == Form::Log && !sign && after[between..].starts_with(word) {
            between += word.len();
        }
    }
    let value = &after[between..];
    if value.is_empty() {
        return None;
    }
    if let Some(mark) = value.chars().next().filter(|c| "\"'".contains(*c)) {
        let mut escaped = false;
        let end = value[1..].find(|c| {
            let ends = c == mark && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return Some((between + 1, end.unwrap_or(value.len() - 1)));
    }
    let name = name.to_ascii_lowercase();
    let whole_line = form == Form::Config || name.ends_with("authorization") || name.ends_with("cookie");
    let end = if whole_line {
        value.find(['"', '\'']).filter(|_| form == Form::Log).unwrap_or(value.len())
    } else {
        value.find(|c: char| c.is_whitespace() || "\"'&;,".contains(c)).unwrap_or(value.len())
    };
    (end > 0).then_some((between, end))
}

/// Words that name a secret, alone or as a part of a longer name.
const WORDS: [&str; 17] = [
    "pass",
    "pwd",
    "psk",
    "pin",
    "otp",
    "cred",
    "creds",
    "credential",
    "credentials",
    "community",
    "cookie",
    "cookies",
    "ticket",
    "csrf",
    "authorization",
    "bearer",
    "apikeys",
];

/// Endings that name a secret, as in `apikey`, `CSRFPreventionToken`, `dbpassword`.
const ENDINGS: [&str; 9] =
    ["password", "passwords", "passwd", "passphrase", "secret", "secrets", "token", "tokens", "key"];

/// Whether a name tells a secret.
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = || lower.split(|c: char| !c.is_ascii_alphanumeric());
    words().any(|word| WORDS.contains(&word) || ENDINGS.iter().any(|end| word.ends_with(end)))
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
