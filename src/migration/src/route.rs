//! What a request is about, from its method and its target alone.
//!
//! Only paths that are written exactly as Proxmox documents them are Rust's. pveproxy decodes
//! percent-escapes and folds slashes, so other spellings reach the same resource; one that would reach
//! a network resource in such a way is refused, as otherwise it would slip past the phase. Everything
//! else is Perl's and passes as it came.

use phase::What;

/// Longest target that is looked at, in bytes. pveproxy takes 8 KiB for a whole head.
pub(crate) const LONGEST_TARGET: usize = 8 * 1024;

/// Longest interface name of Proxmox's format `pve-iface`.
const LONGEST_IFACE: usize = 20;

/// An operation of the network API that Rust may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `GET /nodes/{node}/network`
    List,
    /// `GET /nodes/{node}/network/{iface}`
    Get,
    /// `POST /nodes/{node}/network`
    Create,
    /// `PUT /nodes/{node}/network/{iface}`
    Update,
    /// `DELETE /nodes/{node}/network/{iface}`
    Delete,
    /// `DELETE /nodes/{node}/network`: forget pending changes.
    Revert,
    /// `PUT /nodes/{node}/network`: make pending changes the running configuration.
    Reload,
    /// `GET` below `/cluster/sdn`
    SdnRead,
    /// `POST`, `PUT`, `DELETE` below `/cluster/sdn`
    SdnWrite,
}

impl Operation {
    /// Everything there is.
    pub const ALL: [Operation; 9] = [
        Operation::List,
        Operation::Get,
        Operation::Create,
        Operation::Update,
        Operation::Delete,
        Operation::Revert,
        Operation::Reload,
        Operation::SdnRead,
        Operation::SdnWrite,
    ];

    /// Its name in metrics and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::List => "list",
            Operation::Get => "get",
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Revert => "revert",
            Operation::Reload => "reload",
            Operation::SdnRead => "sdn-read",
            Operation::SdnWrite => "sdn-write",
        }
    }

    /// Its path, with names in place of values, so that there are few of them.
    pub const fn template(self) -> &'static str {
        match self {
            Operation::List | Operation::Create | Operation::Revert | Operation::Reload => "/nodes/{node}/network",
            Operation::Get | Operation::Update | Operation::Delete => "/nodes/{node}/network/{iface}",
            Operation::SdnRead | Operation::SdnWrite => "/cluster/sdn/{path}",
        }
    }

    /// Whether it changes anything.
    pub const fn is_write(self) -> bool {
        !matches!(self, Operation::List | Operation::Get | Operation::SdnRead)
    }

    /// Whether the kind of interface, which its body names, decides who answers.
    pub const fn asks_for_type(self) -> bool {
        matches!(self, Operation::Create | Operation::Update)
    }
}

/// A request for the network API of this node or its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What is asked for.
    pub operation: Operation,
    /// What the phase has to allow, as far as method and path tell; for those which
    /// [ask for the type](Operation::asks_for_type) it is the least.
    pub what: What,
    /// Why only Perl can answer it in any phase.
    pub perl_only: Option<&'static str>,
    /// The form of the answer.
    pub format: Format,
}

/// The forms of Proxmox's answers that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `/api2/json`: programs. The daemon's own.
    Json,
    /// `/api2/extjs`: the web interface.
    Extjs,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Rust may answer it.
    Network(Target),
    /// It is Perl's, now and in every phase.
    Perl,
    /// Nobody's: 400 with these words.
    Refused(&'static str),
}

const UNUSUAL: &str = "this path names a network resource in an unusual way; write it without doubled \
                       slashes and percent-escapes";
const CLIMBS: &str = "a path with '.' or '..' as a segment is not answered";
const ESCAPE: &str = "the path has a broken percent-escape, or one for a control character";
const FORM: &str = "the request target must be a path that begins with '/'";
const LONG: &str = "the request target is too long";

/// Takes a request apart; `target` is path and query as they came, `node` this node's name.
pub fn route(method: &str, target: &str, node: &str) -> Route {
    if target.len() > LONGEST_TARGET {
        return Route::Refused(LONG);
    }
    if !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Route::Refused(FORM);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let raw: Vec<&str> = path[1..].split('/').collect();
    let Some(decoded) = raw.iter().map(|segment| decode(segment)).collect::<Option<Vec<_>>>() else {
        return Route::Refused(ESCAPE);
    };
    // An escaped slash is one: %2f%2e%2e%2f climbs as well.
    let parts = || decoded.iter().flat_map(|segment| segment.split(['/', '\\']));
    if parts().any(|part| part == "." || part == "..") {
        return Route::Refused(CLIMBS);
    }
    if let Some(target) = network(method, &raw, query, node) {
        return Route::Network(target);
    }
    let loose: Vec<&str> = parts().filter(|part| !part.is_empty()).collect();
    let same_shape = loose.len() == raw.len() && raw.iter().all(|segment| !segment.is_empty());
    if !same_shape && is_network(&loose, node) {
        return Route::Refused(UNUSUAL);
    }
    // Escapes inside of an otherwise plain path (eth0%3A1) are lawful. Perl decodes them.
    Route::Perl
}

