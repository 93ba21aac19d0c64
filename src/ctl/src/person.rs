//! Who gives the command, for the journal.

/// `root`, or `root (sudo by alice)`: what the environment says, which is evidence and no proof.
pub(crate) fn name() -> String {
    let said = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty() && !v.chars().any(char::is_control));
    let user = said("USER").or_else(|| said("LOGNAME")).unwrap_or_else(|| "root".into());
    match said("SUDO_USER").filter(|by| *by != user) {
        Some(by) => format!("{user} (sudo by {by})"),
        None => user,
    }
}
