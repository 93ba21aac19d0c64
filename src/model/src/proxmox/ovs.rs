//! `ovs_options`: words of the form KEY=VALUE, some of which Proxmox shows as settings of their own.

use super::interface::Interface;
use super::read::words;

fn parse(text: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (key, value) in words(text).filter_map(|word| word.split_once('=')) {
        if matches!(key, "" | "0") {
            continue;
        }
        match out.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => value.clone_into(old),
            None => out.push((key.to_owned(), value.to_owned())),
        }
    }
    out
}

fn store(interface: &mut Interface, options: &[(String, String)]) {
    let text = options.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        interface.settings.remove("ovs_options");
    } else {
        interface.set("ovs_options", text);
    }
}

/// Takes an option out. Words that are no options are dropped, as Proxmox does.
pub(super) fn take(interface: &mut Interface, name: &str) -> Option<String> {
    let mut options = parse(interface.text("ovs_options").unwrap_or_default());
    let at = options.iter().position(|(k, _)| k == name);
    let taken = at.map(|at| options.remove(at).1);
    store(interface, &options);
    taken
}

/// Sets an option, or drops it where there is nothing to say.
pub(super) fn put(interface: &mut Interface, name: &str, value: Option<&str>) {
    let mut options = parse(interface.text("ovs_options").unwrap_or_default());
    let at = options.iter().position(|(k, _)| k == name);
    match (at, value.filter(|v| !v.is_empty() && *v != "0")) {
        (Some(at), Some(value)) => value.clone_into(&mut options[at].1),
        (None, Some(value)) => options.push((name.to_owned(), value.to_owned())),
        (Some(at), None) => {
            options.remove(at);
        }
        (None, None) => {}
    }
    store(interface, &options);
}
