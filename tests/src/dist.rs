//! What the build left for whole-system tests to try.

use std::path::{Path, PathBuf};

use crate::Deb;

/// The repository's top folder.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => workspace().join(dir),
        _ => workspace().join("target"),
    }
}

/// The package that `make deb` built: sealed, not signed unless it was told a key.
pub fn package() -> Deb {
    package_of("pve-network-rs")
}

/// The package `debseal` that `make deb` built.
pub fn debseal_package() -> Deb {
    package_of("debseal")
}

fn package_of(name: &str) -> Deb {
    let dist = workspace().join("dist");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&dist)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .filter(|path| path.file_name().is_some_and(|f| f.to_string_lossy().starts_with(&format!("{name}_"))))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(deb), true) => Deb::at(deb),
        (None, _) => panic!("no package {name} in {}: run make deb", dist.display()),
        (Some(_), false) => panic!("more than one {name} in {}: which one is to be tested?", dist.display()),
    }
}

/// The same before it was sealed: to seal it otherwise.
pub fn payload() -> Deb {
    Deb::at(built(target_dir().join("payload.deb")))
}

/// The `debseal` program that `make deb` built.
pub fn debseal() -> PathBuf {
    built(workspace().join("dist/debseal"))
}

/// The fault drill that `make deb` built.
pub fn drill() -> PathBuf {
    built(workspace().join("dist/debseal-drill"))
}

/// The maintainer script that `make deb` built, without a policy in it.
pub fn hook() -> PathBuf {
    built(target_dir().join("x86_64-unknown-linux-gnu/hook/maintscript-hook"))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "no {}: run make deb", path.display());
    path
}
