#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("trailer"), |bytes: &[u8]| inputs::sealed::trailer(bytes));
