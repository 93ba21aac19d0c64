//! What dpkg's database says of our package: read, never asked by running dpkg.

use host::{Root, files};

/// Version and state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Installed {
    /// As dpkg writes it; empty where there is none.
    pub(crate) version: String,
    /// dpkg's short word: `ii`, `iF`, `rc`, …
    pub(crate) state: String,
}

impl Installed {
    /// Whether dpkg has nothing left to do.
    pub(crate) fn is_whole(&self) -> bool {
        self.state == "ii" || self.state == "hi"
    }
}

/// More than any machine's list of packages.
const LIMIT: u64 = 64 << 20;

/// What is known of `package`; `None` if dpkg does not know it.
pub(crate) fn installed(root: &Root, package: &str) -> Option<Installed> {
    let bytes = files::read_plain(&root.path("/var/lib/dpkg/status"), LIMIT).ok().flatten()?;
    let text = String::from_utf8_lossy(&bytes);
    let head = format!("Package: {package}\n");
    let start = if text.starts_with(&head) { 0 } else { text.find(&format!("\n{head}"))? + 1 };
    let paragraph = text[start..].split("\n\n").next()?;
    let field = |name: &str| paragraph.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim();
    Some(Installed { version: field("Version:").to_owned(), state: abbreviation(field("Status:")) })
}

/// dpkg-query(1), `db:Status-Abbrev`.
fn abbreviation(status: &str) -> String {
    let mut words = status.split_whitespace();
    let (want, error, state) = (words.next(), words.next(), words.next());
    let want = match want {
        Some("install") => 'i',
        Some("hold") => 'h',
        Some("deinstall") => 'r',
        Some("purge") => 'p',
        _ => 'u',
    };
    let state = match state {
        Some("installed") => 'i',
        Some("config-files") => 'c',
        Some("unpacked") => 'U',
        Some("half-configured") => 'F',
        Some("half-installed") => 'H',
        Some("triggers-awaited") => 'W',
        Some("triggers-pending") => 't',
        _ => 'n',
    };
    let reinstall = if error == Some("reinstreq") { "R" } else { "" };
    format!("{want}{state}{reinstall}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_paragraph_and_its_state() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert_eq!(installed(&root, "p"), None);
        std::fs::create_dir_all(root.path("/var/lib/dpkg")).unwrap();
        let text = "Package: pp\nStatus: install ok installed\nVersion: 9\n\nPackage: p\nStatus: install reinstreq half-configured\nVersion: 1-2\n\nPackage: q\nVersion: 3\n";
        std::fs::write(root.path("/var/lib/dpkg/status"), text).unwrap();
        assert_eq!(installed(&root, "p"), Some(Installed { version: "1-2".into(), state: "iFR".into() }));
        assert!(installed(&root, "pp").unwrap().is_whole());
        assert_eq!(installed(&root, "x"), None);
    }
}
