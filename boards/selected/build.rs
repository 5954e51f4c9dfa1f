//! Hands on the board that `./x … --board` puts into the environment: to the crate its name, to whoever depends on the
//! crate the board's folder (`DEP_BOARD_FOLDER`), which has its part of linker scripts.

fn main() {
    println!("cargo::rerun-if-env-changed=STRATA_BOARD");
    let board = std::env::var("STRATA_BOARD").unwrap_or_else(|_| "qemu-virt".into());
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rustc-env=STRATA_BOARD={board}");
    println!("cargo::metadata=folder={dir}/../{board}");
}
