//! The `control` file of a binary package (deb822(5), deb-control(5)), read strictly: where two
//! readers could take different values from one file, such as a doubled field, it is refused.

use host::Result;

use crate::refuse::refused;
use crate::version::Version;

/// One paragraph of fields, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    fields: Vec<(String, String)>,
}

/// `control` files are small; more than this is not one.
const MAX_SIZE: usize = 1 << 20;
/// More fields than any package has; each is compared with all before it.
const MAX_FIELDS: usize = 1000;

impl Control {
    /// Reads the file. Exactly one paragraph, no field twice, no comments, valid `Package`,
    /// `Version` and `Architecture`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |line: usize, why: &str| refused(format!("control file, line {line}: {why}"));
        if bytes.len() > MAX_SIZE {
            return Err(refused("the control file is larger than 1 MiB"));
        }
        let text =
            std::str::from_utf8(bytes).map_err(|_| refused("the control file is not UTF-8"))?.trim_end_matches('\n');
        let mut fields: Vec<(String, String)> = Vec::new();
        for (at, line) in text.split('\n').enumerate() {
            let at = at + 1;
            if line.contains(|c: char| c.is_control() && c != '\t') {
                return Err(wrong(at, "holds a control character"));
            }
            if line.starts_with([' ', '\t']) {
                let last = fields.last_mut();
                let (_, value) = last.ok_or_else(|| wrong(at, "continues no field"))?;
                if line.trim().is_empty() {
                    return Err(wrong(at, "is blank"));
                }
                value.push('\n');
                value.push_str(line);
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| wrong(at, "is no field"))?;
            let name_ok = |c: char| c.is_ascii_graphic();
            if name.is_empty() || name.starts_with(['#', '-']) || !name.chars().all(name_ok) {
                return Err(wrong(at, "is no field"));
            }
            if fields.len() == MAX_FIELDS {
                return Err(wrong(at, "is one field too many"));
            }
            if fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(wrong(at, &format!("field {name} is there twice")));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let control = Self { fields };
        control.check()?;
        Ok(control)
    }

    /// The value of a field, its name in any case; lines after the first keep their indentation.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// All fields in the order of the file.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The package's name.
    pub fn package(&self) -> &str {
        self.get("Package").unwrap_or_default()
    }

    /// The package's version.
    pub fn version(&self) -> &str {
        self.get("Version").unwrap_or_default()
    }

    /// The architecture it runs on, or `all`.
    pub fn architecture(&self) -> &str {
        self.get("Architecture").unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        for name in ["Package", "Version", "Architecture"] {
            if self.get(name).is_none_or(str::is_empty) {
                return Err(refused(format!("the control file has no field {name}")));
            }
        }
        if !is_package_name(self.package()) {
            return Err(refused(format!("'{}' is not a package name", self.package())));
        }
        let arch = self.architecture();
        if !arch.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Err(refused(format!("'{arch}' is not an architecture")));
        }
        Version::parse(self.version()).map_err(|e| refused(e.to_string()))?;
        Ok(())
    }
}

/// Policy 5.6.1: at least two of `a-z 0-9 + - .`, beginning with a letter or digit.
pub fn is_package_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() >= 2 && name.starts_with(plain) && name.chars().all(|c| plain(c) || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nDescription: one\n two\n .\n three\n";

    #[test]
    fn reads_a_paragraph() {
        let control = Control::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(control.package(), "demo");
        assert_eq!(control.version(), "1.0-1");
        assert_eq!(control.get("architecture"), Some("amd64"));
        assert_eq!(control.get("Description"), Some("one\n two\n .\n three"));
        assert_eq!(control.fields().count(), 4);
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for (text, why) in [
            (format!("{GOOD}package: other\n"), "field package is there twice"),
            (format!("{GOOD}\nPackage: other\n"), "is no field"),
            (format!(" x\n{GOOD}"), "continues no field"),
            (format!("{GOOD}# comment: x\n"), "is no field"),
            (format!("{GOOD} \n"), "is blank"),
            (format!("{GOOD}X: a\rb\n"), "control character"),
            (GOOD.replace("demo", "../demo"), "not a package name"),
            (GOOD.replace("1.0-1", "1.0_1"), "not a Debian version"),
            (GOOD.replace("amd64", "a/b"), "not an architecture"),
            (GOOD.replace("Version: 1.0-1\n", ""), "no field Version"),
            (String::new(), "is no field"),
        ] {
            let said = Control::parse(text.as_bytes()).unwrap_err();
            assert!(said.to_string().contains(why), "{said} / {why}");
            assert_eq!(said.kind().exit_code(), 6);
        }
        assert!(Control::parse(b"Package: \xff\n").is_err());
    }
}
