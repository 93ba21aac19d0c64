#![no_main]

libfuzzer_sys::fuzz_target!(init: inputs::samples::put("migration"), |bytes: &[u8]| inputs::states::migration(bytes));
