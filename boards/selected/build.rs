//! Hands on the board that `./x … --board` puts into the environment.

fn main() {
    println!("cargo:rerun-if-env-changed=STRATA_BOARD");
    let board = std::env::var("STRATA_BOARD").unwrap_or_else(|_| "qemu-virt".into());
    println!("cargo:rustc-env=STRATA_BOARD={board}");
}
