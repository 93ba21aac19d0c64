#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("snapshot"), |bytes: &[u8]| inputs::states::snapshot(bytes));
