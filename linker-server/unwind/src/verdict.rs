//! The answer: is a thread inside of a piece of text?

use crate::exact::Scratch;
use crate::frame::{Code, Memory, Snapshot};
use crate::scan;
use crate::walk::{End, Walk};

/// How it is known that a thread is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A frame is inside.
    Precise,
    /// A word that may be a return address names it, and the tables do not tell otherwise.
    Conservative,
}

/// A thread is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// How that is known.
    pub method: Method,
    /// Return addresses outside of the watched text, from the innermost entrance on: the first of them that is a call
    /// of the watched text is how the thread came in. 0 if the walk saw none.
    pub caller: u64,
}

/// A piece of text that is watched.
pub trait Watched {
    /// Whether an address is in it.
    fn contains(&self, at: u64) -> bool;

    /// Whether a return address goes back into it: the call before it is in it.
    fn returns_into(&self, at: u64) -> bool {
        self.contains(at) || self.contains(at.wrapping_sub(4))
    }
}

impl<F: Fn(u64) -> bool> Watched for F {
    fn contains(&self, at: u64) -> bool {
        self(at)
    }
}

/// Whether some word may be a return address into the watched text.
pub fn scanned<M: Memory>(snapshot: &Snapshot<'_, M>, watched: &impl Watched) -> bool {
    scan::words(snapshot).any(|word| watched.returns_into(word))
}

/// What the walk alone says: a frame inside with its caller, or where it was lost.
///
/// # Errors
/// How the walk ended, if no frame is inside.
pub fn walked<C: Code, M: Memory>(
    code: &C,
    snapshot: &Snapshot<'_, M>,
    watched: &impl Watched,
    scratch: &mut Scratch,
) -> Result<Inside, End> {
    let method = Method::Precise;
    let mut inside = None;
    // Whatever the table says of the innermost frame, both of these count.
    let link = snapshot.registers.link();
    if watched.contains(snapshot.registers.pc) {
        inside = Some(Inside { method, caller: 0 });
    }
    let mut walk = Walk::new(code, snapshot, scratch);
    for frame in &mut walk {
        match &mut inside {
            None if watched.contains(frame.at()) => inside = Some(Inside { method, caller: 0 }),
            Some(inside) if !watched.contains(frame.at()) => {
                inside.caller = frame.pc;
                break;
            }
            _ => {}
        }
    }
    let by_link = watched.returns_into(link).then_some(Inside { method, caller: 0 });
    inside.or(by_link).ok_or_else(|| walk.end())
}

/// Whether a thread is inside of the watched text. Never "no" when it is.
pub fn verdict<C: Code, M: Memory>(
    code: &C,
    snapshot: &Snapshot<'_, M>,
    watched: &impl Watched,
    scratch: &mut Scratch,
) -> Option<Inside> {
    if !scanned(snapshot, watched) {
        return None;
    }
    match walked(code, snapshot, watched, scratch) {
        Ok(inside) => Some(inside),
        Err(End::Root) => None,
        Err(End::Lost { from, innermost }) => {
            let inside = Inside { method: Method::Conservative, caller: 0 };
            let by_stack = || scan::stack(snapshot, from).any(|word| watched.returns_into(word));
            let by_register = innermost && scan::registers(snapshot).any(|word| watched.returns_into(word));
            (by_register || by_stack()).then_some(inside)
        }
    }
}
