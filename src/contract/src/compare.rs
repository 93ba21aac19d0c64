//! Two answers of Perl and one of Rust, compared field by field. Pure.
//!
//! What differs between Perl's own two answers is noise: a value that changes by itself, the order of a hash table.
//! There Rust may differ as well, in value and order. It may never have another type, nor more or fewer fields than
//! both of Perl's answers, nor another status.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
}

/// How an answer of Rust's differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Perl has the field, Rust has not.
    Missing,
    /// Rust has the field, Perl has not.
    Extra,
    /// A text for a number, say.
    Type,
    /// Another value of the same type.
    Value,
    /// The same elements in another order.
    Order,
    /// Another HTTP status.
    Status,
    /// Another error: `message` or `errors` of an answer that is none of 2xx.
    ErrorBody,
    /// Rust refuses a write that Proxmox wrongly carries out; no difference that counts.
    Stricter,
}

impl Kind {
    /// Whether noise may hide it.
    pub(crate) const fn can_be_noise(self) -> bool {
        matches!(self, Self::Value | Self::Order)
    }

    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Value => "value",
            Self::Order => "order",
            Self::Status => "status",
            Self::ErrorBody => "error-body",
            Self::Stricter => "stricter",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where, such as `data[vmbr0].mtu`.
    pub field: String,
    /// How.
    pub kind: Kind,
    /// Perl's.
    pub perl: Value,
    /// Rust's.
    pub rust: Value,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// They answer the same, noise aside.
    Equal,
    /// They don't.
    Differing,
    /// Perl's two answers have different statuses or fields: what Rust's should be nobody can say.
    Inconclusive(String),
}

/// The outcome of one comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What differs and is noise.
    pub suppressed: Vec<Difference>,
}

/// Compares Rust's answer with Perl's two.
pub fn compare(perl: [&Answer; 2], rust: &Answer) -> Outcome {
    let [first, second] = perl;
    if first.status != second.status {
        let why = format!("Perl answered {} and then {}", first.status, second.status);
        return Outcome { verdict: Verdict::Inconclusive(why), differences: Vec::new(), suppressed: Vec::new() };
    }
    let (body, again) = (named(&first.body), named(&second.body));
    let noise = differences(&body, &again);
    if let Some(shift) = noise.iter().find(|d| !d.kind.can_be_noise()) {
        let why = format!("{} ({}) came or went between Perl's own two answers", shift.field, shift.kind);
        return Outcome { verdict: Verdict::Inconclusive(why), differences: Vec::new(), suppressed: Vec::new() };
    }
    let error = !(200..300).contains(&first.status);
    let mut found = differences(&body, &named(&rust.body));
    if error {
        found.iter_mut().filter(|d| d.field != "data").for_each(|d| d.kind = Kind::ErrorBody);
    }
    let is_noise = |d: &Difference| {
        noise.iter().any(|n| n.field == d.field) && (d.kind.can_be_noise() || d.kind == Kind::ErrorBody)
    };
    let (suppressed, mut differences): (Vec<_>, Vec<_>) = found.into_iter().partition(is_noise);
    if first.status != rust.status {
        let (perl, rust) = (first.status.into(), rust.status.into());
        differences.insert(0, Difference { field: "status".into(), kind: Kind::Status, perl, rust });
    }
    let verdict = if differences.is_empty() { Verdict::Equal } else { Verdict::Differing };
    Outcome { verdict, differences, suppressed }
}

/// A body whose lists of things are by the things' names, with the order kept beside them.
#[derive(Debug, Clone, PartialEq)]
enum Named {
    Plain(Value),
    Object(BTreeMap<String, Named>),
    /// Names in order, and what they name.
    Things(Vec<String>, BTreeMap<String, Named>),
    List(Vec<Named>),
}

/// What names a thing in a list of Proxmox's.
const NAMES: [&str; 7] = ["iface", "zone", "vnet", "controller", "ipam", "dns", "id"];

fn named(value: &Value) -> Named {
    match value {
        Value::Object(object) => Named::Object(object.iter().map(|(k, v)| (k.clone(), named(v))).collect()),
        Value::Array(list) => things(list).unwrap_or_else(|| Named::List(list.iter().map(named).collect())),
        plain => Named::Plain(plain.clone()),
    }
}

