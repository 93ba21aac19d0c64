//! `migration-ctl phase history`.

use ::phase::Outcome;
use ::phase::record::{Change, Contents};
use host::{Clock, Error, Kind, Result, Timestamp};
use serde_json::{Value, json};

use crate::Node;
use ::cli::{Form, note, out};

/// Prints the history, oldest first, or what a check of it finds.
pub(super) fn run(node: &Node, verify: bool, form: Form) -> Result<()> {
    let history = node.switch.history(Clock::System);
    let contents = history.read()?;
    let found = Findings::of(node, &contents);
    let now = Clock::System.now().seconds();
    let open = node.switch.open_overrides(now)?;
    if form == Form::Json {
        let changes: Vec<Value> = contents.changes().iter().map(describe).collect();
        let open: Vec<Value> = open
            .iter()
            .map(|o| {
                json!({"id": o.id, "node": o.node, "from": o.from, "to": o.to, "reason": o.reason,
                    "expires": o.expires, "expired": o.expired})
            })
            .collect();
        let broken = contents.broken.as_ref().map(|(line, why)| json!({"line": line, "why": why}));
        out(json!({
            "schema_version": 1, "node": node.switch.node, "changes": changes, "open_overrides": open,
            "chain": {"broken": broken, "cut": contents.cut, "ends_cut": contents.ends_cut(), "head": contents.head,
                "gaps": found.gaps, "explains_ceiling": found.explains},
        }))?;
    } else if verify {
        let head = contents.head.as_deref().unwrap_or("none");
        out(format_args!("{} lines, the last one {head}", contents.records.len() + contents.cut.len()))?;
    } else {
        if contents.records.is_empty() {
            note!("there is no history in {}", history.path().display());
        }
        for change in contents.changes() {
            print(&change)?;
        }
    }
    for open in open {
        let (word, until) =
            (if open.expired { "EXPIRED" } else { "holds until" }, Timestamp::from_seconds(open.expires));
        note!("override of node {} from {} to {}: {word} {until}: {}", open.node, open.from, open.to, open.reason);
    }
    found.say();
    if verify { found.verdict(&history.path().display().to_string()) } else { Ok(()) }
}

/// What is wrong with a history.
struct Findings {
    broken: Option<(usize, String)>,
    gaps: Vec<usize>,
    explains: bool,
    cut: Vec<usize>,
    ends_cut: bool,
}

impl Findings {
    fn of(node: &Node, contents: &Contents) -> Self {
        let ceiling = node.switch.ceiling().ok().map(|c| c.map(|p| p.to_string()));
        Self {
            broken: contents.broken.clone(),
            gaps: contents.gaps(),
            explains: ceiling.is_some_and(|now| contents.ceilings().contains(&now)),
            cut: contents.cut.clone(),
            ends_cut: contents.ends_cut(),
        }
    }

    fn say(&self) {
        for line in &self.cut {
            note!("line {line} was cut short; what it announced was not done");
        }
        if self.ends_cut {
            note!("the last line was cut short; what it announced was not done");
        }
        for line in &self.gaps {
            note!("before line {line} this node's ceiling was changed by something that left no line");
        }
    }

    fn verdict(&self, file: &str) -> Result<()> {
        if let Some((line, why)) = &self.broken {
            return Err(Error::of(Kind::Failed, format!("{file}:{line}: the chain breaks here: {why}"))
                .way_out("what follows may be true, but nothing vouches for it"));
        }
        if !self.explains {
            return Err(Error::of(Kind::Failed, format!("{file} does not say how this node's ceiling came about"))
                .way_out("its end is missing, or the ceiling was changed by hand"));
        }
        match self.gaps.first() {
            Some(line) => Err(Error::new(format!("{file}:{line}: a change before it left no line"))),
            None => Ok(()),
        }
    }
}

/// One change: a line for each phase, or for each setting where no phase moved.
fn print(change: &Change<'_>) -> Result<()> {
    let at = Timestamp::from_seconds(change.time);
    let ended = match change.outcome {
        Some(Outcome::Done) => "",
        Some(Outcome::CeilingOnly) => " [ceiling only]",
        Some(Outcome::ClusterOnly) => " [without the ceiling]",
        Some(Outcome::Failed) => " [failed]",
        Some(Outcome::Unknown) => " [outcome unknown to this version]",
        None => " [interrupted]",
    };
    let moves: Vec<String> = if change.steps.is_empty() {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        change.settings.iter().map(|s| format!("{}: {} -> {}", s.key, shown(&s.from), shown(&s.to))).collect()
    } else {
        change.steps.iter().map(|s| format!("node {}: {} -> {}", s.node, s.from, s.to)).collect()
    };
    for moved in moves {
        out(format_args!("{at} {moved}{ended}"))?;
    }
    let over = change
        .overridden
        .map_or_else(String::new, |over| format!("; override until {}", Timestamp::from_seconds(over.expires)));
    out(format_args!("    by {}, {}: {}{over}", change.by.name(), change.by.tool, change.why))?;
    change.error.map_or(Ok(()), |error| out(format_args!("    {error}")))
}

fn describe(change: &Change<'_>) -> Value {
    json!({
        "line": change.line, "id": change.id, "time": change.time, "node": change.node, "by": change.by, "why": change.why,
        "steps": change.steps, "settings": change.settings, "override": change.overridden, "outcome": change.outcome,
        "error": change.error,
    })
}
