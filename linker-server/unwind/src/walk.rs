//! The walk: from the innermost frame outwards, with the tables.

use crate::exact::{self, Scratch};
use crate::frame::{Code, Frame, Memory, Place, Record, Snapshot};
use crate::tables::{Row, Rule};
use crate::{FRAMES_MAX, tables};

/// Words of a counted gate at which its record stands: from behind the store that publishes it up to the store that
/// takes it back. Outside of them the return address is in x30.
const RECORDED: core::ops::RangeInclusive<usize> = 5..=9;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At a frame whose return address is 0: where a thread starts.
    Root,
    /// At a frame that cannot be followed further. Frames outside of it lie in the stack from this address on; if
    /// the frame is the innermost one, registers may name them, too.
    Lost {
        /// From where on the stack is not understood.
        from: u64,
        /// Whether not even the innermost frame is.
        innermost: bool,
    },
}

/// When a row is used for the innermost frame.
enum Trust<'s> {
    /// When the function's instructions bear it out.
    Exact(&'s mut Scratch),
    /// When they do not speak against it.
    NotRefuted(&'s mut Scratch),
    /// Always.
    All,
}

/// The frames of a thread, the innermost first. [`Walk::end`] tells how it ended.
pub struct Walk<'a, 's, C, M> {
    code: &'a C,
    snapshot: &'a Snapshot<'a, M>,
    records: &'a [Record],
    trust: Trust<'s>,
    next: Option<Frame>,
    count: usize,
    frames_max: usize,
    end: End,
}

impl<'a, 's, C: Code, M: Memory> Walk<'a, 's, C, M> {
    /// A walk that does not trust the table of the innermost function where its instructions do not bear it out.
    pub fn new(code: &'a C, snapshot: &'a Snapshot<'a, M>, scratch: &'s mut Scratch) -> Self {
        Self::begin(code, snapshot, Trust::Exact(scratch))
    }

    /// A walk that trusts the table of the innermost function where its instructions do not speak against it, and frame
    /// pointers in outer frames: for questions of which nothing worse than a wrong answer depends.
    pub fn lenient(code: &'a C, snapshot: &'a Snapshot<'a, M>, scratch: &'s mut Scratch) -> Self {
        Self::begin(code, snapshot, Trust::NotRefuted(scratch))
    }

    /// The same from a frame on, of `frames_max` frames at most.
    pub(crate) fn out_of(
        code: &'a C,
        snapshot: &'a Snapshot<'a, M>,
        frame: Frame,
        scratch: &'s mut Scratch,
        frames_max: usize,
    ) -> Self {
        Self { next: Some(frame), frames_max, ..Self::lenient(code, snapshot, scratch) }
    }

    /// A walk that trusts every table: for a frame that stands at an instruction of which nothing worse than a wrong
    /// answer depends.
    pub fn trusting(code: &'a C, snapshot: &'a Snapshot<'a, M>) -> Self {
        Self::begin(code, snapshot, Trust::All)
    }

    fn begin(code: &'a C, snapshot: &'a Snapshot<'a, M>, trust: Trust<'s>) -> Self {
        let next = Some(Frame::innermost(&snapshot.registers));
        let end = End::Lost { from: snapshot.registers.sp, innermost: true };
        let records = snapshot.records;
        Self { code, snapshot, records, trust, next, count: 0, frames_max: FRAMES_MAX, end }
    }

    /// How the walk ended; meaningful once it is over.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }

    fn caller(&mut self, frame: &Frame) -> Option<Frame> {
        match self.code.place(frame.at()) {
            Place::Tabled(tables) => self.caller_by_table(frame, tables),
            Place::Gate(word) => self.caller_of_gate(frame, word),
            Place::Thunk if frame.innermost => Some(return_to(frame, frame.x[30], frame.sp)),
            Place::Thunk | Place::Bare | Place::Nowhere => None,
        }
    }

    fn caller_by_table(&mut self, frame: &Frame, tables: tables::Tables<'_>) -> Option<Frame> {
        let function = tables.function(frame.at())?;
        let row = function.row(frame.at())?;
        let trusted = match &mut self.trust {
            _ if !frame.innermost => true,
            Trust::Exact(scratch) => exact::is_exact(self.code, &function, frame.pc, scratch),
            Trust::NotRefuted(scratch) => !exact::is_refuted(self.code, &function, frame.pc, scratch),
            Trust::All => true,
        };
        if !trusted {
            return None;
        }
        let lenient = matches!(self.trust, Trust::NotRefuted(_));
        step(frame, &row, self.snapshot, lenient)
    }

    fn caller_of_gate(&mut self, frame: &Frame, word: usize) -> Option<Frame> {
        // A return address in a gate stands behind its call, where the record still stands; so does `at`, which is
        // the call itself.
        if !RECORDED.contains(&word) {
            return Some(return_to(frame, frame.x[30], frame.sp));
        }
        let (last, rest) = self.records.split_last()?;
        self.records = rest;
        Some(return_to(frame, last.caller, frame.sp))
    }
}

impl<C: Code, M: Memory> Iterator for Walk<'_, '_, C, M> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = self.next.take()?;
        self.count += 1;
        self.end = End::Lost { from: frame.sp, innermost: frame.innermost };
        let caller = if self.count < self.frames_max { self.caller(&frame) } else { None };
        match caller {
            Some(caller) if caller.pc == 0 => self.end = End::Root,
            Some(caller) => self.next = Some(caller),
            None => {}
        }
        Some(frame)
    }
}

/// The frame that a frame returns to where nothing but the return address has changed.
fn return_to(frame: &Frame, pc: u64, sp: u64) -> Frame {
    Frame { pc, sp, innermost: false, ..*frame }
}

/// The caller's frame by a row of a table; `None` where the row leads nowhere that can be right.
///
/// A frame address from another register than SP is as right as what that register holds, and inner frames may have saved
/// it where a table is wrong: it counts in the innermost frame, and `lenient`ly in others.
fn step<M: Memory>(frame: &Frame, row: &Row, snapshot: &Snapshot<'_, M>, lenient: bool) -> Option<Frame> {
    let base = if row.from_stack_pointer() {
        frame.sp
    } else {
        frame.x.get(usize::from(row.register)).copied().filter(|_| frame.innermost || lenient)?
    };
    let sp = base.checked_add_signed(row.offset)?;
    // Calls go inwards to lower addresses, and a function that has called has a frame.
    let inward = sp > frame.sp || sp == frame.sp && frame.innermost;
    if !inward || !snapshot.on_stack(sp) {
        return None;
    }
    let word = |offset: i64| {
        let at = sp.checked_add_signed(offset)?;
        (snapshot.on_stack(at) && at >= frame.sp).then(|| snapshot.memory.word(at))?
    };
    let mut caller = return_to(frame, 0, sp);
    for (register, rule) in caller.x[19..].iter_mut().zip(row.x) {
        match rule {
            Rule::Same => {}
            Rule::At(offset) => *register = word(offset)?,
            Rule::Elsewhere => return None,
        }
    }
    for (place, rule) in caller.d.iter_mut().zip(row.d) {
        match rule {
            Rule::Same => {}
            Rule::At(offset) => {
                *place = Some(sp.checked_add_signed(offset).filter(|at| snapshot.on_stack(*at))?)
            }
            Rule::Elsewhere => return None,
        }
    }
    // After a call x30 holds where that call returned to: the address of the caller must have been saved.
    if !frame.innermost && row.link() == Rule::Same {
        return None;
    }
    caller.pc = caller.x[30];
    Some(caller)
}
