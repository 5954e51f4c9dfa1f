//! Guest memory, where QEMU keeps it, and address translation by the guest's own tables.

/// log2 of the smallest page.
pub(crate) const PAGE_BITS: u64 = 12;
const INDEX_BITS: u64 = 9;
const ROOT_SHIFT: u64 = 39;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// One piece of guest memory that lies in one piece in QEMU.
#[derive(Clone, Copy)]
pub(crate) struct Ram {
    base: u64,
    bytes: u64,
    /// Address in QEMU of guest address `base`.
    host: u64,
}

impl Ram {
    /// Memory of which `host` is QEMU's address of guest physical address `physical`.
    ///
    /// # Safety
    /// QEMU keeps `bytes` of guest memory from `base` on in one piece, and `host` is the address of `physical` in it.
    pub(crate) unsafe fn new(base: u64, bytes: u64, physical: u64, host: u64) -> Option<Self> {
        let offset = physical.checked_sub(base).filter(|&offset| offset < bytes)?;
        Some(Self { base, bytes, host: host.checked_sub(offset)? })
    }

    /// The guest's address of something in QEMU.
    pub(crate) fn physical(&self, host: u64) -> Option<u64> {
        let offset = host.checked_sub(self.host).filter(|&offset| offset < self.bytes)?;
        Some(self.base + offset)
    }

    fn pointer(&self, physical: u64, bytes: u64) -> Option<usize> {
        let offset = physical.checked_sub(self.base)?;
        let fits = offset.checked_add(bytes)? <= self.bytes && physical.is_multiple_of(bytes);
        fits.then(|| usize::try_from(self.host + offset).ok()).flatten()
    }

    /// The aligned 32-bit word at a guest address.
    pub(crate) fn word(&self, physical: u64) -> Option<u32> {
        let pointer = self.pointer(physical & !3, 4)?;
        // SAFETY: inside the guest's memory (`new`), aligned; QEMU never gives it back while it runs.
        Some(unsafe { std::ptr::with_exposed_provenance::<u32>(pointer).read_volatile() })
    }

    fn entry(&self, physical: u64) -> Option<u64> {
        let pointer = self.pointer(physical, 8)?;
        // SAFETY: as in `word`.
        Some(unsafe { std::ptr::with_exposed_provenance::<u64>(pointer).read_volatile() })
    }

    /// Walks four levels of 4 KiB tables (VMSAv8-64, 48-bit addresses) from the root for lower or upper addresses.
    pub(crate) fn translate(&self, lower: u64, upper: u64, at: u64) -> Option<u64> {
        let root = match at >> 48 {
            0 => lower,
            0xffff => upper,
            _ => return None,
        };
        let mut table = root & ADDRESS;
        let mut shift = ROOT_SHIFT;
        loop {
            let index = at >> shift & ((1 << INDEX_BITS) - 1);
            let entry = self.entry(table + index * 8)?;
            match (entry & 3, shift) {
                (3, PAGE_BITS) => break,
                (1, PAGE_BITS) | (0 | 2, _) => return None,
                (1, _) => break,
                _ => {}
            }
            table = entry & ADDRESS;
            shift -= INDEX_BITS;
        }
        let table_entry = self.entry(table + (at >> shift & ((1 << INDEX_BITS) - 1)) * 8)?;
        let mask = (1 << shift) - 1;
        Some(table_entry & ADDRESS & !mask | at & mask)
    }
}
