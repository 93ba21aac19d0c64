//! `make bench`: whole processes side by side, interleaved in one run, medians of 15. Prints a table
//! and writes `dist/bench.json`. It measures and never judges. With arguments only those parts:
//! `packages`, `booted`, `snapshots`, `operators`, `model`, `network`, `gate`, `service`.

mod service;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use model::proxmox::{Flavour, Links};
use rig::ours::{like_a_pve_node, sealing};
use rig::{Deb, DebBuilder, Keyring, Machine, Node, Suite, bash, dist, need_root};

const ROUNDS: usize = 15;
const BOOTED_ROUNDS: usize = 5;

/// Milliseconds by what was done and by whom.
type Times = BTreeMap<(String, &'static str), Vec<f64>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == service::CLIENTS_OF_LOAD
    {
        return service::clients(rest);
    }
    if !need_root() {
        eprintln!("the bench installs packages in throw-away roots and needs root");
        std::process::exit(1);
    }
    let key = Keyring::new("Bench <bench@example.invalid>");
    // Made only for who asks: packing them takes longer than most parts.
    let variants = LazyCell::new(|| variants(&key));
    let mut found = Found::default();
    let wants = |part: &str| arguments.is_empty() || arguments.iter().any(|a| a == part);
    // What was measured is kept after each part: a later one may fail after many minutes.
    if wants("packages") {
        packages(&variants, ROUNDS, false, &mut found.times);
        found.resident = resident(&variants);
        found.write();
    }
    if wants("booted") {
        packages(&variants, BOOTED_ROUNDS, true, &mut found.times);
        found.write();
    }
    if wants("snapshots") {
        snapshots(&mut found.times);
        found.write();
    }
    if wants("operators") {
        operators(&mut found.times);
        found.write();
    }
    if wants("model") {
        read_and_write(&mut found.times);
        found.write();
    }
    if wants("network") {
        network(&mut found.times);
        found.write();
    }
    if wants("gate") {
        gate(&key, &mut found.times);
        judge_installed(&key, &mut found.times);
        judge_files(&key, &mut found.times);
        found.write();
    }
    if wants("service") {
        found.services = service::run();
        found.write();
    }
    let (lines, _) = found.report();
    println!("{}\nwritten to dist/bench.json", lines.join("\n"));
}

/// What was measured so far.
#[derive(Default)]
struct Found {
    times: Times,
    /// KiB by the script's call.
    resident: Vec<(String, u64)>,
    services: Vec<serde_json::Value>,
}

struct Variant {
    name: &'static str,
    first: Deb,
    second: Deb,
}

fn variants(key: &Keyring) -> Vec<Variant> {
    let (one, two) = (dist::payload(), dist::payload().as_version("0.2.0-1"));
    let same = |deb: &Deb| deb.altered_at("-z6", |_| Ok(()));
    let idle = |deb: &Deb| deb.altered_at("-z6", idle_scripts);
    vec![
        Variant { name: "no scripts", first: same(&one), second: same(&two) },
        Variant { name: "idle scripts", first: idle(&one), second: idle(&two) },
        Variant {
            name: "ours",
            first: sealing().as_shipped().signed(key).build(),
            second: sealing().as_shipped().version("0.2.0-1").signed(key).build(),
        },
        Variant { name: "bash", first: bash::package(&one, key), second: bash::package(&two, key) },
    ]
}

