//! `debseal verify`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use ::cli::markup::escaped;
use host::{Error, Kind, Result, Root, Timestamp};
use seal::deb::{self, Verified};
use seal::installed::{self, Finding, Severity};
use seal::manifest::{self, Manifest};
use seal::openpgp::Good;
use seal::policy::{self, Mode, Source, TrustedKeys};
use seal::trailer;
use seal::unpacked::{self, Naming};
use serde::Serialize;

use crate::cli::{VerifyArgs, VerifyFormat};
use crate::{Outcome, output};

/// Where dpkg keeps its database, in a root.
const ADMINDIR: &str = "/var/lib/dpkg";

/// The answer for programs.
#[derive(Serialize)]
struct Answer {
    schema_version: u32,
    packages: Vec<Judged>,
}

/// The verdict over one file or installed package.
#[derive(Serialize, Default)]
struct Judged {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<Signer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Difference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Signer {
    name: String,
    fingerprint: String,
    signed: String,
    /// `--key`, the policy file, or `sealed`.
    trusted_by: String,
}

#[derive(Serialize)]
struct Difference {
    path: String,
    severity: &'static str,
    what: String,
}

pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    let mut outcome = Outcome::default();
    let mut judged = Vec::new();
    let keys = output::read_keys(&args.keys);
    match &args.installed {
        Some(package) => {
            let one = keys.and_then(|k| installed(args, package, &given(k)));
            let (verdict, errors) = one.unwrap_or_else(|e| {
                let error = Some(e.to_string());
                let package = Some(package.clone());
                (Judged { package, error, ..Judged::default() }, vec![e])
            });
            judged.push(verdict);
            outcome.errors = errors;
        }
        None => match keys.map(given) {
            Err(e) => outcome.errors.push(e),
            Ok(keys) => {
                for file in &args.files {
                    let (verdict, error) = judge(args, file, &keys);
                    judged.push(verdict);
                    outcome.errors.extend(error);
                }
            }
        },
    }
    outcome.notes = judged.iter().flat_map(|j| j.notes.clone()).collect();
    match args.output {
        VerifyFormat::Junit => outcome.out = junit(&judged),
        VerifyFormat::Text => outcome.out = judged.iter().map(Judged::text).collect(),
        VerifyFormat::Json => match output::json(&Answer { schema_version: 1, packages: judged }) {
            Ok(text) => outcome.out = text,
            Err(e) => outcome.errors.push(e),
        },
    }
    outcome
}

/// Keys of the command line; nothing if there are none.
fn given(keyring: seal::openpgp::Keyring) -> Option<TrustedKeys> {
    let keys = TrustedKeys { keyring, source: Source::Given, mode: Mode::Enforce, minimum_version: None };
    (!keys.keyring.is_empty()).then_some(keys)
}

fn judge(args: &VerifyArgs, file: &Path, given: &Option<TrustedKeys>) -> (Judged, Option<Error>) {
    let root = Root::at(&args.root);
    let keys = |package: &str| match given {
        Some(keys) => Ok(keys.clone()),
        None => policy::trusted_keys(&root, package, b""),
    };
    let name = Some(file.display().to_string());
    match deb::verify_deb(file, &keys, SystemTime::now()) {
        Ok(verified) => (Judged { file: name, ..Judged::accepted(verified) }, None),
        Err(e) => (Judged { file: name, error: Some(e.to_string()), ..Judged::default() }, Some(e)),
    }
}

/// Signature of the manifest that dpkg keeps, then the files against it. Both are always told.
fn installed(args: &VerifyArgs, package: &str, given: &Option<TrustedKeys>) -> Result<(Judged, Vec<Error>)> {
    let root = Root::at(&args.root);
    let admindir = root.path(ADMINDIR);
    let info = admindir.join("info");
    let naming = Naming::of_installed(&info, package)?.ok_or_else(|| {
        Error::of(
            Kind::SignatureRefused,
            format!("package {package} is not installed in {}, or it is not a sealed one", args.root.display()),
        )
    })?;
    let mut notes = Vec::new();
    let keys = match given {
        Some(keys) => keys.clone(),
        None => {
            let sealed = trailer::read(&naming.path(&info, manifest::HOOKS[3]))?;
            let sealed = sealed.map(|t| t.keyring).unwrap_or_default();
            policy::trusted_keys(&root, package, &sealed)?
        }
    };
    if keys.source == Source::Sealed {
        notes.push(format!(
            "{package}: judged by the keys that it carries itself; name others with --key or in {}",
            policy::FOLDER
        ));
    }
    let mut errors = Vec::new();
    let now = SystemTime::now();
    let mut judged = Judged { package: Some(package.to_owned()), notes, ..Judged::default() };
    let mut foreign = Vec::new();
    match unpacked::verify_unpacked_control(&info, &naming, &keys.keyring, package, None, now) {
        Ok(control) => {
            judged.tell(&control.manifest, &control.good, &keys);
            foreign = installed::foreign_files(&root, &admindir, &control.manifest)?;
        }
        Err(e) => errors.push(e),
    }
    // A root that an ordinary user unpacked belongs to that user throughout.
    let foreign_owners = std::fs::metadata(&args.root).is_ok_and(|m| m.uid() != 0);
    let mut findings = installed::check_installed(&root, &admindir, package, installed::Options { foreign_owners })?;
    let damaged = findings.iter().filter(|f| f.severity == Severity::Error).count();
    if damaged > 0 {
        errors.push(Error::of(
            Kind::SignatureRefused,
            format!("{damaged} of the files of {package} are not as its manifest says; reinstall it"),
        ));
    }
    let strange = foreign.iter().filter(|f| f.severity == Severity::Error).count();
    if strange > 0 {
        errors.push(Error::of(
            Kind::SignatureRefused,
            format!("{strange} files in the folders of {package} belong to no package; look at them, then remove them"),
        ));
    }
    findings.extend(foreign);
    judged.findings = findings.into_iter().map(Difference::from).collect();
    judged.accepted = errors.is_empty();
    judged.error = errors.first().map(Error::to_string);
    Ok((judged, errors))
}

