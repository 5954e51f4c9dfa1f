//! Images in the upload area: renamed and damaged copies of those in the boot archive.

use core::ptr;

use strata_protocol::archive::Kind;
use strata_protocol::caps::slot;
use strata_protocol::store::{self, Area, ImageRef, UPLOAD_SIZE};
use strata_runtime::ipc::call;

use crate::agent::{Agent, Decision, name};
use crate::case::{Outcome, ensure, fail};

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
    /// A module's image in the boot archive.
    pub(crate) fn archived(&self, module: &str) -> Outcome<&'static [u8]> {
        match self.archive.find(module) {
            Some(file) if file.kind == Kind::Module => Ok(file.bytes),
            other => fail!("{module} is no module of the boot archive: {:?}", other.map(|file| file.kind)),
        }
    }

    /// Copies an image to the upload area.
    pub(crate) fn copy_up(&mut self, module: &str) -> Outcome<Upload> {
        let bytes = self.archived(module)?;
        ensure!(bytes.len() as u64 <= UPLOAD_SIZE, "{module} is larger than the upload area");
        let upload = Upload { at: self.upload as *mut u8, size: bytes.len() };
        upload.restore(bytes);
        Ok(upload)
    }

    /// Loads what is uploaded, under a name, without asking the store.
    pub(crate) fn load_upload(&mut self, module: &str, upload: &Upload, size: usize) -> Outcome<Decision> {
        let size = u64::try_from(size).unwrap_or(0).min(UPLOAD_SIZE);
        let _ = upload;
        self.try_load_image(module, ImageRef { area: Area::Upload, offset: 0, size })
    }

    /// Loads a copy of `module` under another name, by way of the store.
    pub(crate) fn try_load_as(&mut self, module: &str, alias: &str) -> Outcome<Decision> {
        let upload = self.copy_up(module)?;
        upload.rename(alias)?;
        let request = store::Request::Put { name: name(alias)?, offset: 0, size: upload.size as u64 };
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
    /// Puts the bytes back as they were.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        let count = bytes.len().min(self.size);
        // SAFETY: the area is mapped read-write and holds `size` bytes at least; the archive lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at, count) };
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
        let info = (0..self.size).find(|at| self.has(*at, INFO_MAGIC));
        match info {
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
