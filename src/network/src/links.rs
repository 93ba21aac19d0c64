//! What the kernel has: from ip(8), which Proxmox asks as well.

use std::path::Path;

use host::{Command, Error, Result, Root};
use model::proxmox::{Link, Links};
use serde_json::Value;

/// Reads it; nothing below another root, where the kernel is not that system's.
///
/// # Errors
/// ip(8) is missing, fails, or says what is no JSON.
pub fn read(root: &Root) -> Result<Links> {
    if !root.is_system() {
        return Ok(Links::default());
    }
    let command = Command::new("ip").args(["-details", "-json", "link", "show"]);
    let out = command.run()?;
    if !out.success() {
        let said = out.stderr.lines().next().unwrap_or("it gave no reason").to_owned();
        return Err(Error::new(format!("{} failed: {said}", command.line())));
    }
    parse(&out.stdout).map_err(|e| Error::new(format!("cannot read what {} says: {e}", command.line())))
}

fn parse(text: &str) -> serde_json::Result<Links> {
    let all: Vec<Value> = serde_json::from_str(text)?;
    let mut links = Links::default();
    for link in &all {
        let Some(name) = link["ifname"].as_str() else { continue };
        let strings = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let physical = link["link_type"] == "ether" && link["linkinfo"]["info_kind"].is_null();
        if strings(&link["flags"]).iter().any(|flag| flag == "UP") {
            links.active.push(name.to_owned());
        }
        links.links.insert(name.to_owned(), Link { physical, altnames: strings(&link["altnames"]) });
    }
    Ok(links)
}

/// The state of a link as sysfs(5) has it, for people: `up`, `down`, `unknown`; none if there is no such link.
pub(crate) fn operational(root: &Root, name: &str) -> Option<String> {
    if !root.is_system() || name.contains('/') {
        return None;
    }
    let text = std::fs::read_to_string(Path::new("/sys/class/net").join(name).join("operstate")).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_told_from_the_rest() {
        let links = parse(
            r#"[{"ifname":"lo","link_type":"loopback","flags":["LOOPBACK","UP"]},
                {"ifname":"eno1","link_type":"ether","flags":["UP"],"altnames":["enp1s0"]},
                {"ifname":"vmbr0","link_type":"ether","flags":[],"linkinfo":{"info_kind":"bridge"}}]"#,
        )
        .unwrap();
        let physical: Vec<&String> = links.links.iter().filter(|(_, l)| l.physical).map(|(n, _)| n).collect();
        assert_eq!(physical, ["eno1"]);
        assert_eq!(links.active, ["lo", "eno1"]);
        assert_eq!(links.links["eno1"].altnames, ["enp1s0"]);
        assert!(parse("{").is_err());
    }
}