/// If all of them have names that differ.
fn things(list: &[Value]) -> Option<Named> {
    let objects: Vec<&Map<String, Value>> = list.iter().map(Value::as_object).collect::<Option<_>>()?;
    let key = NAMES.into_iter().find(|key| !objects.is_empty() && objects.iter().all(|o| o.contains_key(*key)))?;
    let names: Vec<String> = objects.iter().map(|o| o[key].as_str().map(str::to_owned)).collect::<Option<_>>()?;
    let all: BTreeMap<String, Named> = names.iter().cloned().zip(list.iter().map(named)).collect();
    (all.len() == names.len()).then_some(Named::Things(names, all))
}

fn differences(perl: &Named, rust: &Named) -> Vec<Difference> {
    let mut out = Vec::new();
    walk(String::new(), perl, rust, &mut out);
    out
}

fn walk(field: String, perl: &Named, rust: &Named, out: &mut Vec<Difference>) {
    let add = |out: &mut Vec<Difference>, field: String, kind, perl: &Named, rust: &Named| {
        out.push(Difference { field, kind, perl: perl.shown(), rust: rust.shown() });
    };
    match (perl, rust) {
        (Named::Object(a), Named::Object(b)) => {
            let below = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
            fields(a, b, below, out);
        }
        (Named::Things(order, a), Named::Things(other, b)) => {
            fields(a, b, |name| format!("{field}[{name}]"), out);
            let common = |order: &[String], all: &BTreeMap<String, Named>| -> Vec<String> {
                order.iter().filter(|name| all.contains_key(*name)).cloned().collect()
            };
            let (order, other) = (common(order, b), common(other, a));
            if order != other {
                let names = |order: Vec<String>| Value::from(order);
                out.push(Difference { field, kind: Kind::Order, perl: names(order), rust: names(other) });
            }
        }
        (Named::List(a), Named::List(b)) => list(&field, a, b, out),
        // An empty list has no names in it.
        (Named::List(a), Named::Things(_, b)) if a.is_empty() => {
            fields(&BTreeMap::new(), b, |name| format!("{field}[{name}]"), out);
        }
        (Named::Things(_, a), Named::List(b)) if b.is_empty() => {
            fields(a, &BTreeMap::new(), |name| format!("{field}[{name}]"), out);
        }
        (Named::Plain(a), Named::Plain(b)) if a == b => {}
        (Named::Plain(a), Named::Plain(b)) if sort(a) == sort(b) => add(out, field, Kind::Value, perl, rust),
        _ => add(out, field, Kind::Type, perl, rust),
    }
}

fn fields(
    perl: &BTreeMap<String, Named>,
    rust: &BTreeMap<String, Named>,
    below: impl Fn(&str) -> String,
    out: &mut Vec<Difference>,
) {
    for (name, value) in perl {
        match rust.get(name) {
            Some(other) => walk(below(name), value, other, out),
            None => {
                let (kind, perl) = (Kind::Missing, value.shown());
                out.push(Difference { field: below(name), kind, perl, rust: Value::Null });
            }
        }
    }
    for (name, value) in rust.iter().filter(|(name, _)| !perl.contains_key(*name)) {
        out.push(Difference { field: below(name), kind: Kind::Extra, perl: Value::Null, rust: value.shown() });
    }
}

fn list(field: &str, perl: &[Named], rust: &[Named], out: &mut Vec<Difference>) {
    let sorted = |list: &[Named]| {
        let mut all: Vec<String> = list.iter().map(|n| n.shown().to_string()).collect();
        all.sort();
        all
    };
    let shown = |list: &[Named]| Value::from(list.iter().map(Named::shown).collect::<Vec<_>>());
    if perl != rust && sorted(perl) == sorted(rust) {
        let (perl, rust) = (shown(perl), shown(rust));
        return out.push(Difference { field: field.to_owned(), kind: Kind::Order, perl, rust });
    }
    let at = |index: usize| format!("{field}[{index}]");
    for (index, (a, b)) in perl.iter().zip(rust).enumerate() {
        walk(at(index), a, b, out);
    }
    for (index, a) in perl.iter().enumerate().skip(rust.len()) {
        out.push(Difference { field: at(index), kind: Kind::Missing, perl: a.shown(), rust: Value::Null });
    }
    for (index, b) in rust.iter().enumerate().skip(perl.len()) {
        out.push(Difference { field: at(index), kind: Kind::Extra, perl: Value::Null, rust: b.shown() });
    }
}

/// A type of JSON.
fn sort(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

impl Named {
    fn shown(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Object(all) => all.iter().map(|(k, v)| (k.clone(), v.shown())).collect::<Map<_, _>>().into(),
            Self::Things(order, all) => order.iter().filter_map(|n| all.get(n)).map(Self::shown).collect(),
            Self::List(list) => list.iter().map(Self::shown).collect(),
        }
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
