//! One line of `migration.log`. What it may hold is fixed here: words of ours and numbers, and nothing
//! that a caller sent, so that no ticket, token or password can come into it.

use phase::Phase;
use serde::Serialize;

/// Version of the line's format; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Who gave the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// The daemon.
    Rust,
    /// Proxmox's Perl.
    Perl,
    /// The middleware itself: a refusal, or an outcome that is not known.
    None,
}

impl Answered {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Answered::Rust => "rust",
            Answered::Perl => "perl",
            Answered::None => "none",
        }
    }
}

/// What was decided about one request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the request came: UTC, RFC 3339.
    pub time: String,
    /// The operation's id, under which the journal has a write; every request has one.
    pub operation_id: String,
    /// The method; `OTHER` for one that HTTP does not know.
    pub method: &'static str,
    /// The path with names in place of values.
    pub route: &'static str,
    /// The phase in effect.
    pub phase: Phase,
    /// Who gave the answer.
    pub backend: Answered,
    /// Whether Perl answered because Rust failed.
    pub used_fallback: bool,
    /// Why this backend: `phase`, `feature`, a cause of failure, …
    pub reason: &'static str,
    /// The answer's status; 499 if the client was gone before there was one.
    pub status: u16,
    /// From the request's head to the answer's, in milliseconds.
    pub ms: u64,
}

impl Decision {
    /// The line, with its newline.
    pub fn line(&self) -> Vec<u8> {
        // Strings, numbers and names of ours: there is nothing in it that JSON could not hold.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// A method as one of a few words.
pub fn method(name: &str) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    known.into_iter().find(|known| *known == name).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_readers_know_it() {
        let decision = Decision {
            schema_version: SCHEMA_VERSION,
            time: "2026-01-02T03:04:05.006Z".to_owned(),
            operation_id: "20260102T030405Z-7-ab".to_owned(),
            method: method("POST"),
            route: "/nodes/{node}/network",
            phase: Phase::RustBasicWrite,
            backend: Answered::Perl,
            used_fallback: true,
            reason: "refused",
            status: 200,
            ms: 12,
        };
        assert_eq!(
            String::from_utf8(decision.line()).unwrap(),
            "{\"schema_version\":1,\"time\":\"2026-01-02T03:04:05.006Z\",\"operation_id\":\"20260102T030405Z-7-ab\",\
             \"method\":\"POST\",\"route\":\"/nodes/{node}/network\",\"phase\":\"rust-basic-write\",\"backend\":\"perl\",\
             \"used_fallback\":true,\"reason\":\"refused\",\"status\":200,\"ms\":12}\n"
        );
        assert_eq!(method("BREW"), "OTHER");
    }
}
