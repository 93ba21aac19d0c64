//! From what a file is and what the policies say to a verdict: pure functions.

use host::Result;
use seal::policy::{Mode, PackagePolicy};
use seal::version;

use super::survey::{Standing, Survey};

/// What a package file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The name inside, in lower case, as dpkg looks it up.
    pub(crate) package: String,
    /// Its version, as it stands there.
    pub(crate) version: String,
    /// Whom it would replace: Provides, Conflicts, Replaces; in lower case.
    pub(crate) replaces: Vec<String>,
    /// It carries a manifest, or it can't be told.
    pub(crate) sealed: bool,
    /// Named packages with a file of theirs that it ships; looked for only where dpkg is told to
    /// overwrite, because it refuses that itself otherwise.
    pub(crate) ships: Vec<(String, String)>,
}

/// Why a package file is a policy's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Concern {
    /// What it has to do with the named package, for messages; empty if it is that package.
    pub(crate) how: String,
    /// It is the named package itself.
    pub(crate) itself: bool,
    /// The package that the policy names.
    pub(crate) name: String,
    /// What is known of that package.
    pub(crate) standing: Standing,
}

/// What the gate does with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Pass,
    /// Says why it should not pass.
    Warn(String),
    /// Stops dpkg or apt.
    Refuse(String),
}

/// Every policy whose business this file is.
pub(crate) fn concerns(identity: &Identity, survey: &Survey) -> Vec<Concern> {
    let mut concerns: Vec<Concern> = Vec::new();
    let mut add = |name: &str, itself: bool, how: String| {
        if let Some(standing) = survey.named.get(name).filter(|_| concerns.iter().all(|c| c.name != name)) {
            concerns.push(Concern { how, itself, name: name.to_owned(), standing: standing.clone() });
        }
    };
    add(&identity.package, true, String::new());
    for name in &identity.replaces {
        add(name, false, format!("it would replace {name}: "));
    }
    for (name, path) in &identity.ships {
        add(name, false, format!("it would overwrite {path} of {name}: "));
    }
    if let Some(why) = survey.nameless.as_ref().filter(|_| identity.sealed && concerns.is_empty()) {
        let (name, standing) = (identity.package.clone(), Standing::Broken(why.clone()));
        concerns.push(Concern {
            how: "it is sealed, and no policy can be read: ".to_owned(),
            itself: true,
            name,
            standing,
        });
    }
    concerns
}

/// The verdict for one concern. `genuine` judges the file by the policy's keys and gives its version;
/// `least` is what a signed version demanded before.
pub(crate) fn verdict(
    concern: &Concern,
    genuine: &dyn Fn(&PackagePolicy) -> Result<String>,
    least: Option<&str>,
) -> Verdict {
    let policy = match &concern.standing {
        Standing::Broken(why) => return Verdict::Refuse(format!("{}{why}", concern.how)),
        Standing::Policy(policy) => policy,
    };
    let judged = genuine(policy).and_then(|version| match concern.itself {
        true => young_enough(&version, policy.minimum_version.as_deref().into_iter().chain(least)),
        false => Ok(()),
    });
    match judged {
        Ok(()) => Verdict::Pass,
        Err(error) if policy.mode == Mode::Warn => Verdict::Warn(format!("{}{error}", concern.how)),
        Err(error) => Verdict::Refuse(format!("{}{error}", concern.how)),
    }
}

fn young_enough<'a>(version: &str, least: impl Iterator<Item = &'a str>) -> Result<()> {
    for least in least {
        if version::compare(version, least)?.is_lt() {
            return Err(host::Error::new(format!("version {version} is older than {least}, the least allowed here")));
        }
    }
    Ok(())
}

