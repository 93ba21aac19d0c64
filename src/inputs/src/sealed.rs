//! What a package says of itself: files of its control archive, and what its scripts carry.

use std::path::Path;
use std::time::{Duration, SystemTime};

use host::Root;
use maintscript::Policy;
use seal::control::{Control, is_package_name};
use seal::manifest::Manifest;
use seal::openpgp::{self, Keyring};
use seal::trailer;

/// The `control` file.
pub fn control(bytes: &[u8]) {
    let Ok(control) = Control::parse(bytes) else { return };
    let written: String = control.fields().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert_eq!(Control::parse(written.as_bytes()).expect("what is written is read"), control);
    assert!(is_package_name(control.package()), "{:?}", control.package());
}

/// The manifest.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let written = manifest.to_bytes().expect("it was read, so it can be written");
    assert_eq!(Manifest::parse(&written).expect("what is written is read"), manifest);
    let root = Root::at("/r");
    for entry in &manifest.payload {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        assert_eq!(root.path(&path), Path::new("/r").join(path.trim_start_matches('/')), "it never climbs");
    }
}

/// `hooks.toml`.
pub fn hooks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(error) => return assert!(!error.to_string().contains('\n'), "one line: {error}"),
    };
    // Folders are made of it, below /etc/default and /var/backups.
    assert!(is_package_name(&policy.package), "{:?}", policy.package);
    let inside = |path: &Path, folder: &str| {
        let plain = path.starts_with(folder) && Root::at("/").path(path) == path;
        assert!(plain && !has_control(&path.to_string_lossy()), "{path:?} lies below {folder}");
    };
    inside(&policy.state, "/var/lib");
    policy.log.iter().for_each(|log| inside(log, "/var/log"));
    policy.phase.iter().for_each(|phase| inside(&phase.file, "/etc"));
    for item in policy.items() {
        assert!(Path::new(&item.path).is_absolute() && !item.path.split('/').any(|p| p == ".."), "{item:?}");
        assert!(!has_control(&item.path) && !has_control(&item.name), "{item:?}: messages are one line");
        assert!(Path::new(&item.name).is_relative() && !item.name.split('/').any(|p| p == ".."), "{item:?}");
        assert!(item.pattern().is_some() || item.covers(Path::new(&item.path)), "{item:?} covers itself");
        let back = item.path_of(&Path::new(&item.name).join("x.cfg"));
        assert!(back.is_none_or(|path| item.covers(&path)), "{item:?} finds what it covers");
    }
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}

/// What stands behind a script's ELF.
pub fn trailer(bytes: &[u8]) {
    let Ok(Some(found)) = trailer::parse(bytes) else { return };
    let program = trailer::strip(bytes).expect("it was read");
    assert_eq!(trailer::append(program, &found.policy, &found.keyring), bytes);
}

/// Certificates and signatures.
pub fn keys(bytes: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    let keyring = Keyring::parse(bytes).unwrap_or_default();
    let _ = openpgp::describe(bytes);
    assert!(keyring.verify_detached(bytes, &mut &b"content"[..], now).is_err(), "no such signature was made");
}
