use super::*;
use crate::manifest::ControlFile;
use crate::manifest::tests::sample;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A root with an installed package of one folder each kind.
struct Node {
    dir: tempfile::TempDir,
}

const ADMIN: &str = "/var/lib/dpkg";

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        let meta = fs::metadata(node.dir.path()).unwrap();
        let entry = |path: &str, kind, mode| Entry {
            path: path.into(),
            kind,
            mode,
            owner: meta.uid(),
            group: meta.gid(),
            size: None,
            sha256: None,
            target: None,
        };
        let mut manifest = sample();
        manifest.control = vec![
            ControlFile::of("control", 0o644, b"gone after unpacking"),
            ControlFile::of("preinst", 0o755, b"ELF"),
            ControlFile::of("conffiles", 0o644, b"/etc/demo.conf\n"),
        ];
        manifest.payload = Vec::new();
        let folders = ["/", "/etc", "/usr", "/usr/bin", "/usr/share", "/usr/share/doc", "/usr/share/doc/demo"];
        for folder in folders {
            manifest.payload.push(entry(folder, Kind::Dir, 0o755));
        }
        for (path, bytes) in [
            ("/usr/bin/demo", &b"program"[..]),
            ("/etc/demo.conf", b"x = 1\n"),
            ("/usr/share/doc/demo/copyright", b"free"),
        ] {
            manifest.payload.push(Entry {
                size: Some(bytes.len() as u64),
                sha256: Some(hex::sha256(bytes)),
                ..entry(path, Kind::File, 0o644)
            });
            node.put(path, bytes);
        }
        manifest.payload.push(Entry { target: Some("demo".into()), ..entry("/usr/bin/link", Kind::Link, 0o777) });
        symlink("demo", node.at("/usr/bin/link")).unwrap();
        let info = |name: &str| format!("{ADMIN}/info/demo.{name}");
        node.put(&info("manifest"), &manifest.to_bytes().unwrap());
        node.put(&info("preinst"), b"ELF");
        node.put(&info("conffiles"), b"/etc/demo.conf\n");
        let list: String = manifest.payload.iter().map(|e| format!("{}\n", e.path)).collect();
        node.put(&info("list"), list.replace("/\n/etc", "/.\n/etc").as_bytes());
        node
    }

    fn at(&self, path: &str) -> PathBuf {
        Root::at(self.dir.path()).path(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), bytes).unwrap();
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.at(path)).unwrap();
        self
    }

    fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn check(&self) -> Vec<String> {
        self.check_with(Options::default())
    }

    fn check_with(&self, options: Options) -> Vec<String> {
        let root = Root::at(self.dir.path());
        let found = check_installed(&root, &self.at(ADMIN), "demo", options).unwrap();
        let line = |f: Finding| format!("{:?} {} {}", f.severity, f.path, f.what);
        found.into_iter().map(line).collect()
    }
}

/// A change on the node is all that is wanted of the chain.
fn noted(_: &Node) {}

#[test]
fn as_unpacked() {
    assert_eq!(Node::new().check(), [""; 0]);
    let error = check_installed(&Root::at("/nowhere"), Path::new(ADMIN), "no-such-package", Options::default());
    assert!(error.is_err());
}

#[test]
fn damage_is_an_error() {
    let is = |change: &dyn Fn(&Node), expected: &str| {
        let node = Node::new();
        change(&node);
        assert_eq!(node.check(), [expected]);
    };
    is(&|n| noted(n.remove("/usr/bin/demo")), "Error /usr/bin/demo is missing");
    is(&|n| noted(n.put("/usr/bin/demo", b"Program")), "Error /usr/bin/demo is altered");
    is(&|n| noted(n.put("/usr/bin/demo", b"longer program")), "Error /usr/bin/demo is altered");
    is(&|n| noted(n.mode("/usr/bin/demo", 0o4644)), "Error /usr/bin/demo has mode 4644 instead of 0644");
    is(
        &|n| symlink("elsewhere", n.remove("/usr/bin/link").at("/usr/bin/link")).unwrap(),
        "Error /usr/bin/link points to elsewhere instead of demo",
    );
    is(&|n| noted(n.remove("/usr/bin/link").put("/usr/bin/link", b"")), "Error /usr/bin/link is not a symbolic link");
    is(
        &|n| fs::create_dir(n.remove("/usr/bin/demo").at("/usr/bin/demo")).unwrap(),
        "Error /usr/bin/demo is not a regular file",
    );
    // A link in place of a file may lead anywhere tomorrow.
    is(
        &|n| {
            fs::rename(n.at("/usr/bin/demo"), n.at("/usr/bin/real")).unwrap();
            symlink("real", n.at("/usr/bin/demo")).unwrap();
        },
        "Error /usr/bin/demo is not a regular file",
    );
}

#[test]
fn altered_control_files_are_errors() {
    let node = Node::new();
    node.put("/var/lib/dpkg/info/demo.preinst", b"ELf").remove("/var/lib/dpkg/info/demo.conffiles");
    let found = node.check();
    assert!(found.iter().any(|f| f.ends_with("demo.preinst is altered")), "{found:?}");
    assert!(found.iter().any(|f| f.ends_with("demo.conffiles is missing")), "{found:?}");
}

