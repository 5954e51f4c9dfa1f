//! Frames from a host tool: images into the upload area, and lines that are carried out once.

use console_shell::command::Word;
use console_shell::{Failure, command};
use strata_protocol::caps::slot;
use strata_protocol::linker::{DRAIN_MS_DEFAULT, Request};
use strata_protocol::start::region;
use strata_protocol::store::{self, Area, ImageRef, UPLOAD_SIZE, UPLOADS_MAX};
use strata_protocol::uplink::{Intake, IntakeError, Uplink, decode, line_done, received};
use strata_protocol::{Errno, ModuleName};
use strata_runtime::ipc::call;

use crate::run::{self, Watchers};
use crate::session::{Session, garbled};

/// What has come from the host tool.
#[derive(Default)]
pub(crate) struct Inbox {
    intake: Intake,
    /// Where the image goes in the upload area.
    place: u64,
    /// The last line: number, status, CRC of what it wrote.
    last: Option<(u32, i32, u32)>,
}

/// Serves a frame.
pub(crate) fn serve(session: &mut Session, watchers: &mut Watchers, inbox: &mut Inbox, bytes: &mut [u8]) {
    match decode(bytes) {
        Ok(Uplink::Begin { name, size, crc }) => {
            let status = inbox.begin(session, name, size, crc).map_or_else(Errno::number, |()| 0);
            session.reply(&received(inbox.intake.next(), status));
        }
        Ok(Uplink::Data { offset, bytes }) => {
            let status = inbox.data(session, offset, bytes).map_or_else(Errno::number, |()| 0);
            session.reply(&received(inbox.intake.next(), status));
        }
        Ok(Uplink::Line { number, text }) => {
            let done = match inbox.last {
                Some(done) if done.0 == number => done,
                _ => inbox.line(session, watchers, number, text),
            };
            inbox.last = Some(done);
            session.reply(&line_done(done.0, done.1, done.2));
        }
        // The splitter hands on whole frames only.
        Err(_) => {}
    }
}

impl Inbox {
    fn begin(&mut self, session: &mut Session, name: &str, size: u32, crc: u32) -> Result<(), Errno> {
        let place = free_place(session, size.into())?;
        match self.intake.begin(name, size, crc) {
            // The same image goes on where it is.
            Ok(false) => Ok(()),
            Ok(true) => {
                self.place = place;
                Ok(())
            }
            Err(_) => Err(Errno::EINVAL),
        }
    }

    fn data(&mut self, session: &Session, offset: u32, bytes: &[u8]) -> Result<(), Errno> {
        if self.intake.accept(offset, bytes).map_err(errno)? {
            session.write_upload(self.place + u64::from(offset), bytes);
        }
        Ok(())
    }

    fn line(
        &mut self,
        session: &mut Session,
        watchers: &mut Watchers,
        number: u32,
        text: &str,
    ) -> (u32, i32, u32) {
        session.flush();
        session.written = !0;
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let words = words.map(|word| word.strip_prefix("--").map_or(Word::Value(word), Word::Option));
        let result = if name == "modpush" {
            self.push(session, words)
        } else {
            command::parse(name, words).and_then(|command| run::run(session, watchers, command))
        };
        if let Err(failure) = &result {
            session.line(format_args!("{failure}"));
        }
        let status = result.map_or_else(|failure| failure.status(), |()| 0);
        (number, status, !session.written)
    }

    /// Puts the image that has come in place of the module of its name. Where it is refused everything is as before: the
    /// old image has its name again, and serves if it did.
    fn push<'a>(
        &mut self,
        session: &mut Session,
        mut words: impl Iterator<Item = Word<'a>>,
    ) -> Result<(), Failure> {
        let what = "modpush";
        let Some(Word::Value(text)) = words.next() else {
            return Err(Failure::new(what, "", Errno::EINVAL, "needs NAME"));
        };
        let fail = |errno, why| Failure::new(what, text, errno, why);
        let name =
            ModuleName::new(text).ok_or_else(|| fail(Errno::ENAMETOOLONG, "no module is called so"))?;
        let size = self.intake.complete(text).map_err(|error| fail(errno(error), why(error)))?;
        let image = ImageRef { area: Area::Upload, offset: self.place, size: size.into() };
        let old = find(session, what, &name)?;
        put(session, what, &name, Some(image))?;
        if let Err(failure) = replace(session, what, &name, image, old) {
            put(session, what, &name, old.filter(|old| old.area == Area::Upload))?;
            return Err(failure);
        }
        // Its place is the store's now.
        self.intake.forget();
        session.line(format_args!("{name}: loaded, {size} bytes"));
        Ok(())
    }
}

