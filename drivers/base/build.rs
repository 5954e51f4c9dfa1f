//! Links the base image at its place, with the relocations kept and the string table of defmt laid out.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/base.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo:rustc-link-arg-bins=--emit-relocs");
}
