//! Saying no: every refusal carries exit code 6 (`Kind::SignatureRefused`).

use host::{Error, Kind};

/// A refusal with its reason.
pub(crate) fn refused(why: impl Into<String>) -> Error {
    Error::of(Kind::SignatureRefused, why)
}
