//! Proxmox's API of a node's network, as far as it can be answered from what the files and the kernel say.
//! Pure: same parameters, fields, statuses and words as Proxmox; strings where Proxmox has strings.
//!
//! ```text
//!   Request, Sight ──► plan ─┬─► Answer      read, or refused
//!                            ├─► Write       interfaces.new, as Proxmox would write it
//!                            ├─► Reload      make it the running one
//!                            └─► NotHandled  a question that only Perl can answer
//! ```
//!
//! Stricter than Proxmox in one way: a change that brings an error which `pvenet validate` finds and Proxmox
//! lets through is refused with 400 and its code.

mod formats;
mod schema;
mod writes;

use model::Severity;
use model::proxmox::{Family, Interface, Links, Network, Value, read};
use serde_json::{Map, Value as Json, json};

pub use schema::{Params, type_of};
pub use writes::{Machine, Refusal};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The node in the path.
    pub node: &'a str,
    /// What follows `/network/`.
    pub iface: Option<&'a str>,
    /// From the query or the body.
    pub params: Params,
}

/// What it is answered from.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The file that counts: pending changes where there are any.
    pub current: &'a [u8],
    /// What is pending, as `diff -b -N -u` says it.
    pub changes: Option<&'a str>,
    /// What the kernel has.
    pub links: &'a Links,
    /// What else is there.
    pub machine: Machine,
    /// The cluster has a running SDN configuration, whose vnets and fabrics belong into some lists.
    pub sdn: bool,
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// This is the answer, and nothing changes.
    Answer(Json),
    /// Nothing changes.
    Refused(Refusal),
    /// The pending changes become this; `None`: there are none any more. The answer is null.
    Write {
        /// The whole file.
        pending: Option<String>,
        /// What the interface is before and after, where one is meant: decides what a phase allows.
        kinds: Vec<model::proxmox::Kind>,
    },
    /// The pending configuration becomes the running one. The answer is the task's id.
    Reload,
    /// Rust does not know; nothing was touched.
    NotHandled(&'static str),
}

/// What a request leads to.
pub fn plan(request: &Request<'_>, sight: &Sight<'_>) -> Plan {
    let mut params = request.params.clone();
    params.add("node", request.node);
    if let Some(iface) = request.iface {
        // The path counts, whatever the body says.
        params.values.remove("iface");
        params.repeated.retain(|name| name != "iface");
        params.add("iface", iface);
    }
    let Some(properties) = schema::of(request.method, request.iface.is_some()) else {
        return Plan::Refused(unknown(request.method, request.node, request.iface));
    };
    let errors = schema::verify(&params, properties);
    if !errors.is_empty() {
        return Plan::Refused(Refusal::parameters(errors));
    }
    let network = match read(sight.current, sight.links) {
        Ok(network) => network,
        Err(error) => return Plan::Refused(Refusal::failed(format!("interfaces, line {}: not UTF-8", error.line))),
    };
    match (request.method, request.iface) {
        ("GET", None) => filtered(&network, &params, sight),
        ("GET", Some(name)) => match network.interfaces.get(name) {
            Some(found) => Plan::Answer(json!({"data": interface(name, found, sight.links)})),
            None => Plan::Refused(Refusal::of("iface", "interface does not exist")),
        },
        ("PUT", None) => reload(&params, sight),
        ("DELETE", None) => Plan::Write { pending: None, kinds: Vec::new() },
        _ => change_one(request, network, params, sight).unwrap_or_else(Plan::Refused),
    }
}

fn reload(params: &Params, sight: &Sight<'_>) -> Plan {
    // Proxmox makes the SDN's files anew at each reload, and FRR's with them.
    if sight.sdn {
        return Plan::NotHandled("a reload where an SDN configuration runs");
    }
    if params.get("regenerate-frr").is_some() {
        return Plan::NotHandled("a reload that says what becomes of FRR's configuration");
    }
    Plan::Reload
}

fn unknown(method: &str, node: &str, iface: Option<&str>) -> Refusal {
    let below = iface.map_or_else(String::new, |iface| format!("/{iface}"));
    let message = format!("Method '{method} /nodes/{node}/network{below}' not implemented");
    Refusal { status: 501, message, errors: Default::default() }
}

