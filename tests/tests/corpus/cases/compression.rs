//! Compressed members: streams that go on, that lie about themselves, that unfold without end.

use super::{By, Case, Desk};
use crate::bytes::{BLOCK, Tar, file};
use crate::tools::{BOMBS, gzip, xz, xz_with, zstd, zstd_with};

pub fn cases(desk: &Desk) -> Vec<Case> {
    let data = |name, why, member: &str, pack: fn(&[u8]) -> Vec<u8>| {
        Case::new("compression and bombs", By::Key, name, why, desk.demo().pack_data(member, pack).build())
    };
    let control = |name, why, member: &str, pack: fn(&[u8]) -> Vec<u8>| {
        Case::new("compression and bombs", By::Key, name, why, desk.demo().pack_control(member, pack).build())
    };
    vec![
        data("xz: a second stream", "bytes behind the end", "data.tar.xz", |tar| [xz(tar), xz(tar)].concat()),
        data("xz: an archive in two streams", "cut off", "data.tar.xz", |tar| {
            let (one, two) = tar.split_at(1024);
            [xz(one), xz(two)].concat()
        }),
        data("xz: padding behind the stream", "bytes behind the end", "data.tar.xz", |tar| {
            [xz(tar), vec![0; 4]].concat()
        }),
        data("xz: junk behind the stream", "bytes behind the end", "data.tar.xz", |tar| {
            [xz(tar), b"junk".to_vec()].concat()
        }),
        data("xz: cut off", "damaged", "data.tar.xz", |tar| {
            let mut packed = xz(tar);
            packed.truncate(packed.len() - 20);
            packed
        }),
        data("xz: a wrong check", "damaged", "data.tar.xz", |tar| {
            let mut packed = xz_with("--check=crc32", tar);
            let at = packed.len() - 12 - 12; // before index and footer
            packed[at] ^= 1;
            packed
        }),
        data("xz: a dictionary of 1 GiB", "damaged", "data.tar.xz", |tar| xz_with("--lzma2=dict=1GiB", tar)),
        data("xz in name only: gzip", "damaged", "data.tar.xz", gzip),
        data("xz in name only: lzma", "damaged", "data.tar.xz", |tar| xz_with("--format=lzma", tar)),
        data("xz in name only: plain", "damaged", "data.tar.xz", <[u8]>::to_vec),
        data("plain in name only: xz", "header|cut off", "data.tar", xz),
        data("gzip: a second member", "bytes behind the end", "data.tar.gz", |tar| [gzip(tar), gzip(tar)].concat()),
        data("gzip: an archive in two members", "cut off", "data.tar.gz", |tar| {
            let (one, two) = tar.split_at(1024);
            [gzip(one), gzip(two)].concat()
        }),
        data("gzip: zeros behind", "bytes behind the end", "data.tar.gz", |tar| [gzip(tar), vec![0; 512]].concat()),
        data("gzip: a wrong checksum", "damaged", "data.tar.gz", |tar| {
            let mut packed = gzip(tar);
            let at = packed.len() - 8;
            packed[at] ^= 1;
            packed
        }),
        data("gzip: a wrong length", "damaged", "data.tar.gz", |tar| {
            let mut packed = gzip(tar);
            let at = packed.len() - 1;
            packed[at] ^= 1;
            packed
        }),
        data("gzip: cut off", "damaged", "data.tar.gz", |tar| {
            let mut packed = gzip(tar);
            packed.truncate(packed.len() - 10);
            packed
        }),
        data("zstd: a second frame", "behind the end", "data.tar.zst", |tar| [zstd(tar), zstd(tar)].concat()),
        data("zstd: an archive in two frames", "cut off", "data.tar.zst", |tar| {
            let (one, two) = tar.split_at(1024);
            [zstd(one), zstd(two)].concat()
        }),
        data("zstd: a frame to be skipped in front", "damaged", "data.tar.zst", |tar| [skipped(), zstd(tar)].concat()),
        data("zstd: a frame to be skipped behind", "behind the end", "data.tar.zst", |tar| {
            [zstd(tar), skipped()].concat()
        }),
        data("zstd: a wrong checksum", "damaged", "data.tar.zst", |tar| {
            let mut packed = zstd(tar);
            let at = packed.len() - 1;
            packed[at] ^= 1;
            packed
        }),
        data("zstd: a window of 1 GiB", "damaged", "data.tar.zst", |tar| {
            zstd_with("--ultra --long=30 --no-content-size", tar)
        }),
        data("a bomb of gzip as payload", "decompression bombs", "data.tar.gz", |_| BOMBS.gzip.clone()),
        data("a bomb of xz as payload", "decompression bombs", "data.tar.xz", |_| BOMBS.xz.clone()),
        data("a bomb of zstd as payload", "decompression bombs", "data.tar.zst", |_| BOMBS.zstd.clone()),
        control("a bomb of gzip as control archive", "decompression bombs", "control.tar.gz", |tar| gzip(&behind(tar))),
        control("a bomb of xz as control archive", "decompression bombs", "control.tar.xz", |tar| {
            xz_with("-0", &behind(tar))
        }),
        control("a bomb of zstd as control archive", "decompression bombs", "control.tar.zst", |tar| {
            zstd(&behind(tar))
        }),
        control("zeros behind the end of the control archive", "1 MiB of padding", "control.tar.xz", |tar| {
            xz_with("-0", &[&tar[..tar.len() - 1024], &vec![0; 200 << 20]].concat())
        }),
        control("control in two streams", "bytes behind the end", "control.tar.xz", |tar| [xz(tar), xz(tar)].concat()),
        control("control: padding behind", "bytes behind the end", "control.tar.gz", |tar| {
            [gzip(tar), vec![0; 8]].concat()
        }),
        control("control: a frame to be skipped", "damaged", "control.tar.zst", |tar| [skipped(), zstd(tar)].concat()),
    ]
}

/// The archive with 40 MB more at its end: what only looks for `control` stops before it unfolds.
fn behind(tar: &[u8]) -> Vec<u8> {
    let more = Tar::of([file("./zeros", &vec![0; 40 << 20])]);
    [&tar[..tar.len() - 2 * BLOCK], &more.bytes()].concat()
}

/// RFC 8878, 3.1.2: content that a decoder passes over.
fn skipped() -> Vec<u8> {
    [&0x184d_2a50u32.to_le_bytes()[..], &4u32.to_le_bytes(), b"junk"].concat()
}
