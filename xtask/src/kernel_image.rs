//! The bootable image: the flattened kernel, a header that says where the root task is, the flattened root task.
//!
//! ```text
//! 0x00  the boot protocol's header (64 bytes)
//! 0x40  "STRATAKI" version flags user_image_offset user_image_size user_virt_base user_entry total_size
//! …     kernel text, data, bss as zeros
//! user_image_offset (page aligned): the root task, as the kernel maps it
//! ```

use anyhow::{Result, bail};

use crate::flatten::{Flat, PAGE};

/// Where the header lies in the image.
const HEADER: usize = 0x40;
/// What the kernel has there when it is linked.
const MAGIC: &[u8; 8] = b"STRATAKI";
/// The layout's version.
const VERSION: u32 = 1;
/// The Linux boot protocol's header ends with this mark, and holds the image's size at 0x10.
const BOOT_MAGIC: (usize, &[u8; 4]) = (0x38, b"ARM\x64");
/// Where the boot protocol wants the size of the whole image.
const BOOT_IMAGE_SIZE: usize = 0x10;

/// Puts the root task behind the kernel and fills in the header.
pub(crate) fn assemble(kernel: &Flat, user: &Flat) -> Result<Vec<u8>> {
    let mut out = kernel.bytes.clone();
    if out.get(HEADER..HEADER + MAGIC.len()) != Some(MAGIC) {
        bail!("the kernel has no image header at {HEADER:#x}");
    }
    if out[HEADER + 8..HEADER + 12] != VERSION.to_le_bytes() {
        bail!("the kernel's image header is not of version {VERSION}");
    }
    let offset = u64::try_from(out.len())?;
    let size = u64::try_from(user.bytes.len())?;
    let total = offset + size;
    debug_assert!(offset.is_multiple_of(PAGE) && size.is_multiple_of(PAGE));
    let words = [offset, size, user.base, user.entry, total];
    for (position, word) in words.into_iter().enumerate() {
        let at = HEADER + 16 + position * 8;
        out[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    let (mark, magic) = BOOT_MAGIC;
    if out[mark..mark + magic.len()] == *magic {
        out[BOOT_IMAGE_SIZE..BOOT_IMAGE_SIZE + 8].copy_from_slice(&total.to_le_bytes());
    }
    out.extend_from_slice(&user.bytes);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Flat {
        let mut bytes = vec![0; 8192];
        bytes[HEADER..HEADER + 8].copy_from_slice(MAGIC);
        bytes[HEADER + 8] = 1;
        bytes[0x38..0x3c].copy_from_slice(b"ARM\x64");
        Flat { base: 0x4008_0000, entry: 0, bytes }
    }

    #[test]
    fn the_header_says_where_the_root_task_is() {
        let user = Flat { base: 0x40_0000, entry: 0x40_0123, bytes: vec![7; 4096] };
        let image = assemble(&kernel(), &user).unwrap();
        let word = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        assert_eq!(
            [word(0x50), word(0x58), word(0x60), word(0x68), word(0x70)],
            [8192, 4096, 0x40_0000, 0x40_0123, 12288]
        );
        assert_eq!(word(0x10), 12288);
        assert_eq!(&image[8192..], &[7; 4096]);
    }

    #[test]
    fn a_kernel_without_the_header_is_refused() {
        let user = Flat { base: 0, entry: 0, bytes: vec![0; 4096] };
        let mut wrong = kernel();
        wrong.bytes[HEADER] = 0;
        assert!(assemble(&wrong, &user).is_err());
        let mut newer = kernel();
        newer.bytes[HEADER + 8] = 2;
        assert!(assemble(&newer, &user).is_err());
        assert!(assemble(&Flat { base: 0, entry: 0, bytes: vec![] }, &user).is_err());
    }
}
