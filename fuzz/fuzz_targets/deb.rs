#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("deb"), |bytes: &[u8]| inputs::container::deb(bytes));
