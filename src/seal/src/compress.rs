//! Compression of archive members, bounded: what comes out is limited absolutely and in proportion
//! to what went in, and the compressed stream must end where the member ends.

use std::io::{self, BufRead, BufReader, Read};

use host::{IoContext, Result};
use lzma_rust2::{XzOptions, XzReader, XzWriter};

use crate::refuse::refused;

/// What decompression may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that may come out at most.
    pub total: u64,
    /// Bytes that may come out for one that went in ...
    pub ratio: u64,
    /// ... once more than this came out.
    pub free: u64,
}

/// Control archives hold four hooks and a manifest.
pub const CONTROL: Limits = Limits { total: 128 << 20, ratio: 200, free: 32 << 20 };
/// Payloads; a member can't exceed 8 GiB either.
pub const DATA: Limits = Limits { total: 16 << 30, ratio: 500, free: 128 << 20 };

/// Dictionaries above this are refused: `xz -9` uses 64 MiB.
const MAX_DICTIONARY_KIB: u32 = 80 << 10;

type Source<'a> = BufReader<Counted<&'a mut dyn Read>>;

enum Decoder<'a> {
    Plain(Source<'a>),
    Gzip(flate2::bufread::GzDecoder<Source<'a>>),
    Xz(Box<XzReader<Source<'a>>>),
    Zstd(Box<ruzstd::decoding::StreamingDecoder<Source<'a>, ruzstd::decoding::FrameDecoder>>),
}

/// A decompressing reader that enforces [`Limits`].
pub struct Bounded<'a> {
    decoder: Decoder<'a>,
    limits: Limits,
    out: u64,
}

impl<'a> Bounded<'a> {
    /// Reads `name` (whose ending tells the compression) from `source`.
    pub fn new(name: &str, source: &'a mut dyn Read, limits: Limits) -> Result<Self> {
        let source = BufReader::with_capacity(64 << 10, Counted { inner: source, count: 0 });
        let decoder = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "gz" => Decoder::Gzip(flate2::bufread::GzDecoder::new(source)),
            "xz" => {
                let reader = XzReader::new_mem_limit(source, false, MAX_DICTIONARY_KIB);
                Decoder::Xz(Box::new(reader))
            }
            "zst" => {
                let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                    source,
                    u64::from(MAX_DICTIONARY_KIB) << 10,
                );
                let decoder = decoder.map_err(|e| damaged(&e))?;
                Decoder::Zstd(Box::new(decoder))
            }
            _ => Decoder::Plain(source),
        };
        Ok(Self { decoder, limits, out: 0 })
    }

    fn source(&mut self) -> &mut Source<'a> {
        match &mut self.decoder {
            Decoder::Plain(s) => s,
            Decoder::Gzip(d) => d.get_mut(),
            Decoder::Xz(d) => d.inner_mut(),
            Decoder::Zstd(d) => d.get_mut(),
        }
    }

    /// After the last byte: the compressed stream must have ended exactly with its member.
    pub fn finish(mut self) -> Result<()> {
        let doing = || "cannot read the archive";
        let mut rest = [0; 1];
        if self.read(&mut rest).map_err(|e| damaged(&e))? != 0 {
            return Err(refused("there is data behind the end of the tar archive"));
        }
        if let Decoder::Zstd(zstd) = &self.decoder {
            let (said, is) = (zstd.decoder.get_checksum_from_data(), zstd.decoder.get_calculated_checksum());
            if said.is_some() && said != is {
                return Err(damaged(&"checksum of the zstd frame"));
            }
        }
        let source = self.source();
        if !source.fill_buf().doing(doing)?.is_empty() {
            return Err(refused("there are bytes behind the end of the compressed stream"));
        }
        Ok(())
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.decoder {
            Decoder::Plain(s) => s.read(buffer),
            Decoder::Gzip(d) => d.read(buffer),
            Decoder::Xz(d) => d.read(buffer),
            Decoder::Zstd(d) => d.read(buffer),
        }?;
        self.out += n as u64;
        let (out, limits) = (self.out, self.limits);
        let went_in = self.source().get_ref().count;
        if out > limits.total {
            return Err(io::Error::other(format!("it unpacks to more than {} bytes", limits.total)));
        }
        if out > limits.free && out / limits.ratio > went_in {
            return Err(io::Error::other(format!(
                "it unpacks to more than {} times its size, as decompression bombs do",
                limits.ratio
            )));
        }
        Ok(n)
    }
}

/// A refusal for an archive that can't be read.
pub fn damaged(error: &impl std::fmt::Display) -> host::Error {
    refused(format!("it is damaged: {error}"))
}

/// Compresses with xz, the same bytes for the same input.
pub fn xz(bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;
    let doing = || "cannot compress the control archive";
    // Level 3: a third of the time of level 6 for a tenth more bytes, and its dictionary of 4 MiB still
    // folds the four copies of the hook into one.
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(3)).doing(doing)?;
    writer.write_all(bytes).doing(doing)?;
    writer.finish().doing(doing)
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { total: 1 << 20, ratio: 50, free: 64 << 10 };

    fn unpack(name: &str, bytes: &[u8], limits: Limits) -> Result<Vec<u8>> {
        let mut source = bytes;
        let mut reader = Bounded::new(name, &mut source, limits)?;
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map_err(|e| damaged(&e))?;
        reader.finish()?;
        Ok(out)
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn zst(bytes: &[u8]) -> Vec<u8> {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn every_format(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("a.tar", content.to_vec()),
            ("a.tar.gz", gz(content)),
            ("a.tar.xz", xz(content).unwrap()),
            ("a.tar.zst", zst(content)),
        ]
    }

    fn noise(size: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 24) as u8
        };
        (0..size).map(|_| next()).collect()
    }

    #[test]
    fn every_format_is_read_whole_and_nothing_behind_it() {
        let content = noise(200_000);
        for (name, packed) in every_format(&content) {
            assert_eq!(unpack(name, &packed, SMALL).unwrap(), content, "{name}");
            if name == "a.tar" {
                continue;
            }
            let mut longer = packed.clone();
            longer.push(0);
            let said = unpack(name, &longer, SMALL).unwrap_err().to_string();
            assert!(said.contains("behind the end"), "{name}: {said}");
            let doubled = [packed.clone(), packed.clone()].concat();
            assert!(unpack(name, &doubled, SMALL).is_err(), "{name}");
            assert!(unpack(name, &packed[..packed.len() / 2], SMALL).is_err(), "{name}");
        }
    }

    #[test]
    fn bombs_are_refused_while_they_unfold() {
        for (name, packed) in every_format(&vec![0; 1 << 19]).into_iter().skip(1) {
            let said = unpack(name, &packed, SMALL).unwrap_err();
            assert!(said.to_string().contains("50 times its size"), "{name}: {said}");
            assert_eq!(said.kind().exit_code(), 6);
        }
        for (name, packed) in every_format(&noise(1 << 20 | 1)) {
            let said = unpack(name, &packed, SMALL).unwrap_err().to_string();
            assert!(said.contains("more than 1048576 bytes"), "{name}: {said}");
        }
    }
}
