#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("control"), |bytes: &[u8]| inputs::sealed::control(bytes));
