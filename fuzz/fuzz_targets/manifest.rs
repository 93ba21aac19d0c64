#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("manifest"), |bytes: &[u8]| inputs::sealed::manifest(bytes));
