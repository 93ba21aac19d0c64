//! Whether Rust writes what Perl writes: each case is put to both, each time in a scratch copy of its own, so that the node
//! keeps what it has.
//!
//! ```text
//!   builtin, case ─► the cases (pure)
//!   scratch ─┬─► pvesh    Perl, in its own process       ─┐
//!            └─► daemon   Rust, the installed program     ├─► judge (pure) ─► report
//!                tree     what /etc/network holds then   ─┘
//! ```

mod bound;
mod builtin;
mod case;
mod daemon;
mod judge;
mod pvesh;
mod scratch;
mod tree;

use std::path::Path;
use std::time::Duration;

use host::{Clock, Error, IoContext, Kind, Result, Root};
use network::{Node, links};

use self::case::Case;
use self::daemon::Daemon;
use self::judge::{Seen, blind, files, judge, may_be_noise};
use self::scratch::{NETWORK, Places};
use self::tree::Tree;
use crate::ask::{self, Reply};
use crate::compare::Verdict;
use crate::report::{Asked, Endpoint, Judgement, Report, SCHEMA_VERSION};
use crate::run::AGAIN;

/// After so many cases in a row that Perl did not answer, the others are not asked.
const SILENT: usize = 3;
/// Bytes of a file with cases.
const CASES: u64 = 4 << 20;

/// Asks for the cases of `file`, or else for the built-in ones, and tells before each how far it is.
///
/// # Errors
/// [`Kind::Refused`] without root; [`Kind::Usage`]: another node, or a file that is no list of cases;
/// [`Kind::Inconclusive`]: there is no scratch copy, or nobody to ask. Nothing was asked then.
pub(crate) fn run(node: &str, file: Option<&Path>, seed: u64, mut tell: impl FnMut(usize, usize)) -> Result<Report> {
    let started = Clock::System.now().seconds();
    if !rustix::process::geteuid().is_root() {
        return Err(Error::of(Kind::Refused, "--writes makes mounts of its own, which only root can"));
    }
    this_node(node)?;
    let inconclusive = |e: Error| Error::of(Kind::Inconclusive, e.to_string());
    let cases = match file {
        Some(file) => Some(from_file(file, node)?),
        None => None,
    };
    for (program, package) in [("pvesh", "pve-manager"), (daemon::PROGRAM, "pve-network-rs"), ("setpriv", "util-linux")]
    {
        if host::Command::new(program).find().is_none() {
            let what = format!("{program} is not installed; it comes with package {package}");
            return Err(Error::of(Kind::Inconclusive, what));
        }
    }
    let places = Places::of(Node::at(&Root::system())?).map_err(inconclusive)?;
    let cases = match cases {
        Some(cases) => cases,
        None => builtin(node, &places.network).map_err(inconclusive)?,
    };
    // Once for nothing: where this fails, no case needs to.
    places.within(|| Ok(())).map_err(inconclusive)?;
    let (mut endpoints, mut silent) = (Vec::new(), 0);
    for (number, case) in cases.iter().enumerate() {
        tell(number, cases.len());
        let mut endpoint = Endpoint::new(case.name());
        let asked = if silent == SILENT {
            Err(No::Rust(format!("not asked: Perl has not answered {SILENT} times in a row")))
        } else {
            one(&places, case, &mut endpoint)
        };
        silent = match &asked {
            _ if silent == SILENT => SILENT,
            Err(No::Perl(_)) => silent + 1,
            _ => 0,
        };
        endpoint.verdict = asked.unwrap_or_else(|no| {
            endpoint.why = Some(no.why());
            Judgement::Inconclusive
        });
        endpoints.push(endpoint);
        // Nobody went there from a scratch. If one did, it was the last.
        if !places.are_as_they_were().map_err(inconclusive)? {
            let mut endpoint = Endpoint::new(NETWORK.to_owned());
            endpoint.why =
                Some("the node's own was changed meanwhile, by somebody or by what was asked: stopped here".into());
            endpoints.push(endpoint);
            break;
        }
    }
    tell(cases.len(), cases.len());
    let verdict = Report::judge(&endpoints);
    let (node, perl_url) = (node.to_owned(), "pvesh".to_owned());
    let asked = Asked::Writes;
    Ok(Report { schema_version: SCHEMA_VERSION, asked, node, perl_url, started, seed, verdict, endpoints })
}

/// By both of Proxmox's ways to name it: another node's name would lead pvesh there.
fn this_node(node: &str) -> Result<()> {
    let full = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let here = full.split('.').next().unwrap_or_default();
    for this in [here, &host::node_name(&Root::system())] {
        if this != node {
            let what =
                format!("--writes asks this node alone, in a scratch copy of its files: this is {this}, not {node}");
            return Err(Error::of(Kind::Usage, what));
        }
    }
    Ok(())
}

