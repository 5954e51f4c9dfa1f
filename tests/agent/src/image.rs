//! Images in the upload area: renamed and damaged copies of those in the boot archive.

use core::ptr;

use kmod_trust::container::{split, trailer};
use kmod_trust::sign::SecretKey;
use strata_protocol::archive::Kind;
use strata_protocol::caps::slot;
use strata_protocol::store::{self, Area, ImageRef, UPLOAD_SIZE};
use strata_runtime::ipc::call;

use crate::agent::{Agent, Decision, name};
use crate::case::{Failure, Outcome, ensure, fail};

/// The key that the linker server trusts besides its own in a boot that runs a case.
const TEST_KEY: &str = include_str!(env!("STRATA_TEST_KEY"));
/// Where signed copies of what is uploaded are put together.
const SIGNED_AT: u64 = UPLOAD_SIZE / 2;
/// Where the information record's version stands.
const INFO_VERSION: usize = 16;
/// First word of a module's information record.
const INFO_MAGIC: &[u8] = b"STRATAKM";
/// Where the record's name stands, and its size.
const INFO_NAME: (usize, usize) = (48, 32);
/// Where an alias record's name stands, and its size.
const ALIAS_NAME: (usize, usize) = (40, 48);
/// What stands in front of the word that a case sets in a copy of a fixture.
const CONFIGURATION: &[u8] = b"CONFIGURATION=\0\0";
/// Size of an alias record.
const ALIAS_SIZE: usize = 88;

/// An image in the upload area.
///
/// Holding one proves that the bytes lie at the start of the area, and nothing else does.
pub(crate) struct Upload {
    at: *mut u8,
    /// Bytes of the image.
    pub(crate) size: usize,
}

impl Agent {
    /// A module's image in the boot archive, without its signature.
    pub(crate) fn archived(&self, module: &str) -> Outcome<&'static [u8]> {
        let signed = self.archived_signed(module)?;
        split(signed)
            .map(|parts| parts.image)
            .ok_or_else(|| Failure::new(format_args!("{module} is not signed")))
    }

    /// A module's image in the boot archive, with its signature.
    pub(crate) fn archived_signed(&self, module: &str) -> Outcome<&'static [u8]> {
        match self.archive.find(module) {
            Some(file) if file.kind == Kind::Module => Ok(file.bytes),
            other => fail!("{module} is no module of the boot archive: {:?}", other.map(|file| file.kind)),
        }
    }

    /// Copies an image to the upload area.
    pub(crate) fn copy_up(&mut self, module: &str) -> Outcome<Upload> {
        let bytes = self.archived(module)?;
        ensure!(bytes.len() as u64 <= SIGNED_AT, "{module} is larger than half of the upload area");
        Ok(self.upload_bytes(bytes))
    }

    /// Puts bytes at the start of the upload area, as they are.
    pub(crate) fn upload_bytes(&mut self, bytes: &[u8]) -> Upload {
        let upload = Upload { at: self.upload as *mut u8, size: bytes.len() };
        upload.restore(bytes);
        upload
    }

    /// Loads `size` bytes of what is uploaded, signed by the test key under a name, without asking the store.
    pub(crate) fn load_upload(&mut self, module: &str, upload: &Upload, size: usize) -> Outcome<Decision> {
        let image = self.signed(module, upload, size)?;
        self.try_load_image(module, image)
    }

    /// Signs `size` bytes of what is uploaded with the test key, under a name and the version in their record.
    pub(crate) fn signed(&mut self, module: &str, upload: &Upload, size: usize) -> Outcome<ImageRef> {
        let key = self.test_key()?;
        self.signed_by(&key, module, upload.version().unwrap_or(0), upload, size)
    }

    /// The key of tests.
    #[expect(clippy::unused_self, reason = "what a case works with comes from the agent")]
    pub(crate) fn test_key(&self) -> Outcome<SecretKey> {
        SecretKey::parse(TEST_KEY)
            .ok_or_else(|| Failure::new(format_args!("the agent was built without a test key")))
    }

    /// Signs `size` bytes of what is uploaded with any key, under any name and version.
    pub(crate) fn signed_by(
        &mut self,
        key: &SecretKey,
        module: &str,
        version: u32,
        upload: &Upload,
        size: usize,
    ) -> Outcome<ImageRef> {
        let comment = strata_protocol::Text::<80>::format(format_args!("name:{module}\tversion:{version}"));
        let image = &upload.bytes()[..size];
        let Some(signature) = key.sign(image, &comment) else { fail!("{comment} cannot be signed") };
        let Some(end) = trailer(signature.len()) else { fail!("the signature is too long") };
        let total = size + signature.len() + end.len();
        ensure!(total as u64 <= UPLOAD_SIZE - SIGNED_AT, "{module} is larger than half of the upload area");
        let mut to = (self.upload + SIGNED_AT) as *mut u8;
        for part in [image, signature.as_bytes(), &end] {
            // SAFETY: the area is mapped read-write; the parts fit behind SIGNED_AT, and what is uploaded lies in front.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            to = to.wrapping_add(part.len());
        }
        Ok(ImageRef { area: Area::Upload, offset: SIGNED_AT, size: total as u64 })
    }

    /// Loads a copy of `module` under another name, by way of the store.
    pub(crate) fn try_load_as(&mut self, module: &str, alias: &str) -> Outcome<Decision> {
        let upload = self.copy_up(module)?;
        upload.rename(alias)?;
        let image = self.signed(alias, &upload, upload.size)?;
        let request = store::Request::Put { name: name(alias)?, offset: image.offset, size: image.size };
        match call(self.ipc, slot::STORE, &request) {
            Ok(store::Reply::Done) => {}
            other => fail!("upload of {alias}: {other:?}"),
        }
        let decision = self.try_load(alias)?;
        match call(self.ipc, slot::STORE, &store::Request::Remove { name: name(alias)? }) {
            Ok(store::Reply::Done) => Ok(decision),
            other => fail!("removal of {alias}: {other:?}"),
        }
    }
}

