#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("call"), |bytes: &[u8]| inputs::called::call(bytes));
