//! What a command came to.

use host::{Error, Result};

/// Everything that a command has to say, for [`crate::main`] to print.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Data, for stdout.
    pub out: String,
    /// What the reader should know although nothing is wrong.
    pub notes: Vec<String>,
    /// What failed or was refused.
    pub errors: Vec<Error>,
}

impl Outcome {
    /// Just data.
    pub fn data(out: String) -> Self {
        Self { out, ..Self::default() }
    }

    /// The worst of its errors' exit codes; 0 without errors.
    pub fn exit_code(&self) -> u8 {
        self.errors.iter().map(|e| e.kind().exit_code()).max().unwrap_or(0)
    }
}

impl From<Result<Outcome>> for Outcome {
    fn from(result: Result<Outcome>) -> Self {
        result.unwrap_or_else(|e| Outcome { errors: vec![e], ..Outcome::default() })
    }
}
