//! Links the release build of the hook without unwind tables; see `no-unwind.ld`.

fn main() {
    println!("cargo::rerun-if-changed=no-unwind.ld");
    // Test builds unwind, and so does whatever is not the static program that ships.
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|f| f == "crt-static");
    // Cargo doesn't tell the panic strategy; only the profile `hook` optimises for size.
    let ships = std::env::var("OPT_LEVEL").is_ok_and(|level| level == "z");
    if is_static && ships {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,--icf=all,--pack-dyn-relocs=relr");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/no-unwind.ld");
    }
}
