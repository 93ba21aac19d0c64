#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("request"), |bytes: &[u8]| inputs::requests::request(bytes));
