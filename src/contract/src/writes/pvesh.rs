//! Perl is asked by pvesh(1): for the local node it runs Proxmox's handler in its own process, so in our mounts.
//!
//! What it prints, read in Proxmox's source (PVE::CLI::pvesh, PVE::CLIHandler, PVE::RESTHandler, PVE::Exception): nothing where it
//! worked and the answer is null. Where it failed, the exception on standard error, and any exit code but 0: the code if the
//! exception has one, its message, for each wrong parameter `NAME: TEXT`, then one line of usage.

use std::time::{Duration, Instant};

use host::{Command, Output};
use serde_json::{Map, Value, json};

use super::bound::bound;
use super::case::Case;
use crate::compare::Answer;

/// A write takes Perl half a second; for its lock it waits 10 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, and says how long the answer took.
///
/// # Errors
/// There is none: pvesh can't be run, or did not get as far as Proxmox's handler.
pub(crate) fn ask(case: &Case) -> Result<(Answer, Duration), String> {
    let words = case.pvesh()?;
    let pvesh = Command::new("pvesh").find().ok_or("pvesh is not installed")?;
    let begin = Instant::now();
    let mut before = bound();
    let first = before.remove(0);
    let command = Command::new(first).args(before);
    // What an error calls it is what a person would type.
    let (unsaid, command) = (format!("{} ", command.line()), command.args([pvesh.display().to_string()]).args(words));
    let out = command.patience(PATIENCE).run().map_err(|e| e.to_string().replace(&unsaid, ""))?;
    Ok((understood(&out)?, begin.elapsed()))
}

/// What pvesh said, as the API would have said it.
fn understood(out: &Output) -> Result<Answer, String> {
    let Some(code) = out.code else { return Err("pvesh was killed".into()) };
    if code == 0 {
        let printed = out.stdout.trim();
        return match printed {
            "" | "null" => Ok(Answer { status: 200, body: json!({"data": null}) }),
            other => Err(format!("pvesh printed what is no answer: {}", shortened(other))),
        };
    }
    let text: String = out.stderr.split_inclusive('\n').filter(|line| !is_noise(line)).collect();
    let text = usage_gone(&text);
    let said = text.trim();
    if said.is_empty() {
        return Err(format!("pvesh failed with exit code {code} and without a word"));
    }
    if let Some(sign) = BROKEN.iter().find(|sign| said.contains(**sign)) {
        return Err(format!(
            "pvesh did not get to Proxmox's handler, or that not to its work ({sign}): {}",
            shortened(said)
        ));
    }
    // Warnings that we don't know may stand before it.
    let lines = text.match_indices('\n').map(|(at, _)| at + 1);
    let Some((status, rest)) = std::iter::once(0).chain(lines).find_map(|at| coded(&text[at..])) else {
        return Ok(Answer { status: 500, body: json!({"data": null, "message": placeless(text)}) });
    };
    let (message, errors) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut body = json!({"data": null, "message": placeless(&format!("{message}\n"))});
    let errors = parameters(errors);
    if !errors.is_empty() {
        body["errors"] = errors.into();
    }
    Ok(Answer { status, body })
}

/// The status of an exception that has one, and what follows it.
fn coded(text: &str) -> Option<(u16, &str)> {
    let (word, rest) = text.split_once(' ')?;
    let digits = word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()) && word.starts_with(['4', '5']);
    digits.then(|| Some((word.parse().ok()?, rest))).flatten()
}

/// Signs that Proxmox's handler did not run, or met what it would not meet outside of the scratch.
const BROKEN: [&str; 12] = [
    "\u{fffd}",
    "BEGIN failed",
    "Can't locate",
    "Compilation failed",
    "handler defined for",
    "ipcc_send_rec",
    "not enough arguments",
    "proxy loop detected",
    "Read-only file system",
    "please run as root",
    "unable to parse boolean option",
    "unable to parse option",
];

/// What Perl and Proxmox's lock say on the way.
fn is_noise(line: &str) -> bool {
    let line = line.trim_end_matches('\n');
    line == "trying to acquire lock..." || line == " OK" || line.starts_with("Use of uninitialized value")
}