impl Upload {
    /// Makes the image longer; what was there at its end is whatever the area held.
    pub(crate) fn extend(&mut self, by: usize) -> Outcome {
        ensure!(
            (self.size + by) as u64 <= SIGNED_AT,
            "the image would be larger than half of the upload area"
        );
        self.size += by;
        Ok(())
    }

    /// Puts the bytes back as they were.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        let count = bytes.len().min(self.size);
        // SAFETY: the area is mapped read-write and holds `size` bytes at least; the archive lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at, count) };
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the area is mapped and holds `size` bytes; the agent alone writes there, through `&self` of one thread.
        unsafe { core::slice::from_raw_parts(self.at, self.size) }
    }

    /// The version in its information record.
    pub(crate) fn version(&self) -> Option<u32> {
        let record = self.info()? + INFO_VERSION;
        let bytes = self.bytes().get(record..record + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Gives the image another version in its information record.
    pub(crate) fn set_version(&self, version: u32) -> Outcome {
        let Some(info) = self.info() else { fail!("the image has no information record") };
        for (i, byte) in version.to_le_bytes().into_iter().enumerate() {
            self.set(info + INFO_VERSION + i, byte);
        }
        Ok(())
    }

    /// Where its information record stands.
    fn info(&self) -> Option<usize> {
        self.bytes().windows(INFO_MAGIC.len()).position(|window| window == INFO_MAGIC)
    }

    /// A byte.
    pub(crate) fn get(&self, at: usize) -> u8 {
        assert!(at < self.size, "inside the image");
        // SAFETY: inside the image, which is mapped; the linker server only reads it.
        unsafe { self.at.wrapping_add(at).read_volatile() }
    }

    /// Changes a byte.
    pub(crate) fn set(&self, at: usize, byte: u8) {
        assert!(at < self.size, "inside the image");
        // SAFETY: inside the image, which is mapped read-write; the linker server only reads it, in its own mapping.
        unsafe { self.at.wrapping_add(at).write_volatile(byte) };
    }

    fn has(&self, at: usize, bytes: &[u8]) -> bool {
        at + bytes.len() <= self.size && bytes.iter().enumerate().all(|(i, byte)| self.get(at + i) == *byte)
    }

    fn write(&self, at: usize, room: usize, text: &str) {
        for i in 0..room {
            self.set(at + i, text.as_bytes().get(i).copied().unwrap_or(0));
        }
    }

    /// Gives the image another name in its information record.
    pub(crate) fn rename(&self, module: &str) -> Outcome {
        let (offset, room) = INFO_NAME;
        match self.info() {
            Some(info) if info + offset + room <= self.size && module.len() < room => {
                self.write(info + offset, room, module);
                Ok(())
            }
            _ => fail!("the image has no information record"),
        }
    }

    /// Sets the word behind a fixture's configuration mark.
    pub(crate) fn configure(&self, word: u64) -> Outcome {
        let mark = (0..self.size).find(|at| self.has(*at, CONFIGURATION));
        let Some(at) = mark.map(|at| at + CONFIGURATION.len()).filter(|at| at + 8 <= self.size) else {
            fail!("the image has no configuration");
        };
        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
            self.set(at + i, byte);
        }
        Ok(())
    }

    /// Where the alias record of a symbol starts.
    pub(crate) fn alias_record(&self, symbol: &str, kind: u8) -> Outcome<usize> {
        let (offset, _) = ALIAS_NAME;
        let is_record = |at: &usize| {
            self.get(*at) == kind
                && self.has(*at + offset, symbol.as_bytes())
                && self.get(*at + offset + symbol.len()) == 0
                && (4..8).all(|i| self.get(*at + i) == 0)
        };
        match (0..self.size.saturating_sub(ALIAS_SIZE)).find(is_record) {
            Some(at) => Ok(at),
            None => fail!("the image has no alias record of {symbol}"),
        }
    }
}
