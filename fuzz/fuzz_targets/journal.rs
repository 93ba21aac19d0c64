#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("journal"), |bytes: &[u8]| inputs::states::journal(bytes));
