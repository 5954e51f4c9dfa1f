//! The board that images are built for.
//!
//! `./x … --board` puts the name into the environment of the build; without it the board is QEMU's virt machine.
#![no_std]
#![forbid(unsafe_code)]

use board::{Board, is_same};
use boards::BOARDS;

/// The board that this build is for.
pub const BOARD: &Board = {
    let mut i = 0;
    while !is_same(BOARDS[i].name, env!("STRATA_BOARD")) {
        i += 1;
        assert!(i < BOARDS.len(), "STRATA_BOARD names no board");
    }
    BOARDS[i]
};
