//! What the daemon is answered, and what that says of the files.

use serde_json::{Value as Json, json};

use crate::api::Refusal;

/// What an answer says of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// Proven: they are as they were. Perl may be asked instead.
    Nothing,
    /// They are as they were, and this is the answer: Proxmox's own refusal, in Proxmox's words, or one for a hole of
    /// Proxmox's.
    Refused,
    /// What was asked for is in them, durably.
    Done,
    /// Nobody can tell from this answer; [`fate`](crate::fate::fate) may.
    Unknown,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The HTTP status.
    pub status: u16,
    /// Proxmox's body.
    pub body: Json,
    /// What it says of the files.
    pub touched: Touched,
}

impl Served {
    pub(crate) fn nothing(status: u16, body: Json) -> Self {
        Self { status, body, touched: Touched::Nothing }
    }

    /// Rust does not answer this; nothing was touched.
    pub fn not_handled(why: impl std::fmt::Display) -> Self {
        Self::nothing(501, json!({"data": null, "message": format!("not handled by Rust: {why}\n")}))
    }

    /// Rust can't or may not answer this now; nothing was touched.
    pub fn not_now(why: impl std::fmt::Display) -> Self {
        Self::nothing(503, json!({"data": null, "message": format!("{why}\n")}))
    }
}

impl From<Refusal> for Served {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, body: refusal.body(), touched: Touched::Refused }
    }
}
