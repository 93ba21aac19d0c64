//! Our reader and writer of interfaces(5) beside Proxmox's own Perl, on files that nobody wrote down: made by the
//! grammar of `perl/files.rs` from a seed, so that a run can be repeated.
//!
//! ```text
//! git clone https://github.com/proxmox/pve-common
//! PROXMOX_PERL=pve-common cargo test -p network --test perl -- --nocapture
//! ```
//!
//! `CASES` says how many (2000), `SEED` where to begin: case N of a run is case 0 of `SEED` + N. A case counts as the
//! same if any order of Perl's hash tables gives what ours gives.

mod common;
#[path = "perl/files.rs"]
mod files;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{kinds, shown, sorted_option_lines, sorted_options};
use files::Case;
use model::proxmox::{Family, Flavour, Interface, Network, Value, read, write};
use serde_json::{Value as Json, json};

/// Proxmox's reader and writer, in one process for all cases.
struct Perl {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Perl {
    fn start(checkout: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/perl/ask.pl");
        let mut child = Command::new("perl")
            .arg("-I")
            .arg(checkout.join("src"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl runs");
        let questions = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, questions, answers }
    }

    fn ask(&mut self, question: &Json) -> Json {
        writeln!(self.questions, "{question}").expect("perl still runs");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("perl still runs");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}{question}"))
    }
}

impl Drop for Perl {
    fn drop(&mut self) {
        // It waits for a question that will not come.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => Value::Number(number.as_i64().expect("whole numbers")),
        _ => Value::Nothing,
    }
}

fn set(interface: &mut Interface, settings: &Json) {
    for (key, json) in settings.as_object().into_iter().flatten() {
        match (key.as_str(), json) {
            ("type", kind) => interface.kind = kinds().into_iter().find(|k| kind == k.name()),
            ("families", Json::Array(list)) => {
                let family = |f: &Json| [Family::Inet, Family::Inet6].into_iter().find(|k| f == k.name());
                interface.families = list.iter().map(family).collect();
            }
            _ => drop(interface.settings.insert(key.clone().into(), value(json))),
        }
    }
}

/// A change of the model, as `edit` of `ask.pl` makes it.
fn edit(network: &mut Network, edit: &Json) {
    let name = edit["iface"].as_str().expect("a name");
    if edit["drop"].is_number() {
        network.interfaces.remove(name);
    } else if edit["new"].is_object() {
        let mut interface = Interface::default();
        set(&mut interface, &edit["new"]);
        network.interfaces.insert(name.to_owned(), interface);
    } else if let Some(interface) = network.interfaces.get_mut(name) {
        for key in edit["unset"].as_array().into_iter().flatten() {
            interface.settings.remove(key.as_str().expect("a name"));
        }
        set(interface, &edit["set"]);
    }
}

/// Text, or the words of the refusal; and the warnings.
type Outcome = (Result<String, String>, Vec<String>);

fn ours(mut network: Network, case: &Case) -> Outcome {
    case.edits.iter().for_each(|change| edit(&mut network, change));
    let flavour = if case.ifupdown2 { Flavour::Ifupdown2 } else { Flavour::Ifupdown };
    match write(network, flavour) {
        Ok(written) => (Ok(sorted_option_lines(&written.text)), written.warnings),
        Err(fault) => (Err(fault.what), Vec::new()),
    }
}

fn theirs(answer: &Json) -> Outcome {
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.map(|w| w.as_str().unwrap_or_default().trim_end().to_owned()).collect();
    match answer["text"].as_str() {
        Some(text) => (Ok(sorted_option_lines(text)), warnings),
        None => (Err(answer["error"].as_str().unwrap_or_default().to_owned()), Vec::new()),
    }
}

/// Where Proxmox writes the address of a list in memory, nothing is compared but the rest.
fn without_lists(outcome: &Outcome, other: &Outcome) -> Outcome {
    let (text, warnings) = outcome;
    let has_one = |outcome: &Outcome| outcome.0.as_ref().is_ok_and(|text| text.contains("\tvxlan-remoteip "));
    let mut warnings = warnings.clone();
    warnings.sort();
    if !has_one(outcome) && !has_one(other) {
        return (text.clone(), warnings);
    }
    let kept = |text: &String| {
        text.lines().filter(|l| !l.starts_with("\tvxlan-remoteip ")).map(|l| format!("{l}\n")).collect()
    };
    (text.as_ref().map(kept).map_err(Clone::clone), warnings)
}

fn same(ours: &Outcome, theirs: &Outcome) -> bool {
    without_lists(ours, theirs) == without_lists(theirs, ours)
}

/// In the order in which a file names them: the order in which Perl finds them, if it is to write it.
fn names(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in text.lines().filter_map(|l| l.strip_prefix("iface ")).filter_map(|l| l.split(' ').next()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What both sides do, where it is the same.
#[derive(Default)]
struct Counts {
    written: u64,
    refused: u64,
    /// Alike but for the order, of which Proxmox has more than one.
    ordered: u64,
    not_utf8: u64,
}

/// Says what differs, if no order of Perl's hash tables mends it.
fn compare(perl: &mut Perl, case: &Case, counts: &mut Counts) -> Result<(), String> {
    let mut question = case.question();
    let network = match read(&case.file, &case.links()) {
        Ok(network) => network,
        Err(error) if std::str::from_utf8(&case.file).is_ok() => return Err(error.to_string()),
        // On purpose: Proxmox would write other bytes back.
        Err(_) => {
            counts.not_utf8 += 1;
            return Ok(());
        }
    };
    let mut read = shown(&network);
    sorted_options(&mut read);
    let found = ours(network, case);
    let mut differs = String::new();
    let mut answers: Vec<Outcome> = Vec::new();
    // Once as it comes, then in the two orders that are ours, then in others.
    for attempt in 0..40 {
        question["order"] = match (attempt, &found.0) {
            (1, _) => json!([]),
            (2, Ok(text)) => json!(names(text)),
            _ => Json::Null,
        };
        let answer = perl.ask(&question);
        let mut parsed = answer["parsed"].clone();
        sorted_options(&mut parsed);
        let expected = theirs(&answer);
        if parsed == read && same(&found, &expected) {
            *if found.0.is_ok() { &mut counts.written } else { &mut counts.refused } += 1;
            return Ok(());
        }
        if attempt <= 1 {
            differs = if parsed == read {
                format!("written by Proxmox:\n{}\nby us:\n{}", outcome(&expected), outcome(&found))
            } else {
                let (theirs, ours) = (format!("{parsed:#}\n"), format!("{read:#}\n"));
                format!("read by Proxmox (-) and us (+):\n{}", lines(&theirs, &ours))
            };
        }
        let expected = without_lists(&expected, &found);
        if parsed == read && !answers.contains(&expected) {
            answers.push(expected);
        }
    }
    // Perl compares an interface of unknown type by its place alone: that is no order, and which one comes out
    // depends on how they were found.
    let same_lines = |answer: &Outcome| match (&answer.0, &without_lists(&found, answer).0) {
        (Ok(theirs), Ok(ours)) => sorted_lines(theirs) == sorted_lines(ours),
        _ => false,
    };
    if answers.len() > 1 && answers.iter().any(same_lines) {
        counts.ordered += 1;
        return Ok(());
    }
    Err(differs)
}

fn outcome((text, warnings): &Outcome) -> String {
    let text = match text {
        Ok(text) => text.split_once("external files!\n\n").map_or(text.as_str(), |(_, text)| text).to_owned(),
        Err(words) => format!("refused: {words}\n"),
    };
    format!("{text}{}", warnings.iter().map(|w| format!("warning: {w}\n")).collect::<String>())
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn lines(theirs: &str, ours: &str) -> String {
    let diff = similar::TextDiff::from_lines(theirs, ours);
    diff.unified_diff().context_radius(2).to_string()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |n| n.parse().unwrap_or_else(|e| panic!("{name}={n}: {e}")))
}

#[test]
fn any_file_is_read_and_written_as_proxmox_does() {
    let Some(checkout) = std::env::var_os("PROXMOX_PERL").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: PROXMOX_PERL names no checkout of Proxmox's code (git clone https://github.com/proxmox/pve-common)"
        );
        return;
    };
    // A test runs in its crate's folder; the path is from where one stands.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut perl = Perl::start(&root.join(&checkout));
    let samples = files::samples(&root.join("../shared/vectors"));
    let (seed, cases) = (number("SEED", 1), number("CASES", 2000));
    let (mut wrong, mut counts) = (Vec::new(), Counts::default());
    for seed in seed..seed + cases {
        let case = Case::new(seed, &samples);
        let mut answer = compare(&mut perl, &case, &mut counts);
        // Which orders there are in a hash differs from process to process.
        for _ in 0..3 {
            if answer.is_err() {
                perl = Perl::start(&root.join(&checkout));
                answer = compare(&mut perl, &case, &mut counts);
            }
        }
        if let Err(what) = answer {
            wrong.push(format!("SEED={seed} CASES=1\n{case}\n{what}"));
        }
        if wrong.len() >= 20 {
            break;
        }
    }
    let Counts { written, refused, ordered, not_utf8 } = counts;
    eprintln!(
        "{written} are read and written alike, {ordered} more in another order; {refused} are read alike and refused in the same words; {not_utf8} are not UTF-8"
    );
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n----------------\n"));
}
