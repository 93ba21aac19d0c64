//! Until when the package's next version can be signed, as `canary keys` says.

use std::time::Duration;

use host::Command;
use serde::Deserialize;

/// How often it is asked.
pub(crate) const PERIOD: Duration = Duration::from_secs(6 * 3600);

/// It reads two files.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde::de::IgnoredAny>,
    until: Option<u64>,
}

/// In seconds since the epoch; NaN if nobody can say.
pub(crate) fn end() -> f64 {
    let out = Command::new("canary").args(["keys", "--output", "json"]).patience(PATIENCE).run();
    match out {
        Ok(out) if out.success() => read(out.stdout.as_bytes()),
        Ok(out) => {
            tracing::warn!("the keys' end is not known: {}", out.stderr.trim());
            f64::NAN
        }
        Err(error) => {
            tracing::warn!("the keys' end is not known: {error}");
            f64::NAN
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of the next thousand years")]
fn read(json: &[u8]) -> f64 {
    match serde_json::from_slice::<Keys>(json) {
        Ok(Keys { until: Some(at), .. }) => at as f64,
        Ok(Keys { keys, .. }) if !keys.is_empty() => f64::INFINITY,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_canary_says_is_a_number() {
        assert!(read(br#"{"schema_version":1,"keys":[],"until":null}"#).is_nan());
        assert!(read(b"").is_nan());
        assert_eq!(read(br#"{"keys":[{"expires":null}],"until":null}"#), f64::INFINITY);
        assert_eq!(read(br#"{"keys":[{}],"until":1800000000}"#), 1.8e9);
        assert_eq!(read(br#"{"keys":[{}],"until":0}"#), 0.0);
    }
}