/// The names in a field such as `Replaces`: `a (<< 2), b | c:any` are a, b, c.
pub(crate) fn names(field: &str) -> Vec<String> {
    let word = |part: &str| {
        let end = part.find(|c: char| c.is_whitespace() || "(:[<".contains(c)).unwrap_or(part.len());
        part[..end].to_ascii_lowercase()
    };
    field.split([',', '|']).map(|part| word(part.trim())).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Error;

    fn policy(name: &str, mode: Mode, minimum: Option<&str>) -> PackagePolicy {
        PackagePolicy {
            file: "/p.toml".into(),
            name: name.to_owned(),
            keys: vec!["/k".into()],
            fingerprints: Vec::new(),
            mode,
            minimum_version: minimum.map(str::to_owned),
        }
    }

    fn survey() -> Survey {
        let mut survey = Survey::default();
        survey.named.insert("ours".into(), Standing::Policy(policy("ours", Mode::Enforce, None)));
        survey.named.insert("soft".into(), Standing::Policy(policy("soft", Mode::Warn, None)));
        survey.named.insert("torn".into(), Standing::Broken("p.toml, line 3".into()));
        survey
    }

    #[test]
    fn whose_business_a_file_is() {
        let nameless = Survey { nameless: Some("p.toml".into()), ..survey() };
        let of = |package: &str, replaces: &[&str], sealed: bool, ships: &[&str], survey: &Survey| {
            let identity = Identity {
                package: package.into(),
                version: "1".into(),
                replaces: replaces.iter().map(|r| (*r).to_owned()).collect(),
                sealed,
                ships: ships.iter().map(|s| ((*s).to_owned(), "/usr/bin/x".to_owned())).collect(),
            };
            concerns(&identity, survey).into_iter().map(|c| format!("{}{}", c.how, c.name)).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(of("bash", &[], false, &[], &survey()), none);
        assert_eq!(of("bash", &["dash"], true, &[], &survey()), none);
        assert_eq!(of("ours", &[], false, &[], &survey()), ["ours"]);
        assert_eq!(of("ours", &["ours"], false, &["ours"], &survey()), ["ours"], "said once");
        assert_eq!(
            of("x", &["ours", "soft"], false, &[], &survey()),
            ["it would replace ours: ours", "it would replace soft: soft"]
        );
        assert_eq!(of("x", &[], false, &["torn"], &survey()), ["it would overwrite /usr/bin/x of torn: torn"]);
        assert_eq!(of("bash", &[], false, &[], &nameless), none, "not sealed");
        assert_eq!(of("y", &[], true, &[], &nameless), ["it is sealed, and no policy can be read: y"]);
        assert_eq!(of("ours", &[], true, &[], &nameless), ["ours"], "its own policy is fine");
    }

    #[test]
    fn the_verdicts() {
        let good = |version: &'static str| move |_: &PackagePolicy| Ok(version.to_owned());
        let bad = |_: &PackagePolicy| Err(Error::new("not signed"));
        let refuse = |why: &str| Verdict::Refuse(why.to_owned());
        let concern = |mode, minimum, itself| Concern {
            how: if itself { String::new() } else { "it would replace ours: ".to_owned() },
            itself,
            name: "ours".into(),
            standing: Standing::Policy(policy("ours", mode, minimum)),
        };
        let old = |least: &str| format!("version 1.0 is older than {least}, the least allowed here");
        for (mode, minimum, itself, least, expected) in [
            (Mode::Enforce, None, true, None, Verdict::Pass),
            (Mode::Enforce, Some("1.0"), true, Some("0.9"), Verdict::Pass),
            (Mode::Enforce, Some("1.1"), true, None, refuse(&old("1.1"))),
            (Mode::Enforce, None, true, Some("2"), refuse(&old("2"))),
            (Mode::Enforce, Some("0.5"), true, Some("1:0"), refuse(&old("1:0"))),
            (Mode::Warn, Some("1.1"), true, None, Verdict::Warn(old("1.1"))),
            (Mode::Enforce, Some("9"), false, Some("9"), Verdict::Pass), // another package has versions of its own
        ] {
            assert_eq!(
                verdict(&concern(mode, minimum, itself), &good("1.0"), least),
                expected,
                "{minimum:?} {least:?}"
            );
        }
        assert_eq!(verdict(&concern(Mode::Enforce, None, true), &bad, None), refuse("not signed"));
        assert_eq!(
            verdict(&concern(Mode::Enforce, None, false), &bad, None),
            refuse("it would replace ours: not signed")
        );
        assert_eq!(verdict(&concern(Mode::Warn, None, true), &bad, None), Verdict::Warn("not signed".into()));
        let broken = Concern { standing: Standing::Broken("line 3".into()), ..concern(Mode::Warn, None, true) };
        assert_eq!(verdict(&broken, &good("1.0"), None), refuse("line 3"), "however good the file");
    }

    #[test]
    fn names_in_relations() {
        assert_eq!(names("a (<< 2), b | c:any,\n D [amd64] , e<!x>"), ["a", "b", "c", "d", "e"]);
        assert!(names(" , ").is_empty());
    }
}
