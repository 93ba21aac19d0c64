//! The compressors of the host: archives as people make them, and bombs that our own writer would
//! take long for.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

fn filter(command: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap(); // `head` may have seen enough
    assert!(out.status.success(), "{command}: {}", out.status);
    out.stdout
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    filter("gzip -n", bytes)
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    filter("xz", bytes)
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    filter("zstd -q", bytes)
}

/// By xz with these options.
pub fn xz_with(options: &str, bytes: &[u8]) -> Vec<u8> {
    filter(&format!("xz {options}"), bytes)
}

pub fn zstd_with(options: &str, bytes: &[u8]) -> Vec<u8> {
    filter(&format!("zstd -q {options}"), bytes)
}

/// An archive whose first member is 200 MiB of zeros, in each compression: more than what a
/// archive may unfold to without question.
pub struct Bombs {
    pub gzip: Vec<u8>,
    pub xz: Vec<u8>,
    pub zstd: Vec<u8>,
}

pub static BOMBS: LazyLock<Bombs> = LazyLock::new(|| {
    let size = 200 << 20;
    let header = crate::bytes::Tar {
        members: vec![crate::bytes::file("./usr/share/demo/zeros", b"").size(size)],
        tail: Some(Vec::new()),
    };
    let bomb = |packer: &str| filter(&format!("{{ cat; head -c {size} /dev/zero; }} | {packer}"), &header.bytes());
    std::thread::scope(|s| {
        let gzip = s.spawn(|| bomb("gzip -n"));
        Bombs { xz: bomb("xz -0"), zstd: bomb("zstd -q"), gzip: gzip.join().unwrap() }
    })
});
