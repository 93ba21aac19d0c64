use super::*;
use crate::manifest::tests::sample;
use crate::testing::{cert, keyring, now, sign};
use sequoia_openpgp::Cert;
use std::sync::LazyLock;

static ALICE: LazyLock<Cert> = LazyLock::new(|| cert("Alice"));
const CONTROL: &[u8] = b"Package: demo\nVersion: 1.0-1\nArchitecture: amd64\n";

/// A folder like dpkg's `tmp.ci`.
struct Folder {
    dir: tempfile::TempDir,
    naming: Naming,
}

impl Folder {
    fn new(naming: Naming) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap(), naming };
        let mut manifest = sample();
        manifest.control = vec![ControlFile::of("control", 0o644, CONTROL), ControlFile::of("preinst", 0o755, b"ELF")];
        let bytes = manifest.to_bytes().unwrap();
        if folder.naming == Naming::Plain {
            folder.put("control", CONTROL);
        }
        folder.put("preinst", b"ELF");
        folder.put("manifest-sig", &sign(&ALICE, &bytes));
        folder.put("manifest", &bytes);
        folder
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.naming.path(self.dir.path(), name)
    }

    fn judge(&self, package: &str, version: Option<&str>) -> Result<VerifiedControl> {
        let keys = keyring(&[&ALICE]);
        verify_unpacked_control(self.dir.path(), &self.naming, &keys, package, version, now())
    }

    #[track_caller]
    fn refused_for(&self, why: &str) {
        let said = self.judge("demo", Some("1.0-1")).expect_err(why);
        assert!(said.to_string().contains(why), "'{said}' does not say '{why}'");
        assert_eq!(said.kind().exit_code(), 6);
    }
}

fn plain() -> Folder {
    Folder::new(Naming::Plain)
}

#[test]
fn a_genuine_successor() {
    let verified = plain().judge("demo", Some("1.0-1")).unwrap();
    assert_eq!(verified.manifest.version, "1.0-1");
    assert_eq!(verified.good.signer, "Alice");
    plain().judge("demo", None).unwrap();
}

#[test]
fn what_is_refused() {
    let change = |what: &dyn Fn(&Folder)| {
        let folder = plain();
        what(&folder);
        folder
    };
    change(&|f| f.put("preinst", b"ELf")).refused_for("preinst was altered");
    change(&|f| f.put("control", b"Package: x\n")).refused_for("control was altered");
    change(&|f| f.put("postinst", b"")).refused_for("postinst is not in the manifest");
    change(&|f| f.put("x.y", b"")).refused_for("x.y is not in the manifest");
    change(&|f| fs::remove_file(f.path("preinst")).unwrap()).refused_for("preinst is in the manifest but");
    change(&|f| fs::remove_file(f.path("manifest")).unwrap()).refused_for("not sealed");
    change(&|f| fs::remove_file(f.path("manifest-sig")).unwrap()).refused_for("not signed");
    change(&|f| f.put("manifest", b"{}")).refused_for("manifest-sig: what was signed was altered");
    change(&|f| fs::create_dir(f.path("d")).unwrap()).refused_for("d is not a plain file");
    change(&|f| {
        fs::remove_file(f.path("preinst")).unwrap();
        std::os::unix::fs::symlink("/bin/true", f.path("preinst")).unwrap();
    })
    .refused_for("preinst is not a plain file");
    change(&|f| {
        let bytes = fs::read(f.path("manifest")).unwrap();
        f.put("manifest-sig", &sign(&cert("Mallory"), &bytes));
    })
    .refused_for("which is not trusted");

    let said = plain().judge("other", None).unwrap_err().to_string();
    assert!(said.contains("belongs to package demo, not to other"), "{said}");
    let said = plain().judge("demo", Some("2")).unwrap_err().to_string();
    assert!(said.contains("belongs to version 1.0-1, not to 2"), "{said}");
}

/// Large files of one content are compared instead of hashed again: an altered one still shows.
#[test]
fn one_of_the_four_scripts_is_altered() {
    let script: Vec<u8> = (0..TWIN as usize * 3 + 7).map(|i| (i % 251) as u8).collect();
    let names = ["preinst", "postinst", "prerm", "postrm"];
    let folder = Folder::new(Naming::Plain);
    let mut manifest = sample();
    manifest.control = names.iter().map(|name| ControlFile::of(name, 0o755, &script)).collect();
    manifest.control.push(ControlFile::of("control", 0o644, CONTROL));
    manifest.control.sort_by(|a, b| a.name.cmp(&b.name));
    let bytes = manifest.to_bytes().unwrap();
    folder.put("manifest", &bytes);
    folder.put("manifest-sig", &sign(&ALICE, &bytes));
    let whole = || names.iter().for_each(|name| folder.put(name, &script));
    whole();
    folder.judge("demo", None).unwrap();
    for name in names {
        for place in [0, TWIN as usize, script.len() - 1] {
            let mut altered = script.clone();
            altered[place] ^= 1;
            folder.put(name, &altered);
            folder.refused_for(&format!("{name} was altered"));
        }
        folder.put(name, &script[1..]);
        folder.refused_for(&format!("{name} was altered"));
        whole();
    }
    let mut other = script.clone();
    other[1] ^= 1;
    names.iter().for_each(|name| folder.put(name, &other));
    folder.refused_for("was altered");
}

#[test]
fn an_installed_package_among_others() {
    let folder = Folder::new(Naming::Info("demo".into()));
    for stranger in ["demo.list", "demo.md5sums", "demo.extra.preinst", "demo2.preinst", "other.postinst"] {
        fs::write(folder.dir.path().join(stranger), b"x").unwrap();
    }
    folder.judge("demo", None).unwrap();
    assert_eq!(Naming::of_installed(folder.dir.path(), "demo").unwrap(), Some(folder.naming.clone()));
    assert_eq!(Naming::of_installed(folder.dir.path(), "dem").unwrap(), None);
    folder.put("postrm", b"added later");
    folder.refused_for("postrm is not in the manifest");

    let folder = Folder::new(Naming::Info("demo:amd64".into()));
    folder.judge("demo", None).unwrap();
    assert_eq!(Naming::of_installed(folder.dir.path(), "demo").unwrap(), Some(folder.naming.clone()));
}

#[test]
fn the_digest_that_an_override_names() {
    let (a, b) = (plain(), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(a.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, b.path().join(path.file_name().unwrap())).unwrap();
    }
    let digest = digest_of_control_dir(a.dir.path()).unwrap();
    assert_eq!(digest, digest_of_control_dir(b.path()).unwrap());
    let by_hand = std::process::Command::new("sh")
        .args(["-c", "export LC_ALL=C; sha256sum * | sha256sum"])
        .current_dir(a.dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(by_hand.stdout).unwrap(), format!("{digest}  -\n"));
    a.put("preinst", b"ELf");
    assert_ne!(digest, digest_of_control_dir(a.dir.path()).unwrap());
}
