//! Where things lie while a chainloader runs, in bytes from where the firmware puts an image.
//!
//! ```text
//!  load      + 48 MiB         + 60 MiB          + 61 MiB   + 64 MiB                  + 96 MiB
//!  │ kernel … │ chainloader … │ tree to start … │ mark …   │ the image as it comes … │
//! ```
//! The kernel is copied to its place when it is started, and not before: that is also where the firmware puts the
//! chainloader again after a reset, and what came before the reset stays.

use crate::{KERNEL_MAX, TREE_MAX};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// The chainloader itself: chainloader.ld has the number, too.
pub const CHAINLOADER: u64 = 48 * MIB;
/// Where the tree comes, and stays.
pub const TREE: u64 = 60 * MIB;
/// Beside the image: what it is, and how much of it has come.
pub const MARK: u64 = 61 * MIB;
/// Where the kernel's image comes.
pub const STAGE: u64 = 64 * MIB;
/// All that is used ends here.
pub const END: u64 = STAGE + KERNEL_MAX as u64;

const _: () =
    assert!(KERNEL_MAX as u64 <= CHAINLOADER && TREE + TREE_MAX as u64 <= MARK && MARK + PAGE <= STAGE);

/// What a system has to leave alone so that its own image of so many bytes need not come again after a reset: start and
/// size, in pages.
#[must_use]
pub const fn kept(size: u32) -> [(u64, u64); 2] {
    [(MARK, PAGE), (STAGE, (size as u64).next_multiple_of(PAGE))]
}
