#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("hooks"), |bytes: &[u8]| inputs::sealed::hooks(bytes));
