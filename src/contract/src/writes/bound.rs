//! Programs that end when we do, however we end: nothing is left running in a scratch that nobody looks at.

/// Starts what follows with a signal for our death. That may have come before the signal was set: then another is its parent.
const PARENT: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;

/// The words in front of a program's own. The parent that counts is the thread that starts it.
pub(crate) fn bound() -> Vec<String> {
    let us = std::process::id().to_string();
    ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", PARENT, &us].map(str::to_owned).to_vec()
}