/// Usage is pvesh's own, and the last line.
fn usage_gone(text: &str) -> &str {
    let last = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
    let usage = text[last..].starts_with("pvesh ") && text[last..].contains("<api_path>");
    if usage { &text[..last] } else { text }
}

/// Without where in Perl's code it was, which Rust can't say.
fn placeless(text: &str) -> String {
    match text.rfind(" at /usr/share/perl5/") {
        Some(at) if text[at..].contains(" line ") => format!("{}\n", &text[..at]),
        _ => text.to_owned(),
    }
}

/// `NAME: TEXT` for each, where a text may end in a line break of its own.
fn parameters(text: &str) -> Map<String, Value> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.split_once(": ").filter(|(name, _)| Case::is_parameter(name)), found.last_mut()) {
            (Some((name, rest)), _) => found.push((name.to_owned(), rest.to_owned())),
            (None, Some((_, last))) => last.push_str(line),
            (None, None) => {}
        }
    }
    let ended = |text: String| text.strip_suffix('\n').map(str::to_owned).unwrap_or(text);
    found.into_iter().map(|(name, text)| (name, ended(text).into())).collect()
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.char_indices().nth(200).map_or(line.len(), |(at, _)| at);
    line[..end].escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, stderr: &str) -> Result<Answer, String> {
        understood(&Output { code: Some(code), stdout: String::new(), stderr: stderr.into() })
    }

    #[test]
    fn a_refusal_is_read_parameter_by_parameter() {
        let answer = said(
            255,
            "400 Parameter verification failed.\ncidr: invalid format - value does not look like a valid IPv4 CIDR \
             network\n\nmtu: value must have a maximum value of 65520\n\
             pvesh create <api_path> --iface <string> --type <string> [OPTIONS] [FORMAT_OPTIONS]\n",
        )
        .unwrap();
        let errors = json!({
            "cidr": "invalid format - value does not look like a valid IPv4 CIDR network\n",
            "mtu": "value must have a maximum value of 65520",
        });
        let body = json!({"data": null, "message": "Parameter verification failed.\n", "errors": errors});
        assert_eq!(answer, Answer { status: 400, body });
    }

    #[test]
    fn a_failure_has_its_message_without_where_it_was() {
        for text in [
            "bond 'bond0' - bond-primary interface is not a slave at /usr/share/perl5/PVE/Network/Interfaces.pm line 909.\n",
            "trying to acquire lock...\n OK\nbond 'bond0' - bond-primary interface is not a slave\n",
            "Use of uninitialized value $x in string eq at /usr/share/perl5/PVE/API2/Network.pm line 980.\n\
             bond 'bond0' - bond-primary interface is not a slave\n",
        ] {
            let body = json!({"data": null, "message": "bond 'bond0' - bond-primary interface is not a slave\n"});
            assert_eq!(said(2, text).unwrap(), Answer { status: 500, body }, "{text}");
        }
        let answer = said(255, "403 Permission check failed\n").unwrap();
        assert_eq!((answer.status, &answer.body["message"]), (403, &json!("Permission check failed\n")));
    }

    #[test]
    fn what_is_no_answer_of_the_handler_is_none() {
        for (code, stderr) in [
            (255, ""),
            (255, "Unknown option: families\n400 unable to parse option\npvesh create <api_path> --iface <string>\n"),
            (1, "No 'set' handler defined for '/nodes/pve1/network/a b'\n"),
            (2, "Can't locate PVE/CLI/pvesh.pm in @INC\nBEGIN failed--compilation aborted\n"),
            (255, "proxy loop detected - aborting\n"),
            (255, "\u{fffd}\u{fffd}ELF\n"),
            (13, "unable to open file '/etc/pve/x.tmp.1' - Read-only file system\n"),
        ] {
            assert!(said(code, stderr).is_err(), "{stderr}");
        }
        let out = |code, stdout: &str| Output { code, stdout: stdout.into(), stderr: String::new() };
        assert!(understood(&out(Some(0), "garbage")).unwrap_err().contains("garbage"));
        assert!(understood(&out(None, "")).unwrap_err().contains("killed"));
        assert_eq!(understood(&out(Some(0), "")).unwrap().status, 200);
    }
}
