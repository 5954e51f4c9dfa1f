//! Passes the linker script, and where it finds the board's part.

fn main() {
    println!("cargo:rerun-if-env-changed=STRATA_BOARD");
    let board = std::env::var("STRATA_BOARD").unwrap_or_else(|_| "qemu-virt".into());
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-arg-bins=-T{dir}/chainloader.ld");
    println!("cargo:rustc-link-arg-bins=-L{dir}/../../boards/{board}");
    println!("cargo:rerun-if-changed=chainloader.ld");
    println!("cargo:rerun-if-changed=../../boards/{board}/board.ld");
}
