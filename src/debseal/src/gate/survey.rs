//! Which packages the policies name, also where a policy file is broken.
//!
//! A broken file must not let its packages in, nor stop all others. So the names that stand in it
//! are looked for as text; where none can be found, every *sealed* package counts as named.

use std::collections::BTreeMap;

use host::{Root, files};
use seal::control::is_package_name;
use seal::policy::{self, Mode, PackagePolicy};

/// What is known of a named package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// What the policy says.
    Policy(PackagePolicy),
    /// Why nothing is known: the package is refused.
    Broken(String),
}

/// All policies of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// By package name.
    pub(crate) named: BTreeMap<String, Standing>,
    /// A policy file is broken beyond telling whom it names, and how.
    pub(crate) nameless: Option<String>,
}

impl Survey {
    /// Reads the policies of a machine. Never fails: what can't be read is broken.
    pub(crate) fn of(root: &Root) -> Self {
        let mut survey = Self::default();
        let files = match policy::files(root) {
            Ok(files) => files,
            Err(error) => {
                survey.nameless = Some(error.to_string());
                return survey;
            }
        };
        for file in files {
            match policy::read_file(root, &file) {
                Ok(policies) => policies.into_iter().for_each(|policy| survey.take(policy)),
                Err(error) => {
                    let bytes = files::read_plain(&file, policy::MAX_FILE as u64).ok().flatten().unwrap_or_default();
                    survey.take_broken(&String::from_utf8_lossy(&bytes), error.to_string());
                }
            }
        }
        survey
    }

    fn take(&mut self, policy: PackagePolicy) {
        let standing = match self.named.remove(&policy.name) {
            None => Standing::Policy(policy.clone()),
            Some(Standing::Policy(other)) => Standing::Broken(policy::named_twice(&other, &policy).to_string()),
            Some(broken) => broken,
        };
        self.named.insert(policy.name, standing);
    }

    fn take_broken(&mut self, text: &str, why: String) {
        let names = names_in(text);
        if names.is_empty() {
            self.nameless = Some(why);
            return;
        }
        for name in names {
            self.named.insert(name, Standing::Broken(why.clone()));
        }
    }

    /// Whether nobody is named, so that there is nothing to check.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.nameless.is_none()
    }

    /// What follows where it can't be told which package is meant: the strictest of all policies.
    pub(crate) fn strictest(&self) -> Mode {
        let warns = |standing: &Standing| matches!(standing, Standing::Policy(p) if p.mode == Mode::Warn);
        match self.nameless.is_none() && self.named.values().all(warns) {
            true => Mode::Warn,
            false => Mode::Enforce,
        }
    }
}

/// The values of everything that looks like `name = "…"`.
fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, word) in text.match_indices("name") {
        let rest = text[at + word.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
        let Some(rest) = rest.strip_prefix('=') else { continue };
        let rest = rest.trim_start_matches(['"', '\'', ' ', '\t']);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        if is_package_name(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn survey(files: &[(&str, &str)]) -> Survey {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        fs::create_dir_all(root.path(policy::FOLDER)).unwrap();
        for (name, text) in files {
            fs::write(root.path(policy::FOLDER).join(name), text).unwrap();
        }
        Survey::of(&root)
    }

    const DEMO: &str = "[[package]]\nname = \"demo\"\nkeys = [\"/k.pgp\"]\n";

    fn broken(survey: &Survey, name: &str) -> String {
        match &survey.named[name] {
            Standing::Broken(why) => why.clone(),
            Standing::Policy(_) => panic!("{name} is not broken"),
        }
    }

    #[test]
    fn a_broken_file_breaks_its_own_packages_only() {
        let other = DEMO.replace("demo", "other");
        let two = format!("{DEMO}{}kyes = 1\n", DEMO.replace("demo", "two"));
        let all = survey(&[("a.toml", &other), ("b.toml", &two)]);
        assert!(broken(&all, "demo").contains("b.toml, line 7: unknown key 'kyes'"));
        assert!(broken(&all, "two").contains("line 7"));
        assert!(matches!(all.named["other"], Standing::Policy(_)));
        assert_eq!((all.nameless.clone(), all.strictest()), (None, Mode::Enforce));
    }

    #[test]
    fn names_are_found_however_broken_the_rest_is() {
        for text in [
            "[[package]\nname = \"demo\"\n",
            "[[package]]\nname=\"demo\nkeys = [",
            "[[package]]\n  \"name\" = 'demo'\nmode = 7\n",
            "[[package]]\nname = demo\n",
            "\u{feff}[[package]]\nname = \"demo\"\nkeys = \"x\"",
            "package = [{ name = \"demo\", keys = [] ]",
        ] {
            assert!(!broken(&survey(&[("a.toml", text)]), "demo").is_empty(), "{text}");
        }
        for text in ["[[package]]\nnaem = \"demo\"\n", "\0\0", "[[package]]\nname = \"\"\n"] {
            let survey = survey(&[("a.toml", text)]);
            assert!(survey.nameless.is_some() && survey.named.is_empty(), "{text}");
            assert_eq!(survey.strictest(), Mode::Enforce);
        }
    }

    #[test]
    fn named_twice_is_broken_and_nobody_named_is_empty() {
        let warn = format!("{DEMO}mode = \"warn\"\n");
        assert!(broken(&survey(&[("a.toml", DEMO), ("b.toml", &warn)]), "demo").contains("named twice"));
        assert_eq!(survey(&[("a.toml", &warn)]).strictest(), Mode::Warn);
        assert!(survey(&[]).is_empty());
        assert!(survey(&[("README", "no policy"), ("a.toml", "# nothing\n")]).is_empty());
        assert!(Survey::of(&Root::at("/nonexistent")).is_empty());
    }
}
