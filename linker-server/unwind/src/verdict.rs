//! The answer: is a thread inside of a piece of text?

use core::ops::Range;

use crate::exact::Scratch;
use crate::frame::{Code, Hull, Memory, Snapshot};
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
    /// The innermost address in the watched text that the thread executes at or returns to, as far as it is known.
    pub at: u64,
    /// Where the call returns to by which it came into the watched text; 0 if the walk did not see it.
    pub caller: u64,
}

/// A piece of text that is watched.
pub trait Watched {
    /// Whether an address is in it.
    fn contains(&self, at: u64) -> bool;

    /// A range outside of which nothing of it lies: most words of a stack are told by it alone.
    fn hull(&self) -> Range<u64> {
        0..u64::MAX
    }

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
    let hull = Hull::around(&watched.hull());
    let registers = &snapshot.registers;
    let stack = (snapshot.memory, snapshot.stack_from(registers.sp));
    !scan::is_clear(hull, registers.pc, &registers.x, stack, scan::records(snapshot))
        && scan::words(snapshot).any(|word| hull.contains(word) && watched.returns_into(word))
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
    let mut walk = Walk::new(code, snapshot, scratch);
    for frame in &mut walk {
        let within = watched.contains(frame.at()) || !frame.innermost && watched.contains(frame.pc);
        match &mut inside {
            None if within => inside = Some(Inside { method, at: frame.at(), caller: 0 }),
            Some(inside) if !within => {
                inside.caller = frame.pc;
                break;
            }
            _ => {}
        }
    }
    // Whatever the table says of the innermost frame, its link register counts.
    let link = snapshot.registers.link();
    let by_link = watched.returns_into(link).then_some(Inside { method, at: link, caller: 0 });
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
            let by_register = || scan::registers(snapshot).filter(|_| innermost);
            let mut words = by_register().chain(scan::stack(snapshot, from)).chain(scan::records(snapshot));
            let at = words.find(|word| watched.returns_into(*word))?;
            Some(Inside { method: Method::Conservative, at, caller: 0 })
        }
    }
}
