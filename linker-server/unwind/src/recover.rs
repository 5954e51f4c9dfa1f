//! Where a call returns whose callee has faulted.

use crate::EXIT_FRAMES_MAX;
use crate::exact::Scratch;
use crate::frame::{Code, Frame, Memory, Place, Snapshot};
use crate::instruction::Effect;
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

/// Finds the call by which a thread that stands at a fault came into the watched text.
///
/// It executes there, or in a gate that leads there; or at no text at all, called from there. A fetch that faults has executed nothing: the
/// stack is its caller's, and x30 is where it would return to, if a call stands before that.
///
/// `None` where the thread was not in the watched text, or the tables do not lead out of it: it cannot be made to return
/// then.
pub fn exit<C: Code, M: Memory>(
    code: &C,
    snapshot: &Snapshot<'_, M>,
    watched: &impl Watched,
    scratch: &mut Scratch,
) -> Option<Exit> {
    let first = match code.place(snapshot.registers.pc) {
        Place::Nowhere => called_from(code, snapshot)?,
        // Nor does a fetch between two instructions execute anything.
        _ if !snapshot.registers.pc.is_multiple_of(4) => called_from(code, snapshot)?,
        _ => Frame::innermost(&snapshot.registers),
    };
    let mut walk = Walk::out_of(code, snapshot, first, scratch, EXIT_FRAMES_MAX);
    if let Place::Gate(_) = code.place(first.at()) {
        // The function behind it has not been entered, or has returned.
        let caller = walk.nth(1).filter(|caller| is_call(code, caller.at()));
        return caller.map(|caller| Exit { caller, function: 0 });
    }
    let mut function = None;
    for frame in &mut walk {
        if !watched.contains(frame.at()) {
            // A call came from there, or nothing here is right.
            let called = matches!(code.place(frame.pc), Place::Gate(_)) || is_call(code, frame.at());
            return function.filter(|_| called).map(|function| Exit { caller: frame, function });
        }
        function = Some(match code.place(frame.at()) {
            Place::Tabled(tables) => tables.function(frame.at()).map_or(0, |function| function.start),
            _ => 0,
        });
    }
    debug_assert!(walk.end() != End::Root || function != Some(0), "a thread does not start in a module");
    None
}

/// The caller of a call to where no text is.
fn called_from<C: Code, M: Memory>(code: &C, snapshot: &Snapshot<'_, M>) -> Option<Frame> {
    let registers = &snapshot.registers;
    let frame = Frame { pc: registers.link(), innermost: false, ..Frame::innermost(registers) };
    is_call(code, frame.at()).then_some(frame)
}

fn is_call<C: Code>(code: &C, at: u64) -> bool {
    code.instruction(at).is_some_and(|word| Effect::of(word) == Effect::Call)
}
