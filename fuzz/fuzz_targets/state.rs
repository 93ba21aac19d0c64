#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("state"), |bytes: &[u8]| inputs::states::state(bytes));
