//! Lets dependent images find the linker script by its name.

fn main() {
    println!("cargo:rerun-if-changed=image.ld");
    println!("cargo:rustc-link-search={}", std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
}