#[test]
fn ordinary_machines_are_no_damage() {
    let quiet = |change: &dyn Fn(&Node)| {
        let node = Node::new();
        change(&node);
        assert_eq!(node.check(), [""; 0]);
    };
    // An edited conffile, in content and mode.
    quiet(&|n| noted(n.put("/etc/demo.conf", b"x = 2\n").mode("/etc/demo.conf", 0o600)));
    // A folder of another mode, and one that became a link (merged /usr).
    quiet(&|n| noted(n.mode("/usr/share/doc", 0o700).mode("/usr/share/doc", 0o750)));
    quiet(&|n| {
        fs::rename(n.at("/usr/bin"), n.at("/bin")).unwrap();
        symlink("/bin", n.at("/usr/bin")).unwrap();
    });
    // Excluded, and excluded but here.
    quiet(&|n| {
        n.put("/etc/dpkg/dpkg.cfg.d/docs", b"path-exclude=/usr/share/doc/*\n");
        n.remove("/usr/share/doc/demo/copyright");
        fs::remove_dir(n.at("/usr/share/doc/demo")).unwrap();
    });
    quiet(&|n| noted(n.put("/etc/dpkg/dpkg.cfg", b"path-exclude=/usr/bin/*\n").remove("/usr/bin/demo")));
    // Diverted by the admin.
    quiet(&|n| {
        fs::rename(n.at("/usr/bin/demo"), n.at("/usr/bin/demo.real")).unwrap();
        n.put("/var/lib/dpkg/diversions", b"/usr/bin/demo\n/usr/bin/demo.real\n:\n");
        n.put("/usr/bin/demo", b"the admin's wrapper");
    });
    // A diversion by this very package does not move its own file.
    quiet(&|n| noted(n.put("/var/lib/dpkg/diversions", b"/usr/bin/demo\n/usr/bin/x\ndemo\n")));
    // statoverride, by name and by number.
    quiet(&|n| {
        let meta = fs::metadata(n.dir.path()).unwrap();
        let (uid, gid) = (meta.uid(), meta.gid());
        n.put("/etc/passwd", format!("me:x:{uid}:{gid}::/:\n").as_bytes());
        n.put("/var/lib/dpkg/statoverride", format!("me #{gid} 4710 /usr/bin/demo\n").as_bytes());
        n.mode("/usr/bin/demo", 0o4710);
    });
}

#[test]
fn what_is_said_of_less_ordinary_ones() {
    let node = Node::new();
    node.remove("/usr/share/doc/demo/copyright").remove("/etc/demo.conf");
    assert_eq!(node.check(), ["Warning /etc/demo.conf is missing", "Warning /usr/share/doc/demo/copyright is missing"]);

    let node = Node::new();
    node.put("/var/lib/dpkg/diversions", b"/usr/bin/demo\n/usr/bin/demo.real\n:\n");
    assert_eq!(node.check(), ["Error /usr/bin/demo is missing (diverted to /usr/bin/demo.real)"]);

    let node = Node::new();
    node.put("/var/lib/dpkg/statoverride", b"#0 #0 0600 /usr/bin/demo\n");
    assert_eq!(node.check(), ["Error /usr/bin/demo has mode 0644 instead of 0600"]);

    // Another package took a file over by Replaces: dpkg struck it from our list.
    let node = Node::new();
    let list = fs::read_to_string(node.at("/var/lib/dpkg/info/demo.list")).unwrap();
    node.put("/var/lib/dpkg/info/demo.list", list.replace("/usr/bin/demo\n", "").as_bytes());
    node.put("/usr/bin/demo", b"theirs");
    let found = node.check();
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("Warning /usr/bin/demo dpkg's list"), "{found:?}");
}

#[test]
fn owners_are_compared_unless_they_are_foreign() {
    let node = Node::new();
    let file = "/var/lib/dpkg/info/demo.manifest";
    let mut manifest = Manifest::parse(&fs::read(node.at(file)).unwrap()).unwrap();
    for entry in &mut manifest.payload {
        entry.owner += 1;
    }
    node.put(file, &manifest.to_bytes().unwrap());
    assert!(node.check().iter().any(|f| f.contains("/usr/bin/demo belongs to")));
    assert_eq!(node.check_with(Options { foreign_owners: true }), [""; 0]);
}

#[test]
fn twenty_megabytes_are_quick() {
    let node = Node::new();
    let big = vec![7; 20 << 20];
    node.put("/usr/bin/big", &big);
    let started = std::time::Instant::now();
    let measured = measure(&node.at("/usr/bin/big")).unwrap();
    eprintln!("20 MiB hashed in {:?}", started.elapsed());
    assert_eq!(measured.0, 20 << 20);
    // Debug builds on a loaded machine included; released, it is 30 ms.
    assert!(started.elapsed().as_secs() < 5);
}
