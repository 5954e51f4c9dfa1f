//! Passes the linker script, and where it finds the board's part.

fn main() {
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let board = std::env::var("DEP_BOARD_FOLDER").expect("selected-board says it");
    println!("cargo::rustc-link-arg-bins=-T{dir}/kernel.ld");
    println!("cargo::rustc-link-arg-bins=-L{board}");
    println!("cargo::rerun-if-changed=kernel.ld");
    println!("cargo::rerun-if-changed={board}/board.ld");
}
