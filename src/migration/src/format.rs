//! The web interface's form of an answer, from the daemon's.
//!
//! Where `/api2/json` tells a failure by its status, `/api2/extjs` answers 200 always and says in the body
//! how it went (`PVE::APIServer::Formatter::Standard`).

use serde_json::{Map, Value, json};

/// The body that belongs to `/api2/extjs`; `None` if the daemon's body is no answer of Proxmox's form.
pub fn extjs(status: u16, body: &[u8]) -> Option<Vec<u8>> {
    let Value::Object(told) = serde_json::from_slice(body).ok()? else { return None };
    let mut out = Map::new();
    out.insert("data".to_owned(), told.get("data")?.clone());
    let errors = told.get("errors").filter(|errors| errors.as_object().is_some_and(|e| !e.is_empty()));
    let failed = status >= 400;
    if let Some(errors) = errors {
        out.insert("errors".to_owned(), errors.clone());
    }
    if failed {
        let message = told.get("message").cloned().unwrap_or_else(|| json!(""));
        out.insert("message".to_owned(), message);
        out.insert("status".to_owned(), status.into());
    }
    let success = !failed && errors.is_none();
    out.insert("success".to_owned(), u8::from(success).into());
    for key in ["total", "changes"] {
        if let Some(value) = told.get(key).filter(|_| success) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    serde_json::to_vec(&out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_proxmox_writes_it() {
        for (status, json, extjs) in [
            (200, r#"{"data":null}"#, r#"{"data":null,"success":1}"#),
            (200, r#"{"data":[],"changes":"+ x"}"#, r#"{"data":[],"success":1,"changes":"+ x"}"#),
            (
                400,
                r#"{"data":null,"message":"Parameter verification failed.","errors":{"iface":"no"}}"#,
                r#"{"data":null,"message":"Parameter verification failed.","errors":{"iface":"no"},"status":400,"success":0}"#,
            ),
            (500, r#"{"data":null,"message":"x"}"#, r#"{"data":null,"message":"x","status":500,"success":0}"#),
        ] {
            let found: Value = serde_json::from_slice(&super::extjs(status, json.as_bytes()).unwrap()).unwrap();
            assert_eq!(found, serde_json::from_str::<Value>(extjs).unwrap(), "{json}");
        }
        for bad in ["", "[]", "null", "{}", "no"] {
            assert_eq!(super::extjs(200, bad.as_bytes()), None, "{bad}");
        }
    }
}
