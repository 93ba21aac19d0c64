//! Whether the step may be asked for at all: what the files say of phases, order, history, overrides.

use phase::{Outcome, Phase};

use super::{Check, Draft, ahead, ask, limits, moment, questions, span};
use crate::facts::{Facts, Override, Past, Standing, Step};

const TOML: &str = "/etc/pve/network/migration.toml";
const CEILING: &str = "migration.toml and this node's ceiling";
const HISTORY: &str = "phase-history.jsonl";

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![step(facts), order(facts), history(facts), overrides(facts)]
}

/// One step up from where the node is.
fn step(facts: &Facts) -> Check {
    let mut check = Draft::new("step");
    let wanted = facts.wanted;
    let Some(standing) = check.get(&facts.standing) else { return check.end("") };
    let now = standing.phase;
    check.saw("phase in effect", now, Some(format!("the one below {wanted}")), CEILING);
    for problem in &standing.problems {
        check.open(problem);
    }
    if standing.sha256.is_none() {
        check.open("what migration.toml holds is not known");
    }
    match now.next() {
        _ if wanted <= now => check.fail(format!("the node is at {now} already: {wanted} is no step up")),
        Some(next) if next == wanted => {}
        Some(next) => check.fail(format!("one step up at a time: from {now} the next is {next}")),
        None => check.fail(format!("there is nothing above {now}")),
    }
    check.end(format!("from {now} the next phase is {wanted}"))
}

/// B never above A minus one: who goes before has to be a phase ahead, by both witnesses.
fn order(facts: &Facts) -> Check {
    let mut check = Draft::new("order");
    let Some(standing) = check.get(&facts.standing) else { return check.end("") };
    if standing.order.is_empty() {
        check.saw("[canary] order", "empty", Some("names the canaries".into()), TOML);
        check.open("migration.toml does not say who goes first: [canary] order = [\"…\", \"…\"]");
        return check.end("");
    }
    let before = ahead(&standing.order, &facts.node);
    check.saw("[canary] order", standing.order.join(", "), None, TOML);
    for node in &before {
        leads(&mut check, facts, standing, node, &before);
    }
    let clean = match before.last() {
        None => "this node goes first".to_owned(),
        Some(_) => format!("ahead of it: {}", before.join(", ")),
    };
    check.end(clean)
}

/// Whether `node` is a phase ahead of what is wanted. Above the last phase there is none: there it has to have been
/// in it for as long as a step takes.
fn leads(check: &mut Draft, facts: &Facts, standing: &Standing, node: &str, before: &[String]) {
    let wanted = facts.wanted;
    let least = wanted.next().unwrap_or(wanted);
    let limit = Some(format!("{least} or higher"));
    let Some(said) = standing.nodes.get(node) else {
        check.open(format!("migration.toml does not say where {node} stands, which goes before"));
        return;
    };
    check.saw(format!("phase of {node}"), said, limit.clone(), TOML);
    if *said < least {
        check.fail(format!(
            "{node} goes before and is at {said}: {} may go to {wanted} once {node} is at {least}",
            facts.node
        ));
        return;
    }
    let Some(prometheus) = check.get(&facts.prometheus) else { return };
    let questions = questions(wanted, facts.now, &facts.node, before, &prometheus.selector);
    let name = ask::before(node);
    let Some((query, series)) = check.take(ask::answer(prometheus, &questions, &name)) else { return };
    let Some(series) = check.take(ask::only(query, series, &[])) else { return };
    let Some(last) = series.runs.last() else { return };
    let position = |phase: Phase| Phase::ALL.into_iter().position(|p| p == phase).unwrap_or(0);
    let least_number = position(least).to_string();
    let lowest_of = |text: &str| ask::number(text).ok();
    let number = lowest_of(&last.value);
    check.saw(
        format!("pve_network_phase of {node}"),
        &last.value,
        Some(format!("{least_number} or more")),
        &query.expr,
    );
    let age = facts.now - last.to / 1000;
    if age > limits::FRESH {
        check.open(format!("Prometheus last heard of {node} {} ago", span(age)));
    }
    #[allow(clippy::cast_precision_loss, reason = "at most 5")]
    let enough = number.is_some_and(|n| n >= position(least) as f64);
    if !enough {
        check.open(format!(
            "migration.toml has {node} at {said}, and Prometheus sees its phase as {}: its ceiling may hold it lower",
            last.value
        ));
    }
    if least == wanted {
        let whole = series.runs.len() == 1
            && series.widest(query.from * 1000, query.to * 1000).0 <= limits::GAP.max(4 * series.usual_ms);
        check.saw(
            format!("{node} at {wanted} for"),
            span((last.to - last.from) / 1000),
            Some(span(limits::needed(wanted))),
            &query.expr,
        );
        if !whole {
            check.open(format!(
                "{node} goes before and has not been seen at {wanted} for all of {}",
                span(limits::needed(wanted))
            ));
        }
    }
}

