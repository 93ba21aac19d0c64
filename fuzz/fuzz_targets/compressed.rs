#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("compressed"), |bytes: &[u8]| inputs::container::compressed(bytes));
