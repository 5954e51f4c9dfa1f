//! Which images there are, and where they lie: those of the boot archive, and those that somebody has uploaded.
//!
//! The catalog hands out places, not bytes: who may read images has the same areas mapped.
#![no_std]
#![forbid(unsafe_code)]

use heapless::Vec;
use strata_protocol::archive::{Archive, Kind};
use strata_protocol::store::{Area, ImageRef, Reply, Request, UPLOAD_SIZE, UPLOADS_MAX};
use strata_protocol::{Errno, ModuleName, Refusal};

/// An uploaded image.
#[derive(Debug)]
struct Upload {
    name: ModuleName,
    image: ImageRef,
}

/// All images. No two uploads overlap, so replacing one leaves the others whole.
#[derive(Debug)]
pub struct Catalog<'a> {
    archive: Archive<'a>,
    uploads: Vec<Upload, UPLOADS_MAX>,
}

impl<'a> Catalog<'a> {
    /// The images of a boot archive; no uploads.
    #[must_use]
    pub const fn new(archive: Archive<'a>) -> Self {
        Self { archive, uploads: Vec::new() }
    }

    /// Answers a request.
    pub fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Find { name } => self.find(name),
            Request::List { index } => self.list(index),
            Request::Put { name, offset, size } => self.put(name, offset, size),
            Request::Remove { name } => self.remove(&name),
        }
    }

    fn find(&self, name: ModuleName) -> Reply {
        let uploaded = self.uploads.iter().find(|upload| upload.name == name).map(|upload| upload.image);
        let image = uploaded.or_else(|| {
            let file = self.archive.find(&name)?;
            matches!(file.kind, Kind::Module | Kind::Base).then(|| archived(file.offset, file.bytes.len()))
        });
        match image {
            Some(image) => Reply::Image { name, image },
            None => refuse(Errno::ENOENT, &name, "no image of that name"),
        }
    }

    fn list(&self, index: u32) -> Reply {
        let uploads = self.uploads.iter().map(|upload| (upload.name.clone(), upload.image));
        let modules = self.archive.files().filter(|file| file.kind == Kind::Module);
        let modules =
            modules.map(|file| (ModuleName::cut(file.name), archived(file.offset, file.bytes.len())));
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        match uploads.chain(modules).nth(position) {
            Some((name, image)) => Reply::Image { name, image },
            None => Reply::Done,
        }
    }

    fn put(&mut self, name: ModuleName, offset: u64, size: u64) -> Reply {
        if name.is_empty() {
            return refuse(Errno::EINVAL, "upload", "an image has a name");
        }
        let Some(end) = offset.checked_add(size).filter(|end| size != 0 && *end <= UPLOAD_SIZE) else {
            return refuse(Errno::ERANGE, &name, "not within the upload area");
        };
        let others = || self.uploads.iter().filter(|upload| upload.name != name);
        let overlaps = |other: &&Upload| {
            let (start, length) = (other.image.offset, other.image.size);
            offset < start + length && start < end
        };
        if let Some(other) = others().find(overlaps) {
            let why = format_args!("its place overlaps that of {}", other.name);
            return Reply::Refused(Refusal::format(Errno::EBUSY, &name, why));
        }
        if others().count() == UPLOADS_MAX {
            return refuse(Errno::ENOSPC, &name, "too many uploads");
        }
        self.uploads.retain(|upload| upload.name != name);
        let image = ImageRef { area: Area::Upload, offset, size };
        let added = self.uploads.push(Upload { name, image });
        assert!(added.is_ok(), "there is room for one more than the others");
        Reply::Done
    }

    fn remove(&mut self, name: &ModuleName) -> Reply {
        let before = self.uploads.len();
        self.uploads.retain(|upload| upload.name != *name);
        if self.uploads.len() < before { Reply::Done } else { refuse(Errno::ENOENT, name, "no such upload") }
    }
}

fn archived(offset: usize, size: usize) -> ImageRef {
    ImageRef { area: Area::Archive, offset: offset as u64, size: size as u64 }
}

