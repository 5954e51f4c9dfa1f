//! Where a call returns whose callee has faulted.

use crate::exact::Scratch;
use crate::frame::{Code, Frame, Memory, Place, Snapshot};
use crate::verdict::Watched;
use crate::walk::{End, Walk};

/// The way out of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The frame that called into it, as it finds its registers when the call returns.
    pub caller: Frame,
    /// The first instruction of the function that it called; 0 where no table tells it.
    pub function: u64,
}

/// Finds the call by which a thread that executes in the watched text came into it.
///
/// `None` where the thread does not execute there, or the tables do not lead out of it: the thread cannot be made to
/// return then.
pub fn exit<C: Code, M: Memory>(
    code: &C,
    snapshot: &Snapshot<'_, M>,
    watched: &impl Watched,
    scratch: &mut Scratch,
) -> Option<Exit> {
    if !watched.contains(snapshot.registers.pc) {
        return None;
    }
    let mut function = 0;
    let mut walk = Walk::new(code, snapshot, scratch);
    for frame in &mut walk {
        if !watched.contains(frame.at()) {
            return Some(Exit { caller: frame, function });
        }
        function = match code.place(frame.at()) {
            Place::Tabled(tables) => tables.function(frame.at()).map_or(0, |function| function.start),
            _ => 0,
        };
    }
    debug_assert!(walk.end() != End::Root || function != 0, "a thread does not start in a module");
    None
}
