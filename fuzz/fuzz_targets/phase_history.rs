#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::states::phase_history(bytes));
