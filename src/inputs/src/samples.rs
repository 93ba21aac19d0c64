//! Good samples of each input: where fuzzers and property tests begin.

use maintscript::removal::Removal;
use phase::record;
use seal::tarball::{self, ControlMember};
use seal::{ar, manifest, trailer};

const CONTROL: &str = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@example.invalid>\n\
                       Description: one\n two\n .\n three\n";

macro_rules! repository {
    ($($path:literal),*) => { vec![$(include_bytes!(concat!("../../../", $path)).to_vec()),*] };
}

/// The good samples of one input, each accepted by its reader.
pub fn of(name: &str) -> Vec<Vec<u8>> {
    match name {
        "deb" => vec![deb("control.tar", "data.tar"), deb("control.tar.xz", "data.tar.gz")],
        "tar" => vec![payload(), control_tar()],
        "compressed" => ["xz", "gz", "zst"].iter().zip(0u8..).map(|(how, n)| [&[n][..], &packed(how)].concat()).collect(),
        "control" => vec![CONTROL.into()],
        "manifest" => repository!["src/seal/tests/fixtures/manifest-1.json"],
        "hooks" => repository!["debian/hooks.toml"],
        "trailer" => vec![hook()],
        "keys" => repository!["fuzz/seeds/keys/certificate", "fuzz/seeds/keys/signature"],
        "snapshot" => repository![
            "tests/fixtures/state/1/backups/20261101-000000/manifest.json",
            "tests/fixtures/state/2/backups/20261101-000000/manifest.json"
        ],
        "journal" => {
            repository!["tests/fixtures/state/1/operations.jsonl", "tests/fixtures/state/2/operations.jsonl"]
        }
        "phase_history" => [repository!["src/phase/tests/fixtures/phase-history-1.jsonl"], vec![history()]].concat(),
        "migration" => vec![
            phase::DEFAULT_TOML.into(),
            "# two canaries\nphase = 'perl-only' # all\nnodes = { a.phase = \"rust-sdn\" }\n[canary]\norder = ['a', 'b']\n\
             [features]\nrust_cli = true\n"
                .into(),
            "nodes.a.phase = 'rust-full'\nperl_api_timeout = 9\nperl_api_base_url = 'http://[::1]:1/'\n".into(),
        ],
        "state" => [
            repository![
                "tests/fixtures/state/1/transaction.json",
                "tests/fixtures/state/1/removal.json",
                "tests/fixtures/state/1/resume.json",
                "tests/fixtures/state/1/ceiling"
            ],
            vec![history::state::render(&Removal::begin(history::Policy::Last)).unwrap_or_default()],
        ]
        .concat(),
        "interfaces" => vec![
            b"auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\
              \tgateway 192.0.2.1\n\tbridge-ports eno1 \\\n\teno2\n# a\nsource /etc/network/interfaces.d/*\n"
                .to_vec(),
            b"mapping eth*\n script x\n map y\nallow-hotplug eth0\niface eth0 inet6 auto\nnet0: virtio=A,bridge=vmbr0\n"
                .to_vec(),
        ],
        "request" => vec![
            b"GET\0/api2/json/nodes/pve1/network?type=bridge\0PVEAuthCookie=PVE:root@pam:65A1B2C3::c2ln\0\0".to_vec(),
            b"POST\0/api2/json/nodes/pve1/network\0\x0065A1B2C3:AAAA\0type=eth&iface=eno1".to_vec(),
            b"PUT\0/api2/json/cluster/sdn/zones/z%2f..\0\0\0".to_vec(),
        ],
        "call" => vec![
            b"\x13\0preinst\0/var/lib/dpkg/tmp.ci/preinst\0\0/var/lib/dpkg\0upgrade\x001.0-1".to_vec(),
            b"\x20\0postrm\0/r/var/lib/dpkg/info/demo:amd64.postrm\0/r\0/r/var/lib/dpkg\0purge".to_vec(),
            b"\x04\0prerm\0/var/lib/dpkg/info/demo.prerm\0\0\0remove\0in-favour\0other\x002.0".to_vec(),
            b"\x01\0postinst\0/var/lib/dpkg/info/demo.postinst\0\0\0configure\0".to_vec(),
        ],
        _ => Vec::new(),
    }
}

/// Writes the good samples of one input into the folder that `$SAMPLES` names, if it does: what a fuzz target
/// does when it starts, so that it begins with them.
pub fn put(name: &str) {
    let Some(folder) = std::env::var_os("SAMPLES").map(std::path::PathBuf::from) else { return };
    for (number, sample) in of(name).iter().enumerate() {
        let file = folder.join(format!("sample-{number}"));
        std::fs::write(&file, sample).unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
    }
}

