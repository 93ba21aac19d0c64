//! `debseal inspect`: what a package says of itself. Nothing here is a verdict.

use std::collections::BTreeMap;
use std::time::SystemTime;

use host::{Result, Timestamp};
use seal::deb::Deb;
use seal::manifest::{self, HOOKS, Kind};
use seal::openpgp::{self, Keyring};
use seal::provenance::Provenance;
use seal::trailer;
use serde::Serialize;

use crate::cli::{Format, InspectArgs};
use crate::verifying::moment;
use crate::{Outcome, output};

#[derive(Serialize)]
struct Answer {
    schema_version: u32,
    file: String,
    members: Vec<Member>,
    control: Vec<Field>,
    control_files: Vec<ControlFile>,
    sealed: Option<Sealed>,
    hooks: Option<Hooks>,
    signatures: Vec<Signature>,
}

#[derive(Serialize)]
struct Member {
    name: String,
    size: u64,
    time: String,
}

#[derive(Serialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct ControlFile {
    name: String,
    mode: String,
    size: usize,
}

#[derive(Serialize)]
struct Sealed {
    format: u32,
    package: String,
    version: String,
    architecture: String,
    minimum_version: Option<String>,
    source_date: u64,
    provenance: BTreeMap<String, String>,
    files: usize,
    directories: usize,
    links: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Hooks {
    policy: String,
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    fingerprint: String,
    name: String,
    defect: Option<String>,
}

#[derive(Serialize)]
struct Signature {
    /// `manifest-sig` or `_gpgorigin`.
    over: &'static str,
    issuers: Vec<String>,
    created: Option<String>,
    digest: String,
}

pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let mut deb = Deb::open(&args.file)?;
    let answer = look(&args.file.display().to_string(), &mut deb).map_err(|e| e.context(args.file.display()))?;
    Ok(Outcome::data(match args.output {
        Format::Json => output::json(&answer)?,
        Format::Text => answer.text(),
    }))
}

fn look(file: &str, deb: &mut Deb) -> Result<Answer> {
    let member = |m: &seal::ar::Member| Member {
        name: m.name.clone(),
        size: m.size,
        time: Timestamp::from_seconds(m.mtime as i64).to_string(),
    };
    let field = |(n, v): (&str, &str)| Field { name: n.to_owned(), value: v.to_owned() };
    let sealed = match deb.control_file(manifest::NAME) {
        Some(file) => Some(summary(&deb.manifest()?, &Provenance::read(&file.bytes))),
        None => None,
    };
    let hooks = match deb.control_file(HOOKS[0]) {
        Some(hook) => trailer::parse(&hook.bytes)?,
        None => None,
    };
    let mut signatures = Vec::new();
    if let Some(blob) = deb.control_file(manifest::SIGNATURE_NAME).map(|f| f.bytes.clone()) {
        signatures.extend(describe(manifest::SIGNATURE_NAME, &blob)?);
    }
    if let Some(blob) = deb.signature()? {
        signatures.extend(describe(seal::ar::SIGNATURE, &blob)?);
    }
    Ok(Answer {
        schema_version: 1,
        file: file.to_owned(),
        members: deb.members().iter().map(member).collect(),
        control: deb.control().fields().map(field).collect(),
        control_files: deb
            .control_files()
            .iter()
            .map(|f| ControlFile { name: f.name.clone(), mode: format!("{:04o}", f.mode), size: f.bytes.len() })
            .collect(),
        sealed,
        hooks: hooks.map(carried).transpose()?,
        signatures,
    })
}

fn summary(manifest: &manifest::Manifest, provenance: &Provenance) -> Sealed {
    let count = |kind| manifest.payload.iter().filter(|e| e.kind == kind).count();
    Sealed {
        format: manifest.format,
        package: manifest.package.clone(),
        version: manifest.version.clone(),
        architecture: manifest.architecture.clone(),
        minimum_version: manifest.minimum_version.clone(),
        source_date: manifest.source_date,
        provenance: provenance.facts().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        files: count(Kind::File),
        directories: count(Kind::Dir),
        links: count(Kind::Link),
        bytes: manifest.payload.iter().filter(|e| e.target.is_none()).filter_map(|e| e.size).sum(),
    }
}

fn carried(trailer: trailer::Trailer) -> Result<Hooks> {
    let keyring = Keyring::parse(&trailer.keyring)?;
    let key = |c: openpgp::CertInfo| Key { fingerprint: c.fingerprint, name: c.name, defect: c.defect };
    Ok(Hooks {
        policy: String::from_utf8_lossy(&trailer.policy).into_owned(),
        keys: keyring.certs(SystemTime::now()).into_iter().map(key).collect(),
    })
}

fn describe(over: &'static str, blob: &[u8]) -> Result<Vec<Signature>> {
    let signature = |s: openpgp::SignatureInfo| Signature {
        over,
        issuers: s.issuers,
        created: s.created.map(moment),
        digest: s.hash,
    };
    Ok(openpgp::describe(blob).map_err(|e| e.context(over))?.into_iter().map(signature).collect())
}

impl Answer {
    fn text(&self) -> String {
        let mut out = format!("{}\n\nmembers\n", self.file);
        for m in &self.members {
            out += &format!("  {:<16} {:>12}  {}\n", m.name, m.size, m.time);
        }
        out += "\ncontrol\n";
        for f in &self.control {
            out += &format!("  {}: {}\n", f.name, f.value.replace('\n', "\n  "));
        }
        out += "\ncontrol files\n";
        for f in &self.control_files {
            out += &format!("  {:<16} {} {:>12}\n", f.name, f.mode, f.size);
        }
        out += "\nseal\n";
        out += &match &self.sealed {
            None => "  none: not a sealed package\n".to_owned(),
            Some(s) => format!(
                "  {} {} {}, format {}, dated {}\n  minimum version: {}\n  \
                 {} files of {} bytes, {} directories, {} links\n",
                s.package,
                s.version,
                s.architecture,
                s.format,
                Timestamp::from_seconds(s.source_date as i64),
                s.minimum_version.as_deref().unwrap_or("none"),
                s.files,
                s.bytes,
                s.directories,
                s.links
            ),
        };
        for (name, value) in self.sealed.iter().flat_map(|s| &s.provenance) {
            out += &format!("  {name}: {value}\n");
        }
        if let Some(hooks) = &self.hooks {
            out += "\nkeys that the hooks trust\n";
            for k in &hooks.keys {
                let defect = k.defect.as_deref().map(|d| format!("; {d}")).unwrap_or_default();
                out += &format!("  {} {}{defect}\n", k.fingerprint, k.name);
            }
            if hooks.keys.is_empty() {
                out += "  none\n";
            }
            out += &format!("\nhooks.toml\n  {}\n", hooks.policy.trim_end().replace('\n', "\n  "));
        }
        out += "\nsignatures, not verified\n";
        for s in &self.signatures {
            out += &format!(
                "  {:<12} {} by {}, {}\n",
                s.over,
                s.created.as_deref().unwrap_or("undated"),
                s.issuers.join(" = "),
                s.digest
            );
        }
        if self.signatures.is_empty() {
            out += "  none\n";
        }
        escape_lines(&out)
    }
}

/// Foreign text may not steer the reader's terminal.
fn escape_lines(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c };
    text.chars().map(plain).collect()
}