/// Loads an image, in place of the module of its name if there is one.
///
/// The image is tried while the old one serves: a signature or a record that is not right is refused without anybody
/// having noticed, and only a name that is taken says that all else is right so far.
fn replace(
    session: &mut Session,
    what: &'static str,
    name: &ModuleName,
    image: ImageRef,
    old: Option<ImageRef>,
) -> Result<(), Failure> {
    let taken = match load(session, what, name, image) {
        Err(failure) if failure.status() == Errno::EEXIST.number() => failure,
        result => return result,
    };
    session.ask(what, &Request::Unload { name: name.clone(), drain_ms: DRAIN_MS_DEFAULT }).map_err(
        // What is taken is not the name, but what the module provides.
        |failure| if failure.status() == Errno::ENOENT.number() { taken } else { failure },
    )?;
    session.line(format_args!("{name}: unloaded"));
    load(session, what, name, image).or_else(|failure| {
        if let Some(old) = old {
            load(session, what, name, old)?;
            session.line(format_args!("{name}: the old image is loaded again"));
        }
        Err(failure)
    })
}

fn load(
    session: &mut Session,
    what: &'static str,
    name: &ModuleName,
    image: ImageRef,
) -> Result<(), Failure> {
    let domain = ModuleName::default();
    session.ask(what, &Request::Load { name: name.clone(), domain, image }).map(|_| ())
}

fn ask_store(
    session: &mut Session,
    what: &'static str,
    request: &store::Request,
) -> Result<store::Reply, Failure> {
    call(session.ipc, slot::STORE, request).map_err(|error| garbled(what, error))
}

/// The image that the store has under this name.
fn find(session: &mut Session, what: &'static str, name: &ModuleName) -> Result<Option<ImageRef>, Failure> {
    let reply = ask_store(session, what, &store::Request::Find { name: name.clone() })?;
    Ok(if let store::Reply::Image { image, .. } = reply { Some(image) } else { None })
}

/// Names an uploaded image, or takes the name away.
fn put(
    session: &mut Session,
    what: &'static str,
    name: &ModuleName,
    image: Option<ImageRef>,
) -> Result<(), Failure> {
    let name = name.clone();
    let request = match image {
        Some(ImageRef { offset, size, .. }) => store::Request::Put { name, offset, size },
        None => store::Request::Remove { name },
    };
    match ask_store(session, what, &request)? {
        store::Reply::Refused(refusal) if image.is_some() => Err(Failure::refused(what, &refusal)),
        // What was not there is away.
        _ => Ok(()),
    }
}

/// The first place in the upload area that no named image lies in: the old image of a name stays until the new one is in
/// service.
fn free_place(session: &mut Session, size: u64) -> Result<u64, Errno> {
    if session.start.region(region::UPLOAD).is_none() || size > UPLOAD_SIZE {
        return Err(Errno::E2BIG);
    }
    let mut place = 0;
    // Each round steps over one image; there are so many at most.
    for _ in 0..=UPLOADS_MAX {
        match upload_within(session, place, size)? {
            None => return if place + size <= UPLOAD_SIZE { Ok(place) } else { Err(Errno::ENOSPC) },
            Some(end) => place = end,
        }
    }
    Err(Errno::ENOSPC)
}

/// Where the last upload ends that overlaps this range.
fn upload_within(session: &mut Session, start: u64, size: u64) -> Result<Option<u64>, Errno> {
    let mut end = None;
    for index in 0.. {
        let reply = ask_store(session, "modpush", &store::Request::List { index }).map_err(|_| Errno::EIO)?;
        // Uploads come first.
        let store::Reply::Image { image: ImageRef { area: Area::Upload, offset, size: length }, .. } = reply
        else {
            break;
        };
        if offset < start + size && start < offset + length {
            end = end.max(Some((offset + length).next_multiple_of(8)));
        }
    }
    Ok(end)
}

fn errno(error: IntakeError) -> Errno {
    match error {
        IntakeError::NotBegun => Errno::ENOENT,
        IntakeError::BadName => Errno::EINVAL,
        IntakeError::OutOfOrder => Errno::ERANGE,
        IntakeError::Damaged | IntakeError::Incomplete => Errno::EIO,
    }
}

fn why(error: IntakeError) -> &'static str {
    match error {
        IntakeError::NotBegun => "no image of that name was sent; `./x push` sends one",
        IntakeError::BadName => "no module is called so",
        IntakeError::OutOfOrder => "bytes out of order",
        IntakeError::Damaged => "what came is not what was announced",
        IntakeError::Incomplete => "the image has not come whole",
    }
}
