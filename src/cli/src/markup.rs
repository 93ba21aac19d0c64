//! Text that stands in HTML, SVG or XML.

/// `text` as it stands between tags or, in quotes of either kind, in an attribute: nothing of it is markup there.
///
/// A tab and a line's end stay what they are, which an attribute would make spaces of (XML 1.0, 3.3.3). What XML has no
/// way to say, other control characters and U+FFFE and U+FFFF (XML 1.0, 2.2), becomes a question mark: the page can be
/// read, and what was there is not the same as nothing.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        for (text, escapes) in [
            ("", ""),
            ("vmbr0 – ünlike eth0", "vmbr0 – ünlike eth0"),
            ("<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("]]>", "]]&gt;"),
            // Once more is once more.
            ("&lt;", "&amp;lt;"),
            ("a\tb\r\nc", "a&#9;b&#13;&#10;c"),
            ("\0\u{1}\u{1b}[31m\u{7f}\u{85}\u{fffe}\u{ffff}", "???[31m????"),
        ] {
            assert_eq!(escaped(text), escapes, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_said_comes_back(text in any::<String>()) {
            let escapes = escaped(&text);
            let bare = escapes.find(|c: char| "<>\"'\u{fffe}\u{ffff}".contains(c) || c.is_control());
            prop_assert_eq!(bare, None);
            let back = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#9;", "\t"), ("&#10;", "\n"),
                ("&#13;", "\r"), ("&amp;", "&")];
            let back = back.iter().fold(escapes, |text, (escape, c)| text.replace(escape, c));
            let sayable = |c: char| matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || "\u{fffe}\u{ffff}".contains(c));
            prop_assert_eq!(back, text.chars().map(|c| if sayable(c) { c } else { '?' }).collect::<String>());
        }
    }
}