fn from_file(file: &Path, node: &str) -> Result<Vec<Case>> {
    let doing = || format!("cannot read {}", file.display());
    let meta = std::fs::metadata(file).doing(doing)?;
    if meta.len() > CASES {
        return Err(Error::of(Kind::Usage, format!("{} is larger than {CASES} bytes", file.display())));
    }
    let text = std::fs::read_to_string(file).doing(doing)?;
    case::read(&text, node).map_err(|e| e.context(file.display()))
}

fn builtin(node: &str, tree: &Tree) -> Result<Vec<Case>> {
    let links = links::read(&Root::system())?;
    let current = tree.file("interfaces.new").or_else(|| tree.file("interfaces")).unwrap_or_default();
    let network = model::proxmox::read(current, &links)
        .map_err(|e| Error::new(format!("{NETWORK}/interfaces, line {}: not UTF-8", e.line)))?;
    Ok(builtin::cases(node, &network, &links))
}

/// Why nobody can say.
enum No {
    /// Perl did not answer.
    Perl(String),
    /// Another reason.
    Rust(String),
}

impl No {
    fn why(self) -> String {
        match self {
            Self::Perl(why) | Self::Rust(why) => why,
        }
    }
}

/// Perl, Rust, Perl.
fn one(places: &Places, case: &Case, endpoint: &mut Endpoint) -> Result<Judgement, No> {
    // What pvesh can't be told is no fault of Perl's.
    case.pvesh().map_err(No::Rust)?;
    let mut perl = || {
        let (seen, took) = in_scratch(places, |_| pvesh::ask(case).map_err(Error::new))?;
        endpoint.perl_ms.push(milliseconds(took));
        Ok::<Seen, Error>(seen)
    };
    let no_perl = |e: Error| No::Perl(format!("Perl: {e}"));
    let first = perl().map_err(no_perl)?;
    let mut left = None;
    let (rust, took) = in_scratch(places, |folder| {
        let reply = by_rust(folder, case)?;
        left = (reply.left || reply.answer.status == 503 || reply.odd.is_some()).then(|| reply.odd.clone());
        Ok((reply.answer, reply.took))
    })
    .map_err(|e| No::Rust(format!("Rust: {e}")))?;
    endpoint.rust_ms.push(milliseconds(took));
    if let Some(odd) = left {
        let said = rust.answer.body["message"].as_str().unwrap_or("503").trim().to_owned();
        return match (rust.answer.status, odd) {
            (501, None) => Ok(Judgement::LeftToPerl),
            (_, odd) => Err(No::Rust(format!("Rust: {}", odd.unwrap_or(said)))),
        };
    }
    if rust.answer.body["message"].as_str().is_some_and(|text| text.contains("Read-only file system")) {
        return Err(No::Rust(format!("Rust wanted to write outside of the scratch: {}", rust.answer.body["message"])));
    }
    let untouched = files(&places.network, &places.network);
    let second = perl().map_err(no_perl)?;
    let mut judged = judge([&first, &second], &rust, &untouched);
    // As with reads: names and words that Perl takes from a hash table.
    for _ in 0..AGAIN {
        if !may_be_noise(&judged.outcome) {
            break;
        }
        let again = perl().map_err(no_perl)?;
        judged = judge([&first, &again], &rust, &untouched);
    }
    if let Some(why) = blind(case.method(), &first.answer, &rust.answer) {
        return Err(No::Rust(why));
    }
    endpoint.stricter.extend(judged.stricter);
    endpoint.differences = judged.outcome.differences;
    endpoint.suppressed = judged.outcome.suppressed;
    match judged.outcome.verdict {
        Verdict::Equal => Ok(Judgement::Equal),
        Verdict::Differing => Ok(Judgement::Differing),
        Verdict::Inconclusive(why) => Err(No::Rust(why)),
    }
}

/// Has `ask` ask in a scratch copy, and looks at what came of the files.
fn in_scratch(
    places: &Places,
    ask: impl FnOnce(&Path) -> Result<(crate::compare::Answer, Duration)> + Send,
) -> Result<(Seen, Duration)> {
    places.within(|| {
        let (answer, took) = ask(places.state())?;
        let after = Tree::read(Path::new(NETWORK))?;
        Ok((Seen { answer, files: files(&places.network, &after) }, took))
    })
}

fn by_rust(folder: &Path, case: &Case) -> Result<Reply> {
    let daemon = Daemon::start(folder)?;
    client::run(ask::write(daemon.socket(), case.method(), &case.uri(), case.form()))
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
