//! What a request asks for: a path, a method and parameters, as Proxmox reads them. Pure.

use axum::http::Uri;
use network::Node;
use network::answer::Served;
use network::api::{Params, Request};
use network::serve::serve;
use percent_encoding::percent_decode_str;

/// A request that can be answered, whether by yes or by no.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    method: String,
    what: What,
    params: Params,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// `/nodes/{node}/network` and below.
    Network { node: String, iface: Option<String> },
    /// `/cluster/sdn` and below; everything else.
    Other(String),
}

impl Asked {
    /// Reads it.
    ///
    /// # Errors
    /// What is no text, no path or no parameter: in one line, for the caller.
    pub(super) fn of(method: &str, uri: &Uri, kind: Option<&str>, body: &[u8]) -> Result<Self, String> {
        let path = uri.path().strip_prefix("/api2/json").unwrap_or_default();
        let mut segments = Vec::new();
        for segment in path.split('/').skip(1) {
            let segment = percent_decode_str(segment).decode_utf8().map_err(|_| "the path is not UTF-8".to_owned())?;
            if segment.is_empty() || segment == "." || segment == ".." || segment.contains(['/', '\0']) {
                return Err("the path has an empty, '.' or '..' part, or a '/' within one".to_owned());
            }
            segments.push(segment.into_owned());
        }
        let params = parameters(uri.query(), kind, body)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let what = match segments.as_slice() {
            ["nodes", node, "network"] => What::Network { node: (*node).to_owned(), iface: None },
            ["nodes", node, "network", iface] => {
                What::Network { node: (*node).to_owned(), iface: Some((*iface).to_owned()) }
            }
            other => What::Other(format!("/{}", other.join("/"))),
        };
        Ok(Self { method: method.to_owned(), what, params })
    }

    pub(super) fn is_read(&self) -> bool {
        self.method == "GET"
    }

    pub(super) fn is_write(&self) -> bool {
        !self.is_read()
    }

    /// Answers it. May block.
    pub(super) fn answer(&self, node: &Node, operation: &str) -> Served {
        match &self.what {
            What::Network { node: name, iface } => {
                let params = self.params.clone();
                let request = Request { method: &self.method, node: name, iface: iface.as_deref(), params };
                serve(node, &request, operation)
            }
            What::Other(path) => Served::not_handled(path),
        }
    }
}

/// From the query, then from the body: a form, or a JSON object of plain values.
fn parameters(query: Option<&str>, kind: Option<&str>, body: &[u8]) -> Result<Params, String> {
    let mut params: Params = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    if body.is_empty() {
        return Ok(params);
    }
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("application/x-www-form-urlencoded") => {
            form_urlencoded::parse(body).into_owned().for_each(|(name, value)| params.add(name, value));
        }
        Some("application/json") => {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(body).map_err(|e| format!("the body is no JSON object: {e}"))?;
            for (name, value) in object {
                match value {
                    serde_json::Value::String(text) => params.add(name, text),
                    serde_json::Value::Number(number) => params.add(name, number.to_string()),
                    serde_json::Value::Bool(yes) => params.add(name, if yes { "1" } else { "0" }),
                    _ => return Err(format!("the value of {name} is neither text nor number")),
                }
            }
        }
        _ => return Err("the body's Content-Type is neither application/x-www-form-urlencoded nor JSON".to_owned()),
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str, kind: Option<&str>, body: &str) -> Result<Asked, String> {
        Asked::of(method, &uri.parse().unwrap(), kind, body.as_bytes())
    }

    fn network(uri: &str) -> Result<(String, Option<String>), String> {
        match of("GET", uri, None, "")?.what {
            What::Network { node, iface } => Ok((node, iface)),
            What::Other(path) => Err(path),
        }
    }

    #[test]
    fn which_paths_are_the_network_s() {
        let whole = |iface: Option<&str>| Ok(("pve1".to_owned(), iface.map(str::to_owned)));
        assert_eq!(network("/api2/json/nodes/pve1/network"), whole(None));
        assert_eq!(network("/api2/json/nodes/pve1/network/vmbr0%3A1"), whole(Some("vmbr0:1")));
        assert_eq!(network("/api2/json/cluster/sdn/zones"), Err("/cluster/sdn/zones".to_owned()));
        for tricked in [
            "/api2/json/nodes/pve1//network",
            "/api2/json/nodes/pve1/network/",
            "/api2/json/nodes/%2e%2e/network",
            "/api2/json/nodes/pve1/network/..",
            "/api2/json/nodes/pve1/network/a%2fb",
            "/api2/json/nodes/pve1/network/%00",
        ] {
            assert!(network(tricked).unwrap_err().contains("part"), "{tricked}");
        }
        assert!(network("/api2/json/nodes/%ff/network").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn parameters_come_from_the_query_and_the_body() {
        let form = Some("application/x-www-form-urlencoded");
        let params = |query, kind, body: &str| parameters(query, kind, body.as_bytes());
        let found = params(Some("a=1&b=x%20y"), form, "c=%2F&d=+").unwrap();
        let expected = [("a", "1"), ("b", "x y"), ("c", "/"), ("d", " ")];
        assert_eq!(found, expected.into_iter().collect());
        assert_eq!(params(Some("a=1"), form, "a=2").unwrap().repeated, ["a"]);
        let json = params(None, Some("application/json; charset=utf-8"), r#"{"mtu":9000,"autostart":true}"#).unwrap();
        assert_eq!(json, [("mtu", "9000"), ("autostart", "1")].into_iter().collect());
        for (kind, body) in [
            (Some("application/json"), "[]"),
            (Some("application/json"), r#"{"a":[1]}"#),
            (Some("text/plain"), "a=1"),
            (None, "a=1"),
        ] {
            assert!(params(None, kind, body).is_err(), "{kind:?} {body}");
        }
    }
}
