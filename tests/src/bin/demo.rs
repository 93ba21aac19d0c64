//! `make demo`: the package's whole life on a throw-away Debian machine with a booted systemd, told
//! step by step. Everything here is real: dpkg, apt's database, systemd, gpg, ifupdown2 and the kernel's bridges.
//! Nothing of it stays.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use rig::cables::plug;
use rig::ours::{NAME, STATE, UNITS, like_a_pve_node, sealing};
use rig::{Deb, Keyring, Machine, Node, Output, Suite, dist, need_root};

fn main() {
    if !need_root() {
        eprintln!("the demo boots a Debian root and needs root: run it as root, or by `make demo` with sudo");
        std::process::exit(1);
    }
    let began = Instant::now();
    let story = Story::begin();
    story.install();
    story.trial();
    story.failing_upgrade();
    story.remove();
    story.purge();
    println!("\nThat was all of it, in {} s. The machine it happened on is gone.", began.elapsed().as_secs());
}

struct Story {
    node: Node,
    first: Deb,
    second: Deb,
}

impl Story {
    fn begin() -> Self {
        chapter("A throw-away key signs the package");
        let key = Keyring::new("Demo packager <demo@example.invalid>");
        let first = sealing().as_shipped().signed(&key).build();
        // Version 0.2.0's daemon can't start while the file /run/trouble is there.
        let payload = dist::payload().as_version("0.2.0-1").altered(|tree| {
            let daemon = tree.join("usr/bin/pve-network-rs-daemon");
            std::fs::rename(&daemon, tree.join("usr/bin/pve-network-rs-daemon.real"))?;
            std::fs::write(&daemon, FAULTY_DAEMON)?;
            std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o755))
        });
        let second = sealing().signed(&key).build_of(&payload);
        let certificate = std::env::temp_dir().join(format!("demo-{}.pgp", std::process::id()));
        std::fs::write(&certificate, key.certificate()).expect("the temporary directory is writable");
        host_says(
            std::process::Command::new(dist::debseal()).args(["verify", "--key"]).arg(&certificate).arg(first.path()),
        );
        let _ = std::fs::remove_file(&certificate); // it was only for the line above

        chapter("A Debian machine boots, with network files as Proxmox VE writes them");
        let node = Node::with_packages(Suite::Bookworm, &["ifupdown2"]).named("pve1");
        // Booting would bring the network up before its card is there.
        node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service").ok();
        let node = node.boot();
        like_a_pve_node(&node);
        plug(&node);
        shell(&node, "cat /etc/network/interfaces; ls /etc/network/interfaces.d /etc/pve/sdn");
        Self { node, first, second }
    }

    fn install(&self) {
        chapter("dpkg -i: the state is captured before anything is unpacked, and nothing starts");
        show(self.node.install(&self.first).ok());
        shell(&self.node, "migration-ctl snapshot list; ls /var/lib/pve-network-rs/backups/latest/");
        shell(&self.node, "migration-ctl snapshot verify");
        shell(
            &self.node,
            &format!("systemctl is-enabled {0} {1} || :; systemctl is-active {0} {1} || :", UNITS[0], UNITS[1]),
        );
        shell(&self.node, "migration-ctl phase get; head -n 4 /etc/pve/network/migration.toml");
    }

    fn trial(&self) {
        chapter(
            "The operator goes up step by step until Rust applies; Rust changes the network, and so does the admin",
        );
        shell(&self.node, "migration-ctl phase set rust-read-only");
        shell(&self.node, &format!("systemctl start {}; systemctl is-active {}", UNITS[0], UNITS[0]));
        shell(&self.node, "pvenet list");
        shell(&self.node, "migration-ctl phase set rust-basic-write; migration-ctl feature enable rust_cli");
        say("a change is pending, as Proxmox VE's GUI leaves it:");
        shell(&self.node, "sed 's/bridge-fd 0/bridge-fd 2/' /etc/network/interfaces >/etc/network/interfaces.new");
        shell(&self.node, "pvenet diff || :");
        say("it would cut nobody off, so it can be applied; the guest's port stays on its bridge:");
        shell(&self.node, "pvenet apply --yes");
        shell(&self.node, "cat /sys/class/net/vmbr0/bridge/forward_delay; ip -br link show master vmbr0");
        say("one that loses the way to the router is refused, or where that can't be seen before, taken back:");
        shell(
            &self.node,
            "sed 's,address 192.0.2.10/24,address 198.51.100.10/24,' /etc/network/interfaces >/etc/network/interfaces.new",
        );
        show_failure(&self.node, "pvenet apply --yes");
        shell(&self.node, "rm /etc/network/interfaces.new; ip -br address show vmbr0");
        say("the admin writes a file of their own:");
        shell(&self.node, "echo '# storage network, by the admin' > /etc/network/interfaces.d/storage");
        shell(&self.node, &format!("cut -c1-150 {STATE}/operations.jsonl"));
    }

    fn failing_upgrade(&self) {
        chapter("An upgrade whose configure fails: all of it goes back, and the node is at perl-only");
        shell(&self.node, "touch /run/trouble; md5sum /etc/network/interfaces");
        self.node.put_file(self.second.path(), "/root/second.deb");
        shell(&self.node, "dpkg --unpack /root/second.deb");
        say("while it is unpacked and not yet configured, Rust applies again:");
        shell(&self.node, "sed 's/bridge-fd 2/bridge-fd 9/' /etc/network/interfaces >/etc/network/interfaces.new");
        shell(&self.node, "pvenet apply --yes; md5sum /etc/network/interfaces");
        println!("   # dpkg --configure pve-network-rs");
        show(self.node.run(["dpkg", "--configure", NAME]).fails());
        shell(
            &self.node,
            "md5sum /etc/network/interfaces; migration-ctl phase get; dpkg-query -W -f '${db:Status-Abbrev}\\n' pve-network-rs",
        );
        say("The cause is mended, and the one command that the message names heals it:");
        shell(&self.node, "rm /run/trouble; dpkg --configure -a");
        shell(
            &self.node,
            "dpkg-query -W -f '${db:Status-Abbrev} ${Version}\\n' pve-network-rs; migration-ctl phase resume",
        );
    }

    fn remove(&self) {
        chapter("apt-get remove is the rollback: the trial write is undone, the admin's file is kept");
        shell(&self.node, "apt-get -q -y remove pve-network-rs");
        shell(&self.node, "grep bridge-fd /etc/network/interfaces; cat /etc/network/interfaces.d/storage");
    }

    fn purge(&self) {
        chapter("Purge: no trace, and nothing lost");
        shell(&self.node, "apt-get -q -y purge pve-network-rs");
        shell(
            &self.node,
            "ls -d /var/lib/pve-network-rs /var/log/pve-network /etc/pve/network 2>&1 || :; find /var/backups/pve-network-rs -type f",
        );
        assert_eq!(self.node.state_of(NAME), "un");
    }
}

const FAULTY_DAEMON: &str = "#!/bin/sh
if [ -e /run/trouble ]; then
\techo 'cannot start' >&2
\texit 1
fi
exec /usr/bin/pve-network-rs-daemon.real \"$@\"
";

fn chapter(title: &str) {
    println!("\n\x1b[1m== {title}\x1b[0m");
}

fn say(text: &str) {
    println!("   {text}");
}

/// Runs a script on the machine and shows it as a person would have typed it.
fn shell(node: &Node, script: &str) {
    println!("   # {}", script.replace('\n', "\\n"));
    show(node.sh(script).ok());
}

/// The same for one that has to fail.
fn show_failure(node: &Node, script: &str) {
    println!("   # {script}");
    show(node.sh(script).fails());
}

fn show(output: Output) {
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        println!("     {line}");
    }
}

fn host_says(command: &mut std::process::Command) {
    let out = command.output().expect("debseal starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        println!("     {line}");
    }
}
