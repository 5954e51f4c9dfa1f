//! The bootable image: the flattened kernel, a header that says where the root task is, the flattened root task.
//!
//! ```text
//! 0x00  the first instructions
//! 0x40  the header, zeros as linked: "STRATAKI" version flags user_image_offset user_image_size user_virt_base …
//! …     kernel text, data, bss as zeros
//! user_image_offset (page aligned): the root task, as the kernel maps it
//! ```

use anyhow::{Context, Result, bail};
use board::Board;
use microkernel_abi::image::{HEADER_OFFSET, HEADER_SIZE, MAGIC, VERSION};

use crate::flatten::{Flat, PAGE};

/// Puts the root task behind the kernel and fills in the header.
pub(crate) fn assemble(kernel: &Flat, user: &Flat, load_address: u64) -> Result<Vec<u8>> {
    if kernel.base != load_address {
        bail!("the kernel is linked for {:#x}, and the board loads it at {load_address:#x}", kernel.base);
    }
    let mut out = kernel.bytes.clone();
    let header =
        out.get_mut(HEADER_OFFSET..HEADER_OFFSET + HEADER_SIZE).context("the kernel is too short")?;
    if header.iter().any(|byte| *byte != 0) {
        bail!("the kernel has something else where its image header belongs, at {HEADER_OFFSET:#x}");
    }
    let offset = u64::try_from(kernel.bytes.len())?;
    let size = u64::try_from(user.bytes.len())?;
    debug_assert!(offset.is_multiple_of(PAGE) && size.is_multiple_of(PAGE));
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let words = [offset, size, user.base, user.entry, offset + size];
    for (position, word) in header[16..].chunks_exact_mut(8).zip(words) {
        position.copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&user.bytes);
    Ok(out)
}

/// What the kernel needs of a board's memory beside the image: the root task's tables and first objects, and something
/// to begin with.
const FREE_MIN: u64 = 4 << 20;

/// Is there room for an image of so many bytes in the memory that it is loaded into?
pub(crate) fn check_fit(board: &Board, bytes: usize) -> Result<()> {
    let start = board.load_address;
    let ram = board.ram.iter().find(|ram| (ram.start..ram.start + ram.size).contains(&start));
    let ram = ram.with_context(|| format!("{} has no memory at {start:#x}", board.name))?;
    let room = ram.start + ram.size - start;
    let size = u64::try_from(bytes)?;
    if size > room.saturating_sub(FREE_MIN) {
        bail!(
            "does not fit in memory: an image of {size:#x} bytes at {start:#x}, and {} has {room:#x} there",
            board.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD_ADDRESS: u64 = 0x8_0000;

    fn kernel() -> Flat {
        Flat { base: LOAD_ADDRESS, entry: 0, bytes: vec![0; 8192] }
    }

    #[test]
    fn the_header_says_where_the_root_task_is() {
        let user = Flat { base: 0x40_0000, entry: 0x40_0123, bytes: vec![7; 4096] };
        let image = assemble(&kernel(), &user, LOAD_ADDRESS).unwrap();
        let word = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        assert_eq!(&image[0x40..0x48], b"STRATAKI");
        assert_eq!(word(0x48), 1);
        let found = [word(0x50), word(0x58), word(0x60), word(0x68), word(0x70)];
        assert_eq!(found, [8192, 4096, 0x40_0000, 0x40_0123, 12288]);
        assert_eq!(&image[8192..], &[7; 4096]);
    }

    #[test]
    fn a_kernel_that_is_laid_out_otherwise_is_refused() {
        let user = Flat { base: 0, entry: 0, bytes: vec![0; 4096] };
        let mut code = kernel();
        code.bytes[HEADER_OFFSET] = 1;
        assert!(assemble(&code, &user, LOAD_ADDRESS).is_err());
        assert!(assemble(&Flat { base: LOAD_ADDRESS + PAGE, ..kernel() }, &user, LOAD_ADDRESS).is_err());
        assert!(assemble(&Flat { bytes: vec![], ..kernel() }, &user, LOAD_ADDRESS).is_err());
    }

    #[test]
    fn an_image_larger_than_the_memory_is_refused() {
        let board = boards::named("qemu-virt").unwrap();
        assert!(check_fit(board, 64 << 20).is_ok());
        let message = check_fit(board, 512 << 20).unwrap_err().to_string();
        assert!(message.contains("does not fit in memory"), "{message}");
    }
}