fn refuse(errno: Errno, name: &str, why: &str) -> Reply {
    Reply::Refused(Refusal::new(errno, name, why))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec as StdVec;
    use strata_protocol::archive::{entry, header};

    fn bytes() -> StdVec<u8> {
        let mut out = StdVec::from(header(3, 3 * 4096));
        out.extend(entry("console", Kind::Server, 4096, 5).unwrap());
        out.extend(entry("hello", Kind::Module, 4096, 100).unwrap());
        out.extend(entry("base-image", Kind::Base, 8192, 200).unwrap());
        out.resize(3 * 4096, 0);
        out
    }

    fn name(text: &str) -> ModuleName {
        ModuleName::new(text).unwrap()
    }

    fn put(catalog: &mut Catalog<'_>, text: &str, offset: u64, size: u64) -> Result<(), Errno> {
        match catalog.answer(Request::Put { name: name(text), offset, size }) {
            Reply::Done => Ok(()),
            Reply::Refused(refusal) => Err(refusal.errno),
            reply => panic!("{reply:?}"),
        }
    }

    fn find(catalog: &mut Catalog<'_>, text: &str) -> Option<ImageRef> {
        match catalog.answer(Request::Find { name: name(text) }) {
            Reply::Image { image, .. } => Some(image),
            _ => None,
        }
    }

    fn names(catalog: &mut Catalog<'_>) -> StdVec<String> {
        let mut index = 0..;
        core::iter::from_fn(|| match catalog.answer(Request::List { index: index.next()? }) {
            Reply::Image { name, .. } => Some(name.to_string()),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn an_upload_comes_before_the_archive_until_it_is_removed() {
        let bytes = bytes();
        let mut catalog = Catalog::new(Archive::new(&bytes).unwrap());
        assert_eq!(find(&mut catalog, "hello"), Some(archived(4096, 100)));
        assert_eq!(find(&mut catalog, "base-image"), Some(archived(8192, 200)));
        assert_eq!(find(&mut catalog, "console"), None, "a server is no image to link");
        assert_eq!(put(&mut catalog, "hello", 64, 10), Ok(()));
        let image = find(&mut catalog, "hello").unwrap();
        assert_eq!((image.area, image.offset, image.size), (Area::Upload, 64, 10));
        assert_eq!(names(&mut catalog), ["hello", "hello"]);
        assert_eq!(catalog.answer(Request::Remove { name: name("hello") }), Reply::Done);
        assert!(matches!(catalog.answer(Request::Remove { name: name("hello") }), Reply::Refused(_)));
        assert_eq!(find(&mut catalog, "hello"), Some(archived(4096, 100)));
    }

    #[test]
    fn uploads_stay_within_the_area_and_apart() {
        let bytes = bytes();
        let mut catalog = Catalog::new(Archive::new(&bytes).unwrap());
        assert_eq!(put(&mut catalog, "", 0, 1), Err(Errno::EINVAL));
        for (offset, size) in [(0, 0), (UPLOAD_SIZE, 1), (1, UPLOAD_SIZE), (u64::MAX, 2)] {
            assert_eq!(put(&mut catalog, "a", offset, size), Err(Errno::ERANGE));
        }
        assert_eq!(put(&mut catalog, "a", 100, 100), Ok(()));
        for (offset, size) in [(99, 2), (199, 1), (0, 1000), (150, 1)] {
            assert_eq!(put(&mut catalog, "b", offset, size), Err(Errno::EBUSY));
        }
        assert_eq!(put(&mut catalog, "b", 200, 1), Ok(()));
        assert_eq!(put(&mut catalog, "a", 0, 200), Ok(()), "its own place may be used again");
        assert_eq!(find(&mut catalog, "a").map(|image| image.size), Some(200));
    }

    #[test]
    fn one_upload_too_many_is_refused_and_changes_nothing() {
        let bytes = bytes();
        let mut catalog = Catalog::new(Archive::new(&bytes).unwrap());
        for index in 0..UPLOADS_MAX as u64 {
            assert_eq!(put(&mut catalog, &std::format!("m{index}"), index * 10, 10), Ok(()));
        }
        let before = names(&mut catalog);
        assert_eq!(put(&mut catalog, "more", 1000, 10), Err(Errno::ENOSPC));
        assert_eq!(names(&mut catalog), before);
        assert_eq!(put(&mut catalog, "m3", 1000, 10), Ok(()), "replacing one needs no room");
    }
}
