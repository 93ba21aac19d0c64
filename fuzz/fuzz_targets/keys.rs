#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("keys"), |bytes: &[u8]| inputs::sealed::keys(bytes));
