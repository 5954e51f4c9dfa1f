//! Keeps module images by name: those of the boot archive, and those that somebody has uploaded.
//!
//! It hands out places, not bytes: who may read images has the same areas mapped.
#![no_std]
#![no_main]

use heapless::Vec;
use strata_protocol::archive::{Archive, Kind};
use strata_protocol::caps::slot;
use strata_protocol::start::{StartInfo, region};
use strata_protocol::store::{Area, ImageRef, Reply, Request, UPLOAD_SIZE, UPLOADS_MAX};
use strata_protocol::{Errno, ModuleName, Refusal};
use strata_runtime::ipc::{get, put, receive, reply_receive};
use strata_runtime::{Ipc, entry};

entry!(main);

/// An uploaded image.
struct Upload {
    name: ModuleName,
    image: ImageRef,
}

/// All images.
struct Store {
    archive: Archive<'static>,
    uploads: Vec<Upload, UPLOADS_MAX>,
}

fn main(start: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let region = start.region(region::STORE).expect("the description names the boot archive");
    let size = usize::try_from(region.size).expect("addresses have 64 bits");
    // SAFETY: the root task maps the boot archive read-only for the life of the process.
    let bytes = unsafe { core::slice::from_raw_parts(region.address as *const u8, size) };
    let archive = Archive::new(bytes).expect("the root task has checked the same bytes");
    let mut store = Store { archive, uploads: Vec::new() };
    defmt::info!("{=usize} files", archive.files().count());

    let mut received = receive(ipc, slot::SERVICE);
    loop {
        let reply = match get(ipc, received.tag) {
            Ok(request) => store.answer(request),
            Err(_) => refuse(Errno::EINVAL, "store", "not a request of this version"),
        };
        let tag = put(ipc, &reply, 0).expect("an answer fits a message");
        received = reply_receive(ipc, slot::SERVICE, tag);
    }
}

impl Store {
    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Find { name } => self.find(name),
            Request::List { index } => self.list(index),
            Request::Put { name, offset, size } => self.put(name, offset, size),
            Request::Remove { name } => self.remove(&name),
        }
    }

    fn find(&self, name: ModuleName) -> Reply {
        let found = self.uploads.iter().find(|upload| upload.name == name);
        let image = found.map(|upload| upload.image).or_else(|| {
            let file =
                self.archive.find(&name).filter(|file| matches!(file.kind, Kind::Module | Kind::Base))?;
            Some(in_archive(file.offset, file.bytes.len()))
        });
        match image {
            Some(image) => Reply::Image { name, image },
            None => refuse(Errno::ENOENT, &name, "no image of that name"),
        }
    }

    fn list(&self, index: u32) -> Reply {
        let uploads = self.uploads.iter().map(|upload| (upload.name.clone(), upload.image));
        let modules = self.archive.files().filter(|file| file.kind == Kind::Module);
        let archived =
            modules.map(|file| (ModuleName::cut(file.name), in_archive(file.offset, file.bytes.len())));
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        match uploads.chain(archived).nth(position) {
            Some((name, image)) => Reply::Image { name, image },
            None => Reply::Done,
        }
    }

    fn put(&mut self, name: ModuleName, offset: u64, size: u64) -> Reply {
        if size == 0 || offset.checked_add(size).is_none_or(|end| end > UPLOAD_SIZE) {
            return refuse(Errno::ERANGE, &name, "not within the upload area");
        }
        if name.is_empty() {
            return refuse(Errno::EINVAL, "upload", "an image has a name");
        }
        self.uploads.retain(|upload| upload.name != name);
        let image = ImageRef { area: Area::Upload, offset, size };
        match self.uploads.push(Upload { name, image }) {
            Ok(()) => Reply::Done,
            Err(upload) => refuse(Errno::ENOSPC, &upload.name, "too many uploads"),
        }
    }

    fn remove(&mut self, name: &ModuleName) -> Reply {
        let before = self.uploads.len();
        self.uploads.retain(|upload| upload.name != *name);
        if self.uploads.len() < before { Reply::Done } else { refuse(Errno::ENOENT, name, "no such upload") }
    }
}

fn in_archive(offset: usize, size: usize) -> ImageRef {
    ImageRef { area: Area::Archive, offset: offset as u64, size: size as u64 }
}

fn refuse(errno: Errno, name: &str, why: &str) -> Reply {
    Reply::Refused(Refusal::new(errno, name, why))
}
