//! `debseal verify --installed`, on what real dpkg unpacks (chrootless, so no root is needed).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::{Desk, Said, run};

/// A root in which dpkg works.
struct Node<'a> {
    desk: &'a Desk,
    root: PathBuf,
}

impl<'a> Node<'a> {
    fn new(desk: &'a Desk) -> Self {
        let node = Self { desk, root: desk.at("root") };
        fs::create_dir_all(node.at("var/lib/dpkg/updates")).unwrap();
        fs::create_dir_all(node.at("var/lib/dpkg/info")).unwrap();
        fs::write(node.at("var/lib/dpkg/status"), "").unwrap();
        node
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn dpkg(&self, more: &[&str], file: &Path) {
        let forced = ["--force-script-chrootless", "--force-not-root", "--log=/dev/null"];
        run(Command::new("dpkg").arg("--root").arg(&self.root).args(forced).args(more).arg("-i").arg(file));
    }

    fn verify(&self) -> Said {
        let root = self.root.as_os_str();
        let key = self.desk.certificate("alice");
        let args = ["verify".as_ref(), "--key".as_ref(), key.as_os_str(), "--root".as_ref(), root];
        self.desk.debseal(args.into_iter().chain(["--installed".as_ref(), "demo".as_ref()]))
    }
}

#[test]
fn what_dpkg_unpacked_is_good_until_it_is_altered() {
    let desk = Desk::new();
    let node = Node::new(&desk);
    node.verify().refused("demo is not installed");
    node.dpkg(&[], &desk.signed("alice"));
    let said = node.verify().fine();
    assert!(said.out.starts_with("installed and good: demo 1.0-1"), "{}", said.out);

    // An edited conffile and a missing document are an admin's business.
    fs::write(node.at("etc/demo.conf"), "x = 2\n").unwrap();
    fs::remove_file(node.at("usr/share/doc/demo/copyright")).unwrap();
    let said = node.verify();
    assert_eq!(said.code, 0);
    assert!(said.out.contains("warning: /usr/share/doc/demo/copyright is missing"), "{}", said.out);

    fs::write(node.at("usr/share/doc/demo/naïve name"), "altered").unwrap();
    let said = node.verify().refused("1 of the files of demo are not as its manifest says");
    assert!(said.out.contains("error: /usr/share/doc/demo/naïve name is altered"), "{}", said.out);
    fs::write(node.at("var/lib/dpkg/info/demo.postrm"), "#!/bin/sh\n").unwrap();
    node.verify().refused("control file postrm was altered");
}

#[test]
fn excluded_and_diverted_files_are_ordinary() {
    let desk = Desk::new();
    let node = Node::new(&desk);
    fs::create_dir_all(node.at("etc/dpkg/dpkg.cfg.d")).unwrap();
    fs::write(
        node.at("etc/dpkg/dpkg.cfg.d/docs"),
        "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/link\n",
    )
    .unwrap();
    // dpkg reads the configuration of the machine it runs on, not of --root.
    let filters = ["--path-exclude=/usr/share/doc/*", "--path-include=/usr/share/doc/*/link"];
    node.dpkg(&filters, &desk.signed("alice"));
    assert!(!node.at("usr/share/doc/demo/copyright").exists());
    let said = node.verify().fine();
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    fs::remove_file(node.at("usr/share/doc/demo/link")).unwrap();
    assert!(node.verify().out.contains("warning: /usr/share/doc/demo/link is missing"));

    let node = Node { root: desk.at("second"), ..Node::new(&desk) };
    fs::create_dir_all(node.at("var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(node.at("var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(node.at("usr/share/doc/demo")).unwrap();
    fs::write(node.at("var/lib/dpkg/status"), "").unwrap();
    fs::write(node.at("var/lib/dpkg/diversions"), "/usr/share/doc/demo/naïve name\n/usr/share/doc/demo/moved\n:\n")
        .unwrap();
    node.dpkg(&[], &desk.at("signed-by-alice.deb"));
    assert!(node.at("usr/share/doc/demo/moved").exists());
    node.verify().fine();
}

#[test]
fn unsigned_or_signed_by_others() {
    let desk = Desk::new();
    let node = Node::new(&desk);
    node.dpkg(&[], &desk.seal(&desk.package("1.0-1"), "unsigned.deb"));
    node.verify().refused("not signed: it has no manifest-sig");
    node.dpkg(&[], &desk.signed("mallory"));
    node.verify().refused("which is not trusted");
}