/// The segment's text; `None` if an escape is broken or hides a control character.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut out = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        let byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if byte.is_ascii_control() {
            return None;
        }
        out.push(byte);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Whether a path, however it was written, is about this node's network or the cluster's SDN.
fn is_network(parts: &[&str], node: &str) -> bool {
    match parts {
        ["api2", format, rest @ ..] if is_format(format) => match rest {
            ["nodes", name, "network"] | ["nodes", name, "network", _] => *name == node || *name == "localhost",
            ["cluster", "sdn", ..] => true,
            _ => false,
        },
        _ => false,
    }
}

/// pveproxy's formats: json, extjs, html, …
fn is_format(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn network(method: &str, path: &[&str], query: &str, node: &str) -> Option<Target> {
    use Operation::{Create, Delete, Get, List, Reload, Revert, SdnRead, SdnWrite, Update};
    let (format, rest) = match path {
        ["api2", "json", rest @ ..] => (Format::Json, rest),
        ["api2", "extjs", rest @ ..] => (Format::Extjs, rest),
        _ => return None,
    };
    let (operation, what) = match rest {
        ["nodes", name, "network"] if *name == node => match method {
            "GET" => (List, What::Read),
            "POST" => (Create, What::WriteInterface),
            "PUT" => (Reload, What::Apply),
            "DELETE" => (Revert, What::WriteInterface),
            _ => return None,
        },
        ["nodes", name, "network", iface] if *name == node && is_iface(iface) => match method {
            "GET" => (Get, What::Read),
            "PUT" => (Update, by_name(iface)),
            "DELETE" => (Delete, by_name(iface)),
            _ => return None,
        },
        ["cluster", "sdn", rest @ ..] if rest.iter().all(|s| is_sdn_name(s)) => match method {
            "GET" => (SdnRead, What::Read),
            "POST" | "PUT" | "DELETE" => (SdnWrite, What::WriteSdn),
            _ => return None,
        },
        _ => return None,
    };
    let perl_only = if operation == List { list(query) } else { written(operation, query) };
    Some(Target { operation, what, perl_only, format })
}

/// The parameter by which a browser keeps answers out of its cache; Proxmox drops it as well.
const NO_CACHE: &str = "_dc=";

/// Proxmox lets parameters in the query go before those in the body. Nobody writes so, and what is asked
/// for would not be what the phase was looked up for.
fn written(operation: Operation, query: &str) -> Option<&'static str> {
    let more = query.split('&').any(|pair| !pair.is_empty() && !pair.starts_with(NO_CACHE));
    (operation.is_write() && more).then_some("unusual-query")
}

/// The target as the daemon knows it: `/api2/json`, without what is for caches.
pub fn for_daemon(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match path.strip_prefix("/api2/extjs/") {
        Some(rest) => format!("/api2/json/{rest}"),
        None => path.to_owned(),
    };
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(NO_CACHE)).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// Lists that hold what each caller may see of the SDN: only Perl knows that.
fn list(query: &str) -> Option<&'static str> {
    let sdn = |value: &str| matches!(value, "any_bridge" | "include_sdn" | "vnet" | "fabric");
    let plain = |value: &str| value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let mut types = query.split('&').filter_map(|pair| pair.strip_prefix("type="));
    match (types.next(), types.next()) {
        // A key may be escaped as well.
        (None, _) if query.contains('%') || query.contains("type") => Some("unusual-query"),
        (None, _) => None,
        (Some(value), None) if sdn(value) => Some("lists-sdn"),
        (Some(value), None) if plain(value) && !query.contains('%') => None,
        _ => Some("unusual-query"),
    }
}

/// A name that Proxmox's format `pve-iface` may hold; what it really allows is the backend's to say.
fn is_iface(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    (1..=LONGEST_IFACE).contains(&name.len()) && name.bytes().all(plain)
}

fn is_sdn_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

/// What a name alone says of an interface's kind, by Proxmox's naming (PVE::INotify). It saves asking
/// a daemon that would have to say "not in this phase"; which kind it really is, the daemon looks up.
fn by_name(iface: &str) -> What {
    let numbered = |prefix: &str| {
        iface.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    if numbered("vmbr") {
        What::WriteBridge
    } else if numbered("bond") {
        What::WriteBond
    } else if numbered("vlan") || iface.contains('.') {
        What::WriteVlan
    } else {
        What::WriteInterface
    }
}

/// What a `type` of Proxmox's API needs. One that is missing or unknown counts as the most, so that in
/// a low phase it is Perl that finds fault with it.
pub fn by_type(kind: Option<&str>) -> What {
    match kind {
        Some("eth" | "alias") => What::WriteInterface,
        Some("bridge") => What::WriteBridge,
        Some("bond") => What::WriteBond,
        Some("vlan") => What::WriteVlan,
        _ => What::WriteOvs,
    }
}

/// The only value of `key` in a form body; `None` if there is none or more than one, or if it or any
/// key is written with escapes, which no client does for the words that matter here.
pub fn form_value<'a>(form: &'a [u8], key: &str) -> Option<&'a str> {
    let form = std::str::from_utf8(form).ok()?;
    let mut found = None;
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.contains(['%', '+']) {
            return None;
        }
        if name == key && found.replace(value).is_some() {
            return None;
        }
    }
    found.filter(|value| value.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
