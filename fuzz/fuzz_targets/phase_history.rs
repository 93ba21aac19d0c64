#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("phase_history"), |bytes: &[u8]| inputs::states::phase_history(bytes));
