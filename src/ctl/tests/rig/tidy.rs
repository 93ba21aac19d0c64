//! Output as snapshot tests keep it.

/// Replaces what differs from run to run (snapshot names, operation ids, times) by numbers in the
/// order in which they appear. Their width differs as well, so blanks after them are made two.
pub fn tidy(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = stamp(rest);
        if length == 0 {
            let next = rest.chars().next().unwrap();
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        let found = rest[..length].to_owned();
        let number = seen.iter().position(|s| *s == found).unwrap_or_else(|| {
            seen.push(found);
            seen.len() - 1
        });
        out.push_str(&format!("<{}>", number + 1));
        rest = &rest[length..];
        if rest.starts_with("  ") {
            out.push_str("  ");
            rest = rest.trim_start_matches(' ');
        }
    }
    out
}

/// The length of a time stamp, snapshot name, operation id, digest, time or duration at the
/// beginning of the text; 0 if there is none.
fn stamp(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let hex = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if hex == 64 {
        return 64;
    }
    let bytes = text.as_bytes();
    if digits(text) == 8 && bytes.get(8) == Some(&b'-') && digits(&text[9..]) == 6 {
        let mut length = 15;
        while bytes.get(length) == Some(&b'-') && digits(&text[length + 1..]) > 0 {
            length += 1 + digits(&text[length + 1..]);
        }
        return length;
    }
    if digits(text) == 4 && bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') && bytes.get(19) == Some(&b'Z')
    {
        return 20;
    }
    if let Some(after) = text.get(digits(text)..)
        && digits(text) > 0
        && after.starts_with(" ms")
    {
        return digits(text);
    }
    if digits(text) == 10 { 10 } else { 0 }
}