impl From<Finding> for Difference {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self { path: finding.path, severity, what: finding.what }
    }
}

impl Judged {
    fn accepted(verified: Verified) -> Self {
        let mut judged = Self { accepted: true, notes: verified.notes.clone(), ..Self::default() };
        judged.tell(&verified.manifest, &verified.signer, &verified.keys);
        judged
    }

    fn tell(&mut self, manifest: &Manifest, good: &Good, keys: &TrustedKeys) {
        self.package = Some(manifest.package.clone());
        self.version = Some(manifest.version.clone());
        self.architecture = Some(manifest.architecture.clone());
        self.minimum_version = manifest.minimum_version.clone();
        self.signer = Some(Signer {
            name: good.signer.clone(),
            fingerprint: good.fingerprint.clone(),
            signed: moment(good.created),
            trusted_by: match &keys.source {
                Source::Given => "--key".to_owned(),
                Source::Policy(file) => file.display().to_string(),
                Source::Sealed => "sealed".to_owned(),
            },
        });
    }

    /// Lines for people: the verdict, if it is good, and every difference. Refusals are errors and
    /// told on stderr.
    fn text(&self) -> String {
        let mut out = String::new();
        if let (true, Some(signer)) = (self.accepted, &self.signer) {
            let field = |f: &Option<String>| f.clone().unwrap_or_default();
            let what = match &self.file {
                Some(file) => format!("{file}: good: "),
                None => "installed and good: ".to_owned(),
            };
            out += &format!(
                "{what}{} {} {}, signed {} by {} {}\n",
                field(&self.package),
                field(&self.version),
                field(&self.architecture),
                signer.signed,
                signer.name,
                signer.fingerprint
            );
        }
        for finding in &self.findings {
            out += &format!("{}: {} {}\n", finding.severity, finding.path, finding.what);
        }
        out
    }
}

/// A test suite of one case for each package, as CI servers read it.
///
/// By hand, where our other programs have quick-junit: it leaves out control characters of a name, which then is that of
/// another file, keeps U+FFFE, with which this is no XML, and would be six crates more in what stands at dpkg's gate.
fn junit(judged: &[Judged]) -> String {
    let failures = judged.iter().filter(|j| !j.accepted).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"debseal verify\" tests=\"{}\" \
         failures=\"{failures}\">\n",
        judged.len()
    );
    for one in judged {
        let name = one.file.as_ref().or(one.package.as_ref()).map(String::as_str).unwrap_or_default();
        let class = one.package.as_deref().unwrap_or("unknown");
        out += &format!("<testcase classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
        if one.accepted {
            out += "/>\n";
            continue;
        }
        let found: String = one.findings.iter().map(|f| format!("{}: {} {}\n", f.severity, f.path, f.what)).collect();
        let why = one.error.as_deref().unwrap_or("refused");
        out += &format!(">\n<failure message=\"{}\">{}</failure>\n</testcase>\n", escaped(why), escaped(&found));
    }
    out + "</testsuite>\n</testsuites>\n"
}

/// RFC 3339, in UTC.
pub(crate) fn moment(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_seconds(since.as_secs() as i64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_is_xml_whatever_a_file_is_called() {
        let good =
            Judged { file: Some("a.deb".into()), package: Some("a".into()), accepted: true, ..Judged::default() };
        let bad = Judged {
            file: Some("\"b\"<&>\n\u{1}.deb".into()),
            error: Some("it is <not> signed".into()),
            ..Judged::default()
        };
        let text = junit(&[good, bad]);
        assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
        assert!(text.contains("<testcase classname=\"a\" name=\"a.deb\"/>"), "{text}");
        assert!(text.contains("name=\"&quot;b&quot;&lt;&amp;&gt;&#10;?.deb\""), "{text}");
        assert!(text.contains("message=\"it is &lt;not&gt; signed\""), "{text}");
    }
}
