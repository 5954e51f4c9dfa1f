//! The capture file in the module's shared pages. A client maps them read-only and reads as far as the first page says.

use core::sync::atomic::{AtomicU64, Ordering};

use bpf::capture::Capture;
use bpf::tap::{FILE_AT, REGION_MAGIC, REGION_SIZE};
use kmod_api::Errno;

/// Where the file is, and how long.
pub(crate) struct Outlet {
    address: usize,
    length: usize,
}

impl Outlet {
    /// No region yet.
    pub(crate) const NOWHERE: Self = Self { address: 0, length: 0 };

    /// Takes the shared region: there is no file in it.
    pub(crate) fn attach(&mut self, address: u64, size: u64) -> Result<(), Errno> {
        if address == 0 || !address.is_multiple_of(8) || size < REGION_SIZE as u64 {
            return Err(Errno::ENOMEM);
        }
        self.address = usize::try_from(address).map_err(|_| Errno::ERANGE)?;
        self.set_length(0);
        self.words()[0].store(REGION_MAGIC, Ordering::Release);
        Ok(())
    }

    /// Begins a file of packets of a link type; what was there is gone.
    pub(crate) fn begin(&mut self, link_type: u32) -> Result<(), Errno> {
        self.set_length(0);
        let length = Capture::begin(self.bytes(), link_type).ok_or(Errno::ENOMEM)?.length();
        self.set_length(length);
        Ok(())
    }

    /// Bytes of the file.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// Lets `body` write at the end of the file, and publishes what it has written.
    pub(crate) fn append(&mut self, body: impl FnOnce(&mut Capture<'_>)) {
        let length = self.length;
        let mut file = Capture::resume(self.bytes(), length);
        body(&mut file);
        let length = file.length();
        self.set_length(length);
    }

    fn set_length(&mut self, length: usize) {
        self.length = length;
        self.words()[1].store(length as u64, Ordering::Release);
    }

    fn words(&self) -> &[AtomicU64; 2] {
        let words = core::ptr::with_exposed_provenance::<[AtomicU64; 2]>(self.address);
        // SAFETY: `attach`, which comes before every use, has the address of a region that the linker server mapped
        // read-write for this module, aligned and larger than a page; it stays until the module is unmapped.
        unsafe { &*words }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let bytes = core::ptr::with_exposed_provenance_mut::<u8>(self.address + FILE_AT);
        // SAFETY: as above, and these pages are written through this value alone, which is borrowed; clients have them
        // read-only in their own address spaces, and read no further than what has been published.
        unsafe { core::slice::from_raw_parts_mut(bytes, REGION_SIZE - FILE_AT) }
    }
}