fn hook() -> Vec<u8> {
    trailer::append(b"\x7fELF program", b"format = 1\n", b"keys")
}

fn control_files() -> Vec<ControlMember> {
    let member = |name: &str, mode, bytes: Vec<u8>| ControlMember { name: name.into(), mode, bytes };
    let mut files = vec![member("control", 0o644, CONTROL.into())];
    files.extend(manifest::HOOKS.iter().map(|name| member(name, 0o755, hook())));
    files
}

fn control_tar() -> Vec<u8> {
    tarball::plain_control_archive(&control_files(), 0).unwrap_or_default()
}

fn header(name: &str, kind: u8, target: &str, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    for (at, text) in [(100, "0000755"), (108, "0000000"), (116, "0000000"), (136, "00000000000"), (148, "        ")] {
        put(at, text);
    }
    put(124, &format!("{size:011o}"));
    put(157, target);
    put(257, "ustar  ");
    block[156] = kind;
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A payload with each kind of member, long names among them.
pub fn payload() -> Vec<u8> {
    let mut out = Vec::new();
    let mut add = |name: &str, kind: u8, target: &str, content: &[u8]| {
        out.extend(header(name, kind, target, content.len()));
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
    };
    add("./", b'5', "", b"");
    add("./usr/", b'5', "", b"");
    add("./usr/a", b'0', "", b"hello");
    add("./usr/l", b'2', "a", b"");
    add("./usr/h", b'1', "./usr/a", b"");
    add("././@LongLink", b'L', "", &[b"./usr/".as_slice(), &[b'n'; 120], b"\0"].concat());
    add("cut", b'0', "", b"");
    out.resize(out.len() + 1024, 0);
    out
}

/// The payload, compressed; plain for an ending that is not known.
pub fn packed(how: &str) -> Vec<u8> {
    compress(how, &payload())
}

/// Bytes as `.gz` or `.zst`; any control archive as `.xz`, the only form that we write.
pub fn compress(how: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    match how {
        "xz" => tarball::control_archive(&control_files(), 0).unwrap_or_default(),
        "gz" => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            let written = gz.write_all(bytes);
            written.and_then(|()| gz.finish()).unwrap_or_default()
        }
        "zst" => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        _ => bytes.to_vec(),
    }
}

fn deb(control: &str, data: &str) -> Vec<u8> {
    let write = || -> host::Result<Vec<u8>> {
        let mut writer = ar::Writer::new(Vec::new(), 1_700_000_000)?;
        let how = |name: &str| name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_owned());
        let control_bytes = if how(control) == "xz" { compress("xz", b"") } else { control_tar() };
        let data_bytes = compress(&how(data), &payload());
        for (name, bytes) in [("debian-binary", ar::FORMAT_VERSION), (control, &control_bytes), (data, &data_bytes)] {
            writer.member(name, bytes.len() as u64, &mut &bytes[..])?;
        }
        writer.member(ar::SIGNATURE, 1, &mut &b"s"[..])?;
        writer.finish()
    };
    write().unwrap_or_default()
}

fn history() -> Vec<u8> {
    let event = |id: &str| record::Event::Outcome { id: id.into(), outcome: record::Outcome::Done, error: None };
    let mut out = record::append(b"", 1, event("1"));
    out.extend(b"{\"half a li");
    let next = record::append(&out, 2, event("2"));
    out.extend(next);
    out
}

/// So many members whose long names begin with `path` (which ends in NUL) and differ in six digits before its end.
pub fn long_names(path: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..count {
        let mut name = path.to_vec();
        name.truncate(name.len().saturating_sub(1));
        name.extend(format!("{number:06}\0").bytes());
        out.extend(header("././@LongLink", b'L', "", name.len()));
        out.extend(&name);
        out.resize(out.len().next_multiple_of(512), 0);
        out.extend(header("cut", b'0', "", 0));
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A control archive of so many empty files.
pub fn many_control_files(count: usize) -> Vec<u8> {
    let mut out: Vec<u8> = (0..count).flat_map(|number| header(&format!("f{number}"), b'0', "", 0)).collect();
    out.resize(out.len() + 1024, 0);
    out
}

/// An archive of one file of so many zeros.
pub fn zeros(size: usize) -> Vec<u8> {
    let mut out = header("zeros", b'0', "", size).to_vec();
    out.resize(512 + size.next_multiple_of(512) + 1024, 0);
    out
}
