//! However much an input promises: memory and time stay in proportion. One test alone in its
//! process, since it measures what the whole process allocates.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::{Duration, Instant};

use inputs::{ALL, samples};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A dictionary of 80 MiB, which the decompressors may ask for, and what stands beside it.
const MEMORY_LIMIT: usize = 200 << 20;
/// Unoptimised, on a busy machine; what is quadratic takes minutes.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What is small and asks for much.
fn greedy(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let long = |byte: u8| {
        let path = [b"./".as_slice(), &[byte; 4000], b"\0"].concat();
        samples::long_names(&path, 4_500)
    };
    match name {
        "control" => {
            let fields: String = (0..110_000).map(|n| format!("F{n:x}:\n")).collect();
            vec![("many fields", fields.into_bytes())]
        }
        "tar" => vec![
            ("long names", long(0xff)),
            ("deep names", samples::long_names(&[b"./".as_slice(), &b"a/".repeat(1900), b"b\0"].concat(), 2_000)),
            ("many control files", samples::many_control_files(40_000)),
        ],
        "compressed" => vec![
            ("zeros", [b"\x01".as_slice(), &samples::compress("gz", &samples::zeros(200 << 20))].concat()),
            ("zeros", [b"\x02".as_slice(), &samples::compress("zst", &samples::zeros(200 << 20))].concat()),
            ("long names", [b"\x01".as_slice(), &samples::compress("gz", &long(b'\\'))].concat()),
        ],
        "phase_history" => vec![("cut lines", b"#cut\n".repeat(200_000))],
        "journal" => {
            let begin = |n: usize| {
                format!(
                    "{{\"event\":\"begin\",\"id\":\"{n}\",\"time\":1,\"backend\":\"rust\",\"tool\":\"t\",\"phase\":\"p\",\"snapshot\":null,\"transaction\":null,\"paths\":{{}}}}\n{{\"event\":\"end\",\"id\":\"{n}\",\"time\":1,\"duration_ms\":1,\"outcome\":\"done\"}}\n"
                )
            };
            vec![("many operations", (0..40_000).map(begin).collect::<String>().into_bytes())]
        }
        "hooks" | "migration" => vec![
            ("nested arrays", [b"x = ".as_slice(), &b"[".repeat(100_000)].concat()),
            ("nested tables", [b"x = ".as_slice(), &b"{a=".repeat(100_000)].concat()),
            ("dotted keys", [b"a".as_slice(), &b".a".repeat(20_000), b" = 1\n"].concat()),
        ],
        "manifest" | "snapshot" | "state" => {
            vec![("nested arrays", b"[".repeat(1 << 20)), ("objects", b"{\"a\":".repeat(1 << 18))]
        }
        "interfaces" => vec![
            ("sources", b"source /etc/network/interfaces.d/*\n".repeat(20_000)),
            ("continued lines", b"iface a inet manual\\\n".repeat(50_000)),
        ],
        _ => Vec::new(),
    }
}

#[test]
fn memory_and_time_stay_in_proportion() {
    for input in ALL {
        let good = samples::of(input.name).into_iter().map(|sample| ("a good sample", sample));
        for (what, bytes) in good.chain(greedy(input.name)) {
            MEMORY.reset_peak_usage();
            let (before, began) = (MEMORY.current_usage(), Instant::now());
            (input.check)(&bytes);
            let (used, took) = (MEMORY.peak_usage() - before, began.elapsed());
            eprintln!("{}: {what}, {} bytes: {} MiB, {took:?}", input.name, bytes.len(), used >> 20);
            let limit = MEMORY_LIMIT + 3 * bytes.len();
            assert!(used < limit, "{}: {what}: {} MiB of memory", input.name, used >> 20);
            assert!(took < TIME_LIMIT, "{}: {what}: {took:?}", input.name);
        }
    }
}
