//! What must not be printed by accident: tokens, keys and passwords in configuration.
//!
//! Files below `/etc/pve/priv` are secret as a whole. In every other file the rest of a line is
//! hidden after a word that announces a secret: `token` and `key` of SDN's ipam and dns plugins,
//! `password` of FRR's neighbours, `wpa-psk` of interfaces(5). It rather hides too much.

use std::path::Path;

/// What stands in for what is hidden.
pub(crate) const HIDDEN: &str = "<hidden>";

const WORDS: [&str; 9] = ["token", "key", "password", "passwd", "passphrase", "secret", "psk", "md5", "apikey"];
const ENDS: [&str; 6] = ["password", "passphrase", "psk", "secret", "token", "apikey"];

/// Whether nothing of the file is to be shown.
pub(crate) fn whole(path: &Path) -> bool {
    path.starts_with("/etc/pve/priv")
}

/// The line without what must not be seen, its line end kept.
pub(crate) fn hide(line: &str) -> String {
    let body = line.trim_end_matches(['\n', '\r']);
    let end = &line[body.len()..];
    let mut at = 0;
    for word in body.split_inclusive(|c: char| c.is_whitespace() || c == '=' || c == ':') {
        let from = at;
        at += word.len();
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || c == '=' || c == ':').to_ascii_lowercase();
        let bare = bare.trim_matches(['"', '\'', '#']);
        let secret = WORDS.contains(&bare)
            || ENDS.iter().any(|e| bare.ends_with(&format!("-{e}")) || bare.ends_with(&format!("_{e}")));
        if secret && !body[at..].trim().is_empty() {
            let separator = &body[from..at];
            return format!("{}{separator}{HIDDEN}{end}", &body[..from]);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_not() {
        for (line, shown) in [
            ("\ttoken abc\n", "\ttoken <hidden>\n"),
            ("\tkey  s3cret", "\tkey <hidden>"),
            (" neighbor 192.0.2.1 password hunter2\n", " neighbor 192.0.2.1 password <hidden>\n"),
            ("wpa-psk 0123\r\n", "wpa-psk <hidden>\r\n"),
            ("api_token=abc", "api_token=<hidden>"),
            ("\"password\": \"x\",\n", "\"password\":<hidden>\n"),
            ("ip ospf message-digest-key 1 md5 geheim", "ip ospf message-digest-key 1 md5 <hidden>"),
            ("\taddress 192.0.2.10/24\n", "\taddress 192.0.2.10/24\n"),
            ("token\n", "token\n"),
            ("bridge-ports tokenring0\n", "bridge-ports tokenring0\n"),
            ("", ""),
        ] {
            // The blanks after the word are not kept, so compare without them.
            let squeezed = |text: &str| text.replace("  ", " ");
            assert_eq!(squeezed(&hide(line)), shown, "{line:?}");
        }
        assert!(whole(Path::new("/etc/pve/priv/ipam.db")));
        assert!(!whole(Path::new("/etc/pve/private")));
    }
}
