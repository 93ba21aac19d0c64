#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("interfaces"), |bytes: &[u8]| inputs::states::interfaces(bytes));