fn change_one(request: &Request<'_>, before: Network, params: Params, sight: &Sight<'_>) -> Result<Plan, Refusal> {
    let name = params.get("iface").unwrap_or_default().to_owned();
    let kind = |network: &Network| network.interfaces.get(&name).and_then(|i| i.kind);
    let mut after = before.clone();
    let asked = params.get("type").map(str::to_owned);
    match request.method {
        "POST" => writes::create(&mut after, unharmful(params)?, sight.machine)?,
        "PUT" => writes::change(&mut after, unharmful(params)?)?,
        _ => writes::delete(&mut after, &name)?,
    }
    let kinds = kind(&before).into_iter().chain(kind(&after)).collect();
    let text = writes::text(after)?;
    // A bond of a name of its own has no type when it is read again, and works all the same.
    let retyped = request.method == "PUT" && kind(&before).is_some_and(|was| Some(was.name()) != asked.as_deref());
    no_new_error(sight, &name, &text, retyped)?;
    Ok(Plan::Write { pending: Some(text), kinds })
}

/// Values that Proxmox takes and that would write something else than they say.
fn unharmful(params: Params) -> Result<Params, Refusal> {
    let broken = |(name, value): &(&String, &String)| {
        !name.starts_with("comments") && value.contains(|c: char| c.is_control() && c != '\t' && c != '\0')
    };
    if let Some((name, _)) = params.values.iter().find(broken) {
        return Err(Refusal::of(name, "a line break or control character would write a line of its own (PVN040)"));
    }
    if params.get("bridge_vlan_aware") == Some("0") {
        let wrong = "0 would be written as yes: leave it out, or name it in 'delete' (PVN041)";
        return Err(Refusal::of("bridge_vlan_aware", wrong));
    }
    Ok(params)
}

/// What is wrong afterwards has to have been wrong before.
fn no_new_error(sight: &Sight<'_>, name: &str, text: &str, retyped: bool) -> Result<(), Refusal> {
    let wrong = |bytes: &[u8]| -> Vec<model::Finding> {
        model::validate(bytes, sight.links).into_iter().filter(|f| f.severity == Severity::Error).collect()
    };
    let known = wrong(sight.current);
    let is_new = |f: &model::Finding| {
        let old = known.iter().any(|k| k.code == f.code && k.interface == f.interface && k.what == f.what);
        !old && (f.code != "PVN042" || retyped)
    };
    let found = wrong(text.as_bytes());
    let Some(first) = found.iter().find(|f| is_new(f)) else { return Ok(()) };
    let whose = if first.interface == name || first.interface.is_empty() {
        String::new()
    } else {
        format!("{}: ", first.interface)
    };
    Err(Refusal::of("iface", format!("{whose}{} ({}); {}", first.what, first.code, first.fix)))
}

/// The list, of the types that were asked for.
fn filtered(network: &Network, params: &Params, sight: &Sight<'_>) -> Plan {
    let filter = params.get("type").unwrap_or_default();
    if sight.sdn && matches!(filter, "any_bridge" | "include_sdn" | "vnet" | "fabric") {
        return Plan::NotHandled("vnets and fabrics of the SDN configuration belong into this list");
    }
    let all = list(network, sight.links);
    let wanted = |one: &Json| {
        let kind = one["type"].as_str().unwrap_or_default();
        let bridge = kind == "bridge" || kind == "OVSBridge";
        match filter {
            "" | "0" | "include_sdn" => true,
            "any_bridge" | "any_local_bridge" => bridge,
            filter => filter == kind,
        }
    };
    let mut body = json!({"data": all.into_iter().filter(|i| i["iface"] != "lo").filter(wanted).collect::<Vec<_>>()});
    if let Some(changes) = sight.changes {
        body["changes"] = json!(changes);
    }
    Plan::Answer(body)
}

/// One interface as `GET /nodes/{node}/network/{iface}` shows it.
pub fn interface(name: &str, interface: &Interface, links: &Links) -> Map<String, Json> {
    let mut map = Map::new();
    for (key, value) in &interface.settings {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Number(number) => json!(number),
            Value::List(list) => json!(list),
            Value::Nothing => Json::Null,
        };
        map.insert(key.clone().into_owned(), value);
    }
    if let Some(kind) = interface.kind {
        map.insert("type".into(), json!(kind.name()));
    }
    if let Some(priority) = interface.priority {
        map.insert("priority".into(), json!(priority));
    }
    if !interface.families.is_empty() {
        map.insert("families".into(), interface.families.iter().map(|f| json!(f.map(Family::name))).collect());
    }
    let others = links.other_names(name);
    if !others.is_empty() {
        map.insert("altnames".into(), json!(others));
    }
    map
}

/// All of them as `GET /nodes/{node}/network` lists them, by name.
pub fn list(network: &Network, links: &Links) -> Vec<Json> {
    let one = |(name, found): (&String, &Interface)| {
        let mut map = interface(name, found, links);
        map.insert("iface".into(), json!(name));
        Json::Object(map)
    };
    network.interfaces.iter().map(one).collect()
}
