//! Asks all questions, in an order that follows from the seed.

use host::{Clock, Result};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::ask::{Reply, Side};
use crate::compare::{Verdict, compare};
use crate::report::{self, Endpoint, Judgement, Report, SCHEMA_VERSION};

/// What a path's part may not hold as it is.
const PART: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b':');

/// What is asked.
pub(crate) struct Asked {
    pub node: String,
    pub perl_url: String,
    pub perl: Side,
    pub rust: Side,
    /// Instead of every readable one.
    pub endpoints: Vec<String>,
    pub rounds: u32,
    pub seed: u64,
}

/// Types that the list can be asked for.
const TYPES: [&str; 14] = [
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "fabric",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "vnet",
    "any_bridge",
    "any_local_bridge",
    "include_sdn",
];

/// How often Perl is asked again where Rust has another value or order: by chance alone, two items would come so often in
/// the same order once in 16,000 times.
pub(crate) const AGAIN: usize = 12;

/// Asks everything, and tells before each endpoint how far it is.
///
/// # Errors
/// Perl can't be asked for the list of interfaces.
pub(crate) async fn run(asked: &Asked, mut tell: impl FnMut(usize, usize)) -> Result<Report> {
    let started = Clock::System.now().seconds();
    let mut random = Random(asked.seed);
    let all = if asked.endpoints.is_empty() { readable(asked).await? } else { asked.endpoints.clone() };
    let mut endpoints = Vec::new();
    for (number, path) in all.iter().enumerate() {
        tell(number, all.len());
        endpoints.push(one(asked, path, &mut random).await);
    }
    tell(all.len(), all.len());
    let verdict = Report::judge(&endpoints);
    let (node, perl_url) = (asked.node.clone(), asked.perl_url.clone());
    let reads = report::Asked::Reads;
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        asked: reads,
        node,
        perl_url,
        started,
        seed: asked.seed,
        verdict,
        endpoints,
    })
}

/// Every readable endpoint of a node's network and SDN, those that answer with an error among them.
async fn readable(asked: &Asked) -> Result<Vec<String>> {
    let base = format!("/nodes/{}/network", utf8_percent_encode(&asked.node, PART));
    let list = asked.perl.ask(&base).await?.answer.body;
    let names = list["data"].as_array().into_iter().flatten().filter_map(|i| i["iface"].as_str());
    let mut all = vec![base.clone(), format!("{base}?type=nonsense"), format!("{base}?nonsense=1")];
    all.extend(TYPES.iter().map(|kind| format!("{base}?type={kind}")));
    let more = ["lo", "nosuch0", "n"];
    all.extend(names.chain(more).map(|name| format!("{base}/{}", utf8_percent_encode(name, PART))));
    let sdn = ["", "/zones", "/vnets", "/controllers", "/ipams", "/dns", "/fabrics"];
    all.extend(sdn.iter().map(|below| format!("/cluster/sdn{below}")));
    Ok(all)
}

async fn one(asked: &Asked, path: &str, random: &mut Random) -> Endpoint {
    let mut endpoint = Endpoint::new(path.to_owned());
    let mut judged = None;
    for _ in 0..asked.rounds.max(1) {
        match round(asked, path, random, &mut endpoint).await {
            // The worst of all rounds counts.
            Ok(next) => judged = judged.max(Some(next)),
            Err(why) => {
                endpoint.why = Some(why);
                judged = judged.max(Some(Rank::Inconclusive));
            }
        }
    }
    endpoint.verdict = match judged {
        Some(Rank::Equal) => Judgement::Equal,
        Some(Rank::LeftToPerl) => Judgement::LeftToPerl,
        Some(Rank::Differing) => Judgement::Differing,
        Some(Rank::Inconclusive) | None => Judgement::Inconclusive,
    };
    endpoint
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Equal,
    LeftToPerl,
    Inconclusive,
    Differing,
}

/// Perl, Rust, Perl, in random order.
async fn round(asked: &Asked, path: &str, random: &mut Random, endpoint: &mut Endpoint) -> Result<Rank, String> {
    let rust_at = random.below(3);
    let (mut perl, mut rust) = (Vec::new(), None);
    for turn in 0..3 {
        let side = if turn == rust_at { &asked.rust } else { &asked.perl };
        let reply: Reply = side.ask(path).await.map_err(|e| e.to_string())?;
        let ms = reply.took.as_secs_f64() * 1000.0;
        if turn == rust_at {
            endpoint.rust_ms.push(ms);
            rust = Some(reply);
        } else {
            endpoint.perl_ms.push(ms);
            perl.push(reply);
        }
    }
    let ([first, second], Some(rust)) = (perl.as_slice(), rust) else { return Err("not all were asked".into()) };
    if let Some(refused) = [first, second].iter().find(|r| matches!(r.answer.status, 401 | 403)) {
        let status = refused.answer.status;
        return Err(format!("Perl refuses ({status}): --token-file names a token that may read (Sys.Audit)"));
    }
    if let Some(odd) = [first, second].iter().find_map(|r| r.odd.as_ref()) {
        return Err(format!("Perl: {odd}"));
    }
    if rust.left {
        return Ok(Rank::LeftToPerl);
    }
    if rust.answer.status == 503 {
        return Err(format!("Rust: {}", rust.answer.body["message"].as_str().unwrap_or("503").trim()));
    }
    let mut outcome = compare([&first.answer, &second.answer], &rust.answer);
    // Two items of a hash table come in the same order every second time: Perl gets more chances to show that what
    // differs is noise. What it never shows is a difference.
    for _ in 0..AGAIN {
        if outcome.verdict != Verdict::Differing || !outcome.differences.iter().all(|d| d.kind.can_be_noise()) {
            break;
        }
        let again = asked.perl.ask(path).await.map_err(|e| e.to_string())?;
        outcome = compare([&first.answer, &again.answer], &rust.answer);
    }
    for (found, list) in
        [(outcome.differences, &mut endpoint.differences), (outcome.suppressed, &mut endpoint.suppressed)]
    {
        for difference in found {
            if !list.iter().any(|d| d.field == difference.field && d.kind == difference.kind) {
                list.push(difference);
            }
        }
    }
    match outcome.verdict {
        Verdict::Equal => Ok(Rank::Equal),
        Verdict::Differing => Ok(Rank::Differing),
        Verdict::Inconclusive(why) => Err(why),
    }
}

/// SplitMix64: the order need not be unguessable, it has to be repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
