//! One write that both sides are asked for: what it is called, how pvesh(1) and how the daemon is told of it. Pure.

use std::collections::BTreeMap;

use host::{Error, Kind, Result, quote};
use network::api;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

/// Parameters by name.
pub(crate) type Params = BTreeMap<String, String>;

/// A write of the pending network configuration; never a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    method: Method,
    node: String,
    /// What follows `/network/`.
    iface: Option<String>,
    params: Params,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    Put,
    Delete,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// As pvesh calls it.
    const fn verb(self) -> &'static str {
        match self {
            Self::Post => "create",
            Self::Put => "set",
            Self::Delete => "delete",
        }
    }
}

impl Case {
    pub(crate) fn create(node: &str, params: Params) -> Self {
        Self { method: Method::Post, node: node.into(), iface: None, params }
    }

    pub(crate) fn change(node: &str, iface: &str, params: Params) -> Self {
        Self { method: Method::Put, node: node.into(), iface: Some(iface.into()), params }
    }

    pub(crate) fn delete(node: &str, iface: &str) -> Self {
        Self { method: Method::Delete, node: node.into(), iface: Some(iface.into()), params: Params::new() }
    }

    /// Nothing is pending any more.
    pub(crate) fn revert(node: &str) -> Self {
        Self { method: Method::Delete, node: node.into(), iface: None, params: Params::new() }
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method.name()
    }

    /// Behind `/api2/json`, for a person and for pvesh.
    pub(crate) fn path(&self) -> String {
        let below = self.iface.as_ref().map_or_else(String::new, |iface| format!("/{iface}"));
        format!("/nodes/{}/network{below}", self.node)
    }

    /// The same for HTTP.
    pub(crate) fn uri(&self) -> String {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let below = self.iface.as_ref().map_or_else(String::new, |iface| format!("/{}", part(iface)));
        format!("/nodes/{}/network{below}", part(&self.node))
    }

    /// The parameters as a form.
    pub(crate) fn form(&self) -> String {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = self.params.iter().map(|(k, v)| format!("{}={}", part(k), part(v))).collect();
        pairs.join("&")
    }

    /// In a report: `POST /nodes/pve1/network iface=vmbr7 type=bridge`.
    pub(crate) fn name(&self) -> String {
        let words = self.params.iter().map(|(name, value)| {
            let shown: String = value.chars().flat_map(char::escape_debug).collect();
            format!(" {name}={}", quote(&if value.contains(char::is_control) { shown } else { value.clone() }))
        });
        format!("{} {}{}", self.method.name(), self.path(), words.collect::<String>())
    }

    /// What pvesh is called with. Each value is a word of its own, which it takes whatever it begins with.
    ///
    /// # Errors
    /// pvesh would understand something else than the API: a parameter that the schema has not is refused by pvesh's own
    /// reader of options, which also takes `yes` for 1 and the beginning of a name for the name.
    pub(crate) fn pvesh(&self) -> Result<Vec<String>, String> {
        // Never to another node, whatever pvesh makes of its name.
        let mut words = vec!["--noproxy".to_owned(), self.method.verb().to_owned(), self.path()];
        for (name, value) in &self.params {
            let in_path = name == "node" || (self.iface.is_some() && name == "iface");
            let kind = api::type_of(self.method.name(), self.iface.is_some(), name).filter(|_| !in_path);
            let kind = kind.ok_or_else(|| format!("pvesh has no option for the parameter {name}"))?;
            if kind == "boolean" && !matches!(value.as_str(), "0" | "1") {
                return Err(format!("pvesh would read {name} by itself: only 0 and 1 reach the API as they are"));
            }
            if value.contains('\0') {
                return Err(format!("no program can be given a {name} with a NUL"));
            }
            words.extend([format!("--{name}"), value.clone()]);
        }
        words.extend(["--output-format".to_owned(), "json".to_owned()]);
        Ok(words)
    }

    /// What a parameter may be called that pvesh names in an error.
    pub(crate) fn is_parameter(name: &str) -> bool {
        api::type_of("PUT", true, name).is_some()
    }
}

/// A case as a file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    method: String,
    path: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
}

/// The cases of a file: a JSON list of `{"method", "path", "params"}`, for the node `node`.
///
/// # Errors
/// [`Kind::Usage`]: it is no such list, has a case twice, or one that is no write below `/nodes/NODE/network`. A reload is
/// none: it would be carried out.
pub(crate) fn read(text: &str, node: &str) -> Result<Vec<Case>> {
    let wrong = |what: String| Error::of(Kind::Usage, what);
    let all: Vec<Written> = serde_json::from_str(text).map_err(|e| wrong(format!("no list of cases: {e}")))?;
    let mut cases = Vec::new();
    for (number, one) in all.into_iter().enumerate() {
        let case = understood(one, node).map_err(|why| wrong(format!("case {}: {why}", number + 1)))?;
        if cases.contains(&case) {
            return Err(wrong(format!("case {}: {} is there twice", number + 1, case.name())));
        }
        cases.push(case);
    }
    if cases.is_empty() {
        return Err(wrong("there is no case in it".into()));
    }
    Ok(cases)
}

