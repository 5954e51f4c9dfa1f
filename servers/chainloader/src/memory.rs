//! The way to the places of `chain::places`.
use chain::places::{self, END};
use chain::{KERNEL_MAX, Mark, Memory, Part, TREE_MAX};
use selected_board::BOARD;

/// Where the kernel is started.
pub(crate) const KERNEL: u64 = BOARD.load_address;
/// Where the tree comes, and stays.
pub(crate) const TREE: u64 = KERNEL + places::TREE;
const MARK: u64 = KERNEL + places::MARK;
const STAGE: u64 = KERNEL + places::STAGE;

const _: () = {
    let ram = BOARD.ram[0];
    assert!(ram.start <= KERNEL && KERNEL + END <= ram.start + ram.size);
};

/// The memory above where the kernel is started. There is one.
pub(crate) struct Places(());

impl Places {
    /// # Safety
    /// Called once. Nobody else has anything between [`TREE`] and the end of what is kept there.
    pub(crate) const unsafe fn new() -> Self {
        Self(())
    }

    /// Puts the kernel where it is started.
    ///
    /// # Safety
    /// Nothing between [`KERNEL`] and this image is needed any more; `size` is at most [`KERNEL_MAX`].
    pub(crate) unsafe fn place(&self, size: u32) {
        let from = self.bytes(Part::Kernel, size).as_ptr();
        // SAFETY: both are memory, the ranges are apart (`places`), and the caller promises the rest.
        unsafe { core::ptr::copy_nonoverlapping(from, pointer(KERNEL), from_u32(size)) };
    }
}

fn pointer<T>(address: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or(0))
}

fn from_u32(size: u32) -> usize {
    usize::try_from(size).unwrap_or(0)
}

const fn place(part: Part) -> (u64, u32) {
    match part {
        Part::Kernel => (STAGE, KERNEL_MAX),
        Part::Tree => (TREE, TREE_MAX),
    }
}

impl Memory for Places {
    fn write(&mut self, part: Part, offset: u32, bytes: &[u8]) {
        let (start, size) = place(part);
        let ends_inside = u32::try_from(bytes.len()).ok().and_then(|count| offset.checked_add(count));
        assert!(ends_inside.is_some_and(|end| end <= size), "the intake has looked at the size");
        let to = pointer(start + u64::from(offset));
        // SAFETY: it ends inside of the part, which is memory that is ours alone; `bytes` lies in this image.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn bytes(&self, part: Part, size: u32) -> &[u8] {
        let (start, max) = place(part);
        // SAFETY: memory, ours alone, and written through `self` only, which is borrowed.
        unsafe { core::slice::from_raw_parts(pointer(start), from_u32(size.min(max))) }
    }

    fn mark(&self) -> Mark {
        // SAFETY: memory, ours alone, aligned; any bytes are a mark, and chain looks at its CRC.
        let words: [u32; 4] = unsafe { pointer::<[u32; 4]>(MARK).read_volatile() };
        let [size, crc, next, check] = words;
        Mark { size, crc, next, check }
    }

    fn set_mark(&mut self, mark: Mark) {
        let words = [mark.size, mark.crc, mark.next, mark.check];
        // SAFETY: as for `mark`.
        unsafe { pointer::<[u32; 4]>(MARK).write_volatile(words) };
    }
}
