//! docs/packaging.md from the page: a workstation (a folder here, with the toolkit as `make deb` built
//! it) and a node, each command block as it stands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rig::{Machine, Node, dist, need_root, page, roots};

/// Runs a block in `folder`; its exit code and all that it printed.
fn here(folder: &Path, script: &str) -> (Option<i32>, String) {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{script}")]).current_dir(folder);
    // Nobody's own gpg folder, and roots that are there already.
    bash.env("GNUPGHOME", folder.join("none")).env("DEBROOTS", roots::home());
    let out = bash.output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
}

fn there(node: &Node, script: &str) -> (Option<i32>, String) {
    let script = format!("exec 2>&1\ncd /root\n{script}");
    let out = node.call(["bash", "-euo", "pipefail", "-c", &script]).patience(Duration::from_secs(180)).run();
    (out.status.code(), out.stdout)
}

#[test]
fn a_package_can_be_made_from_the_page() {
    if !need_root() {
        return;
    }
    // A short path: gpg's agent makes its socket there.
    let folder = tempfile::Builder::new().prefix("p").tempdir_in("/tmp").unwrap();
    let toolkit = folder.path().join("toolkit");
    fs::create_dir(&toolkit).unwrap();
    for (from, name) in
        [(dist::debseal(), "debseal"), (dist::drill(), "debseal-drill"), (dist::hook(), "maintscript-hook")]
    {
        fs::copy(from, toolkit.join(name)).unwrap();
    }
    let node = Node::bookworm().named("a");
    let text = fs::read_to_string(dist::workspace().join("docs/packaging.md")).unwrap();
    let blocks = page::blocks(&text).unwrap_or_else(|mistake| panic!("docs/packaging.md, {mistake}"));
    assert!(blocks.len() > 10, "docs/packaging.md has hardly any commands");
    let transcript = page::Transcript::of("packaging.md");
    for block in blocks {
        let place = format!("docs/packaging.md, line {}, on {}", block.line, block.on.join(","));
        let (code, said) = match block.on[0].as_str() {
            "workstation" => here(folder.path(), &block.script),
            "node" => {
                for entry in fs::read_dir(folder.path()).unwrap().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    if name.ends_with("_amd64.deb") {
                        node.put_file(&entry.path(), &format!("/root/{name}"));
                    }
                }
                there(&node, &block.script)
            }
            _ => panic!("{place}: there is no such machine"),
        };
        transcript.add(&block, &block.on.join(","), code, &said);
        eprintln!("== {place}\n{}{said}", block.script);
        assert_eq!(code, Some(block.exit), "{place}:\n{}{said}", block.script);
        if let Some(line) = block.shown.as_deref().and_then(|shown| page::missing(shown, &said)) {
            panic!("{place}: the page shows\n{line}\nwhich did not come:\n{said}");
        }
    }
}