fn understood(written: Written, node: &str) -> Result<Case, String> {
    let Written { method, path, params } = written;
    let outside = || format!("{path} is not /nodes/{node}/network or an interface below it: nothing else is asked for");
    let parts: Vec<&str> = path.strip_prefix("/api2/json").unwrap_or(&path).split('/').collect();
    let (of, iface) = match parts.as_slice() {
        ["", "nodes", of, "network"] => (*of, None),
        ["", "nodes", of, "network", iface] => (*of, Some((*iface).to_owned())),
        _ => return Err(outside()),
    };
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"?#%".contains(c);
    let odd = |iface: &String| iface.is_empty() || iface == "." || iface == ".." || !iface.chars().all(plain);
    if of != node || iface.as_ref().is_some_and(odd) {
        return Err(outside());
    }
    let method = match (method.as_str(), &iface) {
        ("POST", None) => Method::Post,
        ("PUT", Some(_)) => Method::Put,
        ("PUT", None) => return Err(format!("PUT {path} reloads the network: it is never asked for")),
        ("DELETE", _) => Method::Delete,
        _ => return Err(format!("{method} {path} is no write that Proxmox has")),
    };
    let plain = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(yes) => Ok((name, u8::from(yes).to_string())),
        _ => Err(format!("the value of {name} is neither text nor number")),
    };
    let params = params.into_iter().map(plain).collect::<Result<_, _>>()?;
    Ok(Case { method, node: node.to_owned(), iface, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Result<Case> {
        read(&format!("[{json}]"), "pve1").map(|mut all| all.remove(0))
    }

    #[test]
    fn a_case_is_named_and_told_to_both_sides() {
        let case = one(r#"{"method": "POST", "path": "/nodes/pve1/network",
                "params": {"iface": "vmbr0:1", "type": "alias", "autostart": true, "mtu": 1500, "comments": "a b\n"}}"#)
        .unwrap();
        let name = r"POST /nodes/pve1/network autostart=1 comments='a b\n' iface=vmbr0:1 mtu=1500 type=alias";
        assert_eq!(case.name(), name);
        assert_eq!(case.form(), "autostart=1&comments=a%20b%0A&iface=vmbr0%3A1&mtu=1500&type=alias");
        let words = case.pvesh().unwrap();
        assert_eq!(words[..5], ["--noproxy", "create", "/nodes/pve1/network", "--autostart", "1"]);
        assert_eq!(words[words.len() - 2..], ["--output-format", "json"]);
        let case = one(r#"{"method": "DELETE", "path": "/api2/json/nodes/pve1/network/vmbr0:1"}"#).unwrap();
        assert_eq!((case.uri().as_str(), case.form().as_str()), ("/nodes/pve1/network/vmbr0%3A1", ""));
        assert_eq!(case.pvesh().unwrap()[1..3], ["delete", "/nodes/pve1/network/vmbr0:1"]);
    }

    #[test]
    fn reloads_and_what_is_not_the_network_s_are_refused() {
        for (method, path, says) in [
            ("PUT", "/nodes/pve1/network", "reloads the network"),
            ("PUT", "/api2/json/nodes/pve1/network", "reloads the network"),
            ("POST", "/nodes/pve1/network/vmbr0", "no write"),
            ("GET", "/nodes/pve1/network", "no write"),
            ("PATCH", "/nodes/pve1/network", "no write"),
            ("DELETE", "/nodes/pve2/network/vmbr0", "nothing else"),
            ("DELETE", "/nodes/localhost/network/vmbr0", "nothing else"),
            ("PUT", "/nodes/pve1/network/", "nothing else"),
            ("PUT", "/nodes/pve1/network/..", "nothing else"),
            ("PUT", "/nodes/pve1/network/%2e", "nothing else"),
            ("PUT", "/nodes/pve1//network/vmbr0", "nothing else"),
            ("DELETE", "/nodes/pve1/network/a/b", "nothing else"),
            ("DELETE", "/nodes/pve1/network?x=1", "nothing else"),
            ("DELETE", "/nodes/pve1/qemu/100", "nothing else"),
            ("POST", "/cluster/sdn/zones", "nothing else"),
        ] {
            let error = one(&format!(r#"{{"method": "{method}", "path": "{path}"}}"#)).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().starts_with("case 1: ") && error.to_string().contains(says), "{error}");
        }
        for text in ["", "{}", "[]", "[{}]", r#"[{"method": "DELETE", "path": "/nodes/pve1/network", "paramz": {}}]"#] {
            assert_eq!(read(text, "pve1").unwrap_err().kind(), Kind::Usage, "{text}");
        }
        let revert = r#"{"method": "DELETE", "path": "/nodes/pve1/network"}"#;
        assert!(read(&format!("[{revert}, {revert}]"), "pve1").unwrap_err().to_string().contains("twice"));
        let list = r#"{"method": "POST", "path": "/nodes/pve1/network", "params": {"slaves": ["eno1"]}}"#;
        assert!(one(list).unwrap_err().to_string().contains("neither"));
    }

    #[test]
    fn what_pvesh_would_read_otherwise_than_the_api_is_not_asked() {
        let words = |params: &[(&str, &str)]| {
            let params = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Case::change("pve1", "vmbr0", params).pvesh()
        };
        for (name, value) in [
            ("families", "inet"),
            ("gate", "192.0.2.1"),
            ("MTU", "1500"),
            ("iface", "x"),
            ("noproxy", "1"),
            ("node", "b"),
        ] {
            assert!(words(&[(name, value)]).unwrap_err().contains("no option"), "{name}");
        }
        assert!(words(&[("autostart", "yes")]).unwrap_err().contains("only 0 and 1"));
        assert!(words(&[("comments", "a\0b")]).unwrap_err().contains("NUL"));
        let kept = words(&[("comments", "--type"), ("delete", "mtu")]).unwrap();
        assert_eq!(kept[3..7], ["--comments", "--type", "--delete", "mtu"]);
    }
}