/// How the node came to its phase, and for how long it has been there.
fn history(facts: &Facts) -> Check {
    let mut check = Draft::new("history");
    let needed = limits::needed(facts.wanted);
    let (Some(past), Some(standing)) = (check.get(&facts.past), check.get(&facts.standing)) else {
        return check.end("");
    };
    let chain = past.broken.first().map_or("whole", String::as_str);
    check.saw("chain", chain, Some("whole".into()), HISTORY);
    check.saw("says how the ceiling came about", past.explains, Some("true".into()), HISTORY);
    for how in &past.broken {
        check.open(format!("the phase history is broken: {how}"));
    }
    if !past.explains {
        check.open("the phase history does not say how this node's ceiling came about: its end is missing, or the ceiling was changed by hand");
    }
    if past.gaps > 0 {
        check.open(format!("{} changes of the ceiling left no line in the phase history", past.gaps));
    }
    let now = standing.phase;
    if needed == 0 {
        return check.end(format!("the node is at {now}; no time is asked for"));
    }
    let Some(last) = last_step(past) else {
        check.open(format!("the phase history does not say since when the node is at {now}"));
        return check.end("");
    };
    let age = facts.now - last.time;
    check.saw(format!("at {now} since"), moment(last.time), Some(format!("{} ago or more", span(needed))), HISTORY);
    if last.to != now {
        check.open(format!("the phase history ends at {}, and the node is at {now}", last.to));
    }
    if matches!(last.outcome, None | Some(Outcome::Unknown)) {
        check.open(format!("the last change of the phase, at {}, was interrupted", moment(last.time)));
    }
    if age < 0 {
        check.open(format!("the last change of the phase lies in the future, at {}", moment(last.time)));
    } else if age < needed {
        check.open(format!(
            "the node has been at {now} for {}, and {} are needed: ask again at {}",
            span(age),
            span(needed),
            moment(last.time + needed)
        ));
    }
    check.end(format!("at {now} for {}", span(age)))
}

/// The last change that may have had an effect.
fn last_step(past: &Past) -> Option<&Step> {
    past.steps.iter().rfind(|s| s.outcome != Some(Outcome::Failed))
}

/// What was let through stays in sight; once it has expired nothing further is built on it.
fn overrides(facts: &Facts) -> Check {
    let mut check = Draft::new("overrides");
    let Some(past) = check.get(&facts.past) else { return check.end("") };
    check.saw("open overrides", past.overrides.len(), None, HISTORY);
    for Override { of, to, by, reason, expires } in &past.overrides {
        check.saw(
            format!("override of a {of} to {to}"),
            format!("{reason} (by {by})"),
            Some(format!("until {}", moment(*expires))),
            HISTORY,
        );
        if *expires <= facts.now {
            check.fail(format!(
                "the override that let the node come to {to} expired at {} ({reason}): lower the phase, or give a \
                 reason again",
                moment(*expires)
            ));
        }
    }
    let clean = match past.overrides.as_slice() {
        [] => "none".to_owned(),
        [one] => format!("one, until {}: {}", moment(one.expires), one.reason),
        many => format!("{}, none expired", many.len()),
    };
    check.end(clean)
}