/// Four scripts of the size of ours that do nothing: what it costs to carry them, which no code of
/// ours can lower.
fn idle_scripts(tree: &Path) -> std::io::Result<()> {
    let mut script = b"#!/bin/sh\nexit 0\n".to_vec();
    script.extend(std::fs::read(dist::hook())?);
    for name in ["preinst", "postinst", "prerm", "postrm"] {
        let path = tree.join("DEBIAN").join(name);
        std::fs::write(&path, &script)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

fn packages(variants: &[Variant], rounds: usize, booted: bool, times: &mut Times) {
    let prefix = if booted { "booted: " } else { "" };
    for round in 0..=rounds {
        for variant in variants {
            let mut node = Node::with_packages(Suite::Bookworm, &["rsync", "gpgv", "init-system-helpers"]);
            if booted {
                node = node.boot();
            }
            like_a_pve_node(&node);
            node.put_file(variant.first.path(), "/root/1.deb");
            node.put_file(variant.second.path(), "/root/2.deb");
            let before = last_pid(&node);
            for (what, command) in [
                ("install", ["dpkg", "-i", "/root/1.deb"]),
                ("upgrade", ["dpkg", "-i", "/root/2.deb"]),
                ("remove", ["dpkg", "-r", "pve-network-rs"]),
                ("purge", ["dpkg", "-P", "pve-network-rs"]),
            ] {
                let began = Instant::now();
                node.run(command).ok();
                let took = began.elapsed().as_secs_f64() * 1e3;
                if round > 0 {
                    times.entry((format!("{prefix}{what}"), variant.name)).or_default().push(took);
                }
                if round == 1 && !booted && what == "install" {
                    times
                        .entry(("processes of an install".into(), variant.name))
                        .or_default()
                        .push(last_pid(&node) - before);
                }
            }
        }
    }
}

/// The most memory that each script of ours holds at once, in KiB, as getrusage(2) tells time(1).
/// Run the way `dpkg-reconfigure` runs them; prerm besides with a successor to judge.
fn resident(variants: &[Variant]) -> Vec<(String, u64)> {
    let ours = variants.iter().find(|v| v.name == "ours").expect("ours is among the variants");
    let node = Node::with_packages(Suite::Bookworm, &["time"]);
    like_a_pve_node(&node);
    node.install(&ours.first).ok();
    node.put_file(ours.second.path(), "/root/2.deb");
    node.sh("dpkg-deb --control /root/2.deb /var/lib/dpkg/tmp.ci").ok();
    let calls = ["prerm upgrade 0.2.0-1", "preinst upgrade 0.1.0-1", "postinst configure 0.1.0-1", "prerm remove"];
    let measure = |call: &str| {
        let (script, arguments) = call.split_once(' ').expect("a call has a script and arguments");
        let out = node.sh(&format!(
            "export DPKG_MAINTSCRIPT_NAME={script} DPKG_MAINTSCRIPT_PACKAGE=pve-network-rs
             time -q -f %M /var/lib/dpkg/info/pve-network-rs.{script} {arguments} 2>&1 | tail -n 1"
        ));
        let kib = out.ok().stdout.trim().parse().expect("time prints a number last");
        (format!("{call}: resident"), kib)
    };
    calls.into_iter().map(measure).collect()
}

/// What an operator waits for: whole processes on a node with 200 snapshots, beside programs of about
/// the same kind that everybody has. Run below a folder, so without what `status` asks of systemd; the
/// booted figure has that.
fn operators(times: &mut Times) {
    let dir = tempfile::tempdir().expect("the temporary directory is writable");
    let root = host::Root::at(dir.path());
    let store = ctl::policy().expect("hooks.toml is sound").store(&root, host::Clock::System);
    store.prepare().expect("the temporary directory is writable");
    std::fs::create_dir_all(root.path("/etc/network")).expect("the temporary directory is writable");
    for number in 0..200 {
        let text = format!("{}# {number}\n", rig::ours::INTERFACES);
        std::fs::write(root.path("/etc/network/interfaces"), text).expect("the temporary directory is writable");
        let present = history::snapshot::present(&store, false).expect("it was just written");
        let why = history::Why { reason: "bench".into(), ..history::Why::default() };
        history::snapshot::capture(&store, &present, &why).expect("there is room");
    }
    let ctl = dist::target_dir().join("release/migration-ctl");
    let (ctl, root) = (ctl.display(), dir.path().display());
    let repository = dist::workspace();
    let commands: [(&str, &'static str, String); 6] = [
        ("phase get", "ours", format!("exec {ctl} --root {root} phase get")),
        ("phase get", "perl -MJSON -e 1", "exec perl -MJSON -e 1".into()),
        ("phase get", "git log -1", format!("exec git -C {} log -1", repository.display())),
        ("status, 200 snapshots", "ours", format!("exec {ctl} --root {root} status")),
        ("status, 200 snapshots", "perl -MJSON -e 1", "exec perl -MJSON -e 1".into()),
        ("status, 200 snapshots", "git log -1", format!("exec git -C {} log -1", repository.display())),
    ];
    for round in 0..=ROUNDS {
        for (what, who, command) in &commands {
            let began = Instant::now();
            let done = Command::new("sh").args(["-c", command]).output().expect("sh starts");
            let took = began.elapsed().as_secs_f64() * 1e3;
            assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
            if round > 0 {
                times.entry(((*what).to_owned(), who)).or_default().push(took);
            }
        }
    }
}

/// What a file of `count` bridges says; all are brought up at boot, so that ifupdown2's `-a` means them.
fn bridges(count: usize) -> String {
    let mut text = "auto lo\niface lo inet loopback\n\n".to_owned();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250);
        text += &format!(
            "auto vmbr{number}\niface vmbr{number} inet static\n\taddress 10.{high}.{low}.1/24\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\n"
        );
    }
    text
}

/// Runs a command 16 times inside the node, or entering it would be the larger part of our figures; milliseconds, the
/// first left out, and how many lines it printed each time. It has to succeed.
fn inside(node: &Node, command: &[&str]) -> (Vec<f64>, usize) {
    const TIME: &str =
        "use Time::HiRes qw(time); my @c = @ARGV; open my $keep, '>&', \\*STDOUT; open STDOUT, '>', '/run/out';
        for (1..16) { truncate STDOUT, 0; seek STDOUT, 0, 0; my $t = time; system(@c);
          printf $keep \"%.3f\\n\", (time - $t) * 1e3; die \"@c: $?\" if $? }";
    let out = node.run(["perl", "-e", TIME].iter().chain(command)).ok();
    let all: Vec<f64> = out.stdout.lines().filter_map(|l| l.parse().ok()).skip(1).collect();
    assert!(all.len() == 15, "{command:?}: {} {}", out.stdout, out.stderr);
    (all, node.text("/run/out").lines().count())
}

/// Reading, checking and planning a node's configuration, beside ifupdown2's own reading of it, on files of 10, 200
/// and 2,000 interfaces; and what an apply of one address adds to ifreload.
fn network(times: &mut Times) {
    let node = Node::with_packages(Suite::Bookworm, &["ifupdown2", "iproute2"]).with_sys();
    like_a_pve_node(&node);
    node.put_file(&dist::target_dir().join("release/pvenet"), "/usr/bin/pvenet");
    node.sh("chmod 755 /usr/bin/pvenet; mkdir -p /etc/pve/network /var/lib/pve-network-rs /run/network; (umask 077; : >/var/lib/pve-network-rs/lock)").ok();
    node.write("/etc/pve/network/migration.toml", "phase = \"rust-basic-write\"\nfeatures = { rust_cli = true }\n");
    node.write("/var/lib/pve-network-rs/ceiling", "rust-basic-write\n");
    for count in [10, 200, 2000, 20_000] {
        let text = bridges(count);
        node.write("/etc/network/interfaces", &text);
        node.write("/etc/network/interfaces.new", text.replace("10.0.5.1/24", "10.0.5.2/24"));
        let ifquery: &[&str] = &["ifquery", "-a"];
        let no_act: &[&str] = &["ifreload", "-a", "--no-act"];
        let commands: [(&str, &'static str, &[&str]); 9] = [
            ("pvenet list", "ours", &["pvenet", "list"]),
            ("pvenet list", "ifquery -a", ifquery),
            ("pvenet list", "ifreload -a --no-act", no_act),
            ("pvenet validate", "ours", &["pvenet", "validate"]),
            ("pvenet validate", "ifquery -a", ifquery),
            ("pvenet validate", "ifreload -a --no-act", no_act),
            ("pvenet apply --dry-run", "ours", &["pvenet", "apply", "--dry-run"]),
            ("pvenet apply --dry-run", "ifquery -a", ifquery),
            ("pvenet apply --dry-run", "ifreload -a --no-act", no_act),
        ];
        for (what, who, command) in commands {
            // The largest is for our own growth.
            if count > 2000 && who != "ours" {
                continue;
            }
            let (all, lines) = inside(&node, command);
            // Peers that read half of the file, or nothing of it, are none.
            let whole = match who {
                "ifquery -a" => lines > count * 6,
                "ours" if what == "pvenet list" => lines == count + 2,
                _ => true,
            };
            assert!(whole, "{command:?} printed {lines} lines of {count} interfaces");
            times.entry((format!("{what}, {count} interfaces"), who)).or_default().extend(all);
        }
    }
    node.write("/etc/network/interfaces", bridges(200));
    node.sh("ifreload -a").ok();
    let what = "apply of one address, 200 interfaces";
    for round in 0..=ROUNDS {
        for (who, command) in [
            ("ours", "pvenet apply --yes --output json"),
            ("ifreload -a", "mv -f /etc/network/interfaces.new /etc/network/interfaces; ifreload -a"),
        ] {
            let now = node.text("/etc/network/interfaces");
            let (one, two) = ("10.0.5.1/24", "10.0.5.2/24");
            let next = if now.contains(one) { now.replace(one, two) } else { now.replace(two, one) };
            node.write("/etc/network/interfaces.new", next);
            let script = format!(
                "perl -MTime::HiRes=time -e '$t = time; system(@ARGV) and die qx(cat /run/said); print +(time - $t) * 1e3' sh -c '{command} >/run/out 2>/run/said'"
            );
            let took: f64 = node.sh(&script).ok().stdout.trim().parse().expect("perl prints a number");
            if round > 0 {
                times.entry((what.to_owned(), who)).or_default().push(took);
            }
            if round > 0 && who == "ours" {
                let said: serde_json::Value = serde_json::from_str(&node.text("/run/out")).expect("pvenet writes JSON");
                let ms = |key: &str| said[key].as_f64().expect("it says how long it took");
                let outside = ms("duration_ms") - ms("reload_ms");
                times.entry((format!("{what}: outside ifreload"), who)).or_default().push(outside);
            }
        }
    }
}

/// Reading and writing alone, in this process.
fn read_and_write(times: &mut Times) {
    for count in [200, 2000, 20_000] {
        let text = bridges(count);
        for round in 0..=ROUNDS {
            let began = Instant::now();
            let network = model::proxmox::read(text.as_bytes(), &Links::default()).expect("it is text");
            let written = model::proxmox::write(network, Flavour::Ifupdown2).expect("nothing is wrong with it");
            let took = began.elapsed().as_secs_f64() * 1e3;
            assert!(written.text.lines().count() > count * 6, "all of them are written");
            if round > 0 {
                times.entry((format!("reading and writing {count} interfaces"), "ours")).or_default().push(took);
            }
        }
    }
}

/// What the gate costs a package that no policy names, while one names another.
fn gate(key: &Keyring, times: &mut Times) {
    let stranger = DebBuilder::new("stranger", "1.0").file("/usr/bin/stranger", "#!/bin/sh\n").build();
    let node = Node::with_packages(Suite::Bookworm, &["libgpgme11"]);
    node.install(&dist::debseal_package()).ok();
    node.write("/root/key.pgp", key.certificate());
    node.run(["debseal", "key", "add", "--package", "pve-network-rs", "/root/key.pgp"]).ok();
    node.put_file(stranger.path(), "/root/x.deb");
    for round in 0..=ROUNDS {
        for (who, script) in [
            ("ours", "mv -f /root/snippet /etc/dpkg/dpkg.cfg.d/debseal 2>/dev/null || true"),
            ("no gate", "mv /etc/dpkg/dpkg.cfg.d/debseal /root/snippet"),
        ] {
            node.sh(script).ok();
            let began = Instant::now();
            node.run(["dpkg", "-i", "/root/x.deb"]).ok();
            let took = began.elapsed().as_secs_f64() * 1e3;
            if round > 0 {
                times.entry(("dpkg -i of an unnamed package".into(), who)).or_default().push(took);
            }
        }
    }
}

/// Judging what is installed, beside hashing the same files, in the node.
fn judge_installed(key: &Keyring, times: &mut Times) {
    let node = Node::with_packages(Suite::Bookworm, &["libgpgme11"]);
    like_a_pve_node(&node);
    node.install(&dist::debseal_package()).ok();
    node.write("/root/key.pgp", key.certificate());
    node.run(["debseal", "key", "add", "--package", "pve-network-rs", "/root/key.pgp"]).ok();
    node.install(&sealing().as_shipped().signed(key).build()).ok();
    // What it reads: the payload's files, and the control files that dpkg keeps.
    node.sh("{ dpkg -L pve-network-rs; ls /var/lib/dpkg/info/pve-network-rs.*; } | while read -r f; do [ ! -f $f ] || [ -L $f ] || echo $f; done >/root/files").ok();
    let commands: [(&str, &[&str]); 2] = [
        ("ours", &["debseal", "verify", "--installed", "pve-network-rs"]),
        ("sha256sum", &["sh", "-c", "exec sha256sum $(cat /root/files)"]),
    ];
    for round in 0..=ROUNDS {
        for (who, command) in commands {
            let out = node.run(["perl", "-e", TIME_ONCE].iter().chain(command)).ok();
            let took: f64 = out.stderr.trim().parse().expect("the time is all that it says");
            if round > 0 {
                times.entry(("verify --installed".into(), who)).or_default().push(took);
            }
        }
    }
}

/// Judging packages of 20 MB, one that no compressor makes smaller and one of libraries, beside
/// debsig-verify, which looks at the signature alone, and with what it takes to unpack one besides.
fn judge_files(key: &Keyring, times: &mut Times) {
    let dir = tempfile::tempdir().expect("the temporary directory is writable");
    let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("there is room");
    let at = |name: &str| dir.path().join(name).display().to_string();
    let id = &key.fingerprint()[24..];
    let policies = dir.path().join("policies").join(id);
    let keyrings = dir.path().join("keyrings").join(id);
    for folder in [&policies, &keyrings] {
        std::fs::create_dir_all(folder).expect("there is room");
    }
    put("key.pgp", &key.certificate());
    std::fs::write(keyrings.join("ring.gpg"), key.certificate()).expect("there is room");
    let policy = format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE Policy SYSTEM \"https://www.debian.org/debsig/1.0/policy.dtd\">\n\
         <Policy xmlns=\"https://www.debian.org/debsig/1.0/\">\n<Origin Name=\"b\" id=\"{id}\" Description=\"b\"/>\n\
         <Selection><Required Type=\"origin\" File=\"ring.gpg\" id=\"{id}\"/></Selection>\n\
         <Verification MinOptional=\"0\"><Required Type=\"origin\" File=\"ring.gpg\" id=\"{id}\"/></Verification>\n</Policy>\n"
    );
    std::fs::write(policies.join("b.pol"), policy).expect("there is room");
    for (what, script) in [
        ("noise", "head -c 19000000 /dev/urandom >usr/noise"),
        (
            "libraries",
            "mkdir usr/libraries; for f in $(ls -S /usr/lib/x86_64-linux-gnu/*.so*); do [ -L $f ] || cp $f usr/libraries; [ $(du -sm usr/libraries | cut -f1) -lt 70 ] || break; done",
        ),
    ] {
        let payload = dist::payload().altered_at("-z6", |tree| {
            let done = Command::new("sh").args(["-ec", script]).current_dir(tree).status()?;
            assert!(done.success(), "{script}");
            Ok(())
        });
        let deb = sealing().signed(key).build_of(&payload);
        let size = std::fs::metadata(deb.path()).map_or(0, |m| m.len());
        let what = format!("verify of {} MB of {what}", size / 1_000_000);
        let file = deb.path().display();
        let commands = [
            ("ours", format!("exec {} verify --key {} {file}", dist::debseal().display(), at("key.pgp"))),
            (
                "debsig-verify",
                format!(
                    "exec debsig-verify --policies-dir {} --keyrings-dir {} {file}",
                    at("policies"),
                    at("keyrings")
                ),
            ),
            (
                "and dpkg-deb --fsys",
                format!(
                    "debsig-verify --policies-dir {} --keyrings-dir {} {file} && exec dpkg-deb --fsys-tarfile {file} >/dev/null",
                    at("policies"),
                    at("keyrings")
                ),
            ),
        ];
        for round in 0..=ROUNDS {
            for (who, command) in &commands {
                let began = Instant::now();
                let done = Command::new("sh").args(["-c", command]).output().expect("sh starts");
                let took = began.elapsed().as_secs_f64() * 1e3;
                assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
                if round > 0 {
                    times.entry((what.clone(), who)).or_default().push(took);
                }
            }
        }
    }
}

/// Runs a command once, inside the node, and says on stderr how many milliseconds it took.
const TIME_ONCE: &str = "use Time::HiRes qw(time); my @c = @ARGV; open STDOUT, '>', '/dev/null';
    my $t = time; system(@c); printf STDERR \"%.3f\\n\", (time - $t) * 1e3; exit($? >> 8)";

/// The newest process id of the node's own namespace: its growth counts processes and threads.
fn last_pid(node: &Node) -> f64 {
    let text = node.run(["cat", "/proc/loadavg"]).ok().stdout;
    text.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

fn snapshots(times: &mut Times) {
    for count in [10, 1000] {
        // On the disk that holds the build, since fsync costs nothing on tmpfs.
        let dir = tempfile::tempdir_in(dist::target_dir()).expect("the target folder is writable");
        let root = dir.path();
        let source = root.join("etc/files");
        std::fs::create_dir_all(&source).expect("the target folder is writable");
        for number in 0..count {
            let bytes: Vec<u8> = (0..2048u32).map(|i| (i.wrapping_mul(31).wrapping_add(number) % 251) as u8).collect();
            std::fs::write(source.join(format!("f{number}")), bytes).expect("the target folder is writable");
        }
        let snap = std::env::current_exe().expect("this program has a path").with_file_name("snap");
        let (snap, r, s) = (snap.display(), root.display(), source.display());
        let etckeeper = format!("cd {s} && echo x$$ > f0 && etckeeper commit -d {s} x >/dev/null 2>&1");
        let prepared = Command::new("sh").arg("-ec").arg(format!(
            "export HOME={r} GIT_CONFIG_GLOBAL={r}/gitconfig; git config --global user.email b@example.invalid; git config --global user.name b; cp -a {s} {r}/kept; etckeeper init -d {r}/kept >/dev/null 2>&1; etckeeper commit -d {r}/kept x >/dev/null 2>&1"
        )).status();
        let etckeeper_works = prepared.is_ok_and(|s| s.success());
        let etckeeper = etckeeper.replace(&format!("{s}"), &format!("{r}/kept"));
        for round in 0..=ROUNDS {
            let peers: [(&str, String); 5] = [
                ("ours", format!("exec {snap} {r} /etc/files /var/lib/snap")),
                ("cp -a, sync -f", format!("cp -a {s} {r}/c{round} && sync -f {r}/c{round}")),
                ("rsync -a, sync -f", format!("rsync -a {s}/ {r}/r{round}/ && sync -f {r}/r{round}")),
                ("tar, sync", format!("tar -cf {r}/t{round} -C {s} . && sync {r}/t{round}")),
                ("etckeeper", format!("export HOME={r} GIT_CONFIG_GLOBAL={r}/gitconfig; {etckeeper}")),
            ];
            for (name, script) in peers {
                if name == "etckeeper" && !etckeeper_works {
                    continue;
                }
                let began = Instant::now();
                let status = Command::new("sh").arg("-ec").arg(&script).stdout(Stdio::null()).status();
                assert!(status.is_ok_and(|s| s.success()), "{script}");
                if round > 0 {
                    times
                        .entry((format!("snapshot of {count} files"), name))
                        .or_default()
                        .push(began.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Found {
    /// The table, and the same as rows of JSON.
    fn report(&self) -> (Vec<String>, Vec<serde_json::Value>) {
        let mut lines =
            vec![format!("{:<28} {:>10}  {:<18} {:>10} {:>8}", "median", "ours", "peer", "peer's", "ratio")];
        let mut rows = self.services.clone();
        let times = &self.times;
        for what in times.keys().filter(|(_, who)| *who == "ours").map(|(what, _)| what) {
            let of = |who: &str| times.iter().find(|((w, p), _)| w == what && *p == who).map(|(_, v)| median(v));
            let Some(ours) = of("ours") else { continue };
            let mut row = |what: &str, ours: f64, peer: &str, theirs: f64| {
                let ratio = ours / theirs;
                lines.push(format!("{what:<32} {ours:>10.1}  {peer:<18} {theirs:>10.1} {ratio:>8.2}"));
                rows.push(
                    serde_json::json!({"name": what, "ours_ms": ours, "peer": peer, "peer_ms": theirs, "ratio": ratio}),
                );
            };
            for ((_, peer), values) in times.iter().filter(|((w, p), _)| w == what && *p != "ours") {
                row(what, ours, peer, median(values));
            }
            if let (Some(bare), Some(bash)) = (of("no scripts"), of("bash")) {
                row(&format!("{what}: what scripts add"), ours - bare, "bash", bash - bare);
                if let Some(idle) = of("idle scripts") {
                    row(&format!("{what}: what scripts do"), ours - idle, "bash", bash - bare);
                }
            }
            if times.keys().filter(|(w, _)| w == what).count() == 1 {
                lines.push(format!("{what:<32} {ours:>10.1}"));
                rows.push(serde_json::json!({"name": what, "ours_ms": ours}));
            }
        }
        let hook = std::fs::metadata(dist::hook()).map_or(0, |m| m.len());
        lines.push(format!("hook: {hook} bytes"));
        rows.push(serde_json::json!({"name": "hook size", "ours_bytes": hook}));
        for (call, kib) in &self.resident {
            lines.push(format!("{call}: {kib} KiB"));
            rows.push(serde_json::json!({"name": call, "ours_kib": kib}));
        }
        (lines, rows)
    }

    fn write(&self) {
        let text = serde_json::to_string_pretty(&self.report().1).expect("numbers are JSON");
        std::fs::write(dist::workspace().join("dist/bench.json"), text + "\n").expect("dist is writable");
    }
}
