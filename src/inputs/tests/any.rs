//! What the fuzzers look for, in every `cargo test`: any bytes, damaged samples, and all that a
//! fuzzer ever found. A check panics where a rule is broken; see the crate's page.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use inputs::{ALL, Input, samples};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Files that the fuzzers kept: what once broke a rule, and what reaches deep.
fn kept(input: &Input) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(input.name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn run(cases: u32, strategy: impl Strategy<Value = Vec<u8>>, check: fn(&[u8])) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |bytes| {
            check(&bytes);
            Ok(())
        })
        .unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn what_a_fuzzer_found_stays_mended() {
    for input in ALL {
        let files = kept(&input);
        assert!(!files.is_empty(), "fuzz/seeds/{} is empty: scripts/fuzz.sh keeps files there", input.name);
        for file in files {
            eprintln!("{}", file.display()); // Shown only if the next line panics.
            (input.check)(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    for input in ALL {
        run(200, prop::collection::vec(any::<u8>(), 0..600), input.check);
        run(100, "\\PC{0,200}".prop_map(String::into_bytes), input.check);
    }
}

/// One place of a sample changed.
#[derive(Debug, Clone)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Out(prop::sample::Index, usize),
    Twice(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let odd = prop::sample::select(vec![
        b"\0".to_vec(),
        b"\n".to_vec(),
        b"../".to_vec(),
        b"\"".to_vec(),
        b"-1".to_vec(),
        b"99999999999999999999".to_vec(),
        vec![0xff; 4],
        "\u{2028}é".into(),
    ]);
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), 1usize..40).prop_map(|(at, n)| Damage::Out(at, n)),
        2 => (at(), 1usize..600).prop_map(|(at, n)| Damage::Twice(at, n)),
        2 => (at(), odd).prop_map(|(at, text)| Damage::Insert(at, text)),
    ]
}

fn damaged(mut bytes: Vec<u8>, how: &[Damage]) -> Vec<u8> {
    for damage in how {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match damage {
            Damage::Byte(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Out(at, n) => drop(bytes.drain(at.index(length)..(at.index(length) + n).min(length))),
            Damage::Twice(at, n) => {
                let part = bytes[at.index(length)..(at.index(length) + n).min(length)].to_vec();
                bytes.splice(at.index(length)..at.index(length), part);
            }
            Damage::Insert(at, text) => drop(bytes.splice(at.index(length)..at.index(length), text.clone())),
        }
    }
    bytes
}

#[test]
fn damaged_samples_are_read_or_refused() {
    for input in ALL {
        let samples = samples::of(input.name);
        assert!(!samples.is_empty(), "{} has no sample", input.name);
        let strategy = (prop::sample::select(samples), prop::collection::vec(damage(), 0..5));
        run(400, strategy.prop_map(|(sample, how)| damaged(sample, &how)), input.check);
    }
}
