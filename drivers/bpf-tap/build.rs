//! Links this crate as a module: relocatable, in the shape of the module script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../kmod-api/module.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-r");
    println!("cargo:rustc-link-arg-bins=-T{script}");
}
