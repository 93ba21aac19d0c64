#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("tar"), |bytes: &[u8]| inputs::container::tar(bytes));
