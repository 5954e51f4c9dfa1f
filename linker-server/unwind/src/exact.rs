//! Where a table is right: the instructions of a function, followed from its first one, and held against its rows.
//!
//! Compilers describe the stack rightly after every call, and not at every instruction of prologues and epilogues:
//! a push may be paired with a later store, blocks may be moved, cold code may not be described at all. The tables
//! are needed at such an instruction only for the innermost frame, of which the instructions tell the truth.
//!
//! The truth that is followed: how far SP and x29 are below the SP at entry, whether x30 still holds the return
//! address, and where it has been saved. What is not understood makes an instruction count as not exact, never as
//! exact.

use crate::FUNCTION_WORDS_MAX;
use crate::frame::Code;
use crate::instruction::{Access, Effect, FP, LINK, SP, Writeback};
use crate::tables::{Function, Row, Rule};

/// Branch targets that wait to be looked at. A function with more at one time counts as not exact.
const PENDING_MAX: usize = 128;
/// A distance that is not known.
const UNKNOWN: i16 = i16::MAX;

/// What is true before an instruction. Distances are in words of 8 bytes from the SP at entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// SP.
    sp: i16,
    /// x29, if it points to the frame.
    fp: i16,
    /// Where the return address has been saved.
    saved: i16,
    /// x30 holds the return address.
    link: bool,
}

const ENTRY: State = State { sp: 0, fp: UNKNOWN, saved: UNKNOWN, link: true };

/// What a row says, in the same terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    /// The frame address is this far above SP, or above x29.
    offset: i16,
    from_fp: bool,
    /// Where the return address is; in x30 if not known.
    saved: i16,
    /// There is a row, and it is one that can be right.
    present: bool,
}

const NO_CLAIM: Claim = Claim { offset: 0, from_fp: false, saved: 0, present: false };

/// What is known of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// No path comes here.
    Unseen = 0,
    /// Its state is known.
    Seen,
    /// Paths come here with frames of different sizes.
    Torn,
}

/// Room for looking at one function. Large: its owner keeps one, and nothing but zeros when empty, so that a static
/// takes no room in an image.
pub struct Scratch {
    claims: [Claim; FUNCTION_WORDS_MAX],
    states: [State; FUNCTION_WORDS_MAX],
    known: [Known; FUNCTION_WORDS_MAX],
    pending: [u16; PENDING_MAX],
    count: usize,
}

impl Scratch {
    /// Empty.
    pub const EMPTY: Self = Self {
        claims: [NO_CLAIM; FUNCTION_WORDS_MAX],
        states: [State { sp: 0, fp: 0, saved: 0, link: false }; FUNCTION_WORDS_MAX],
        known: [Known::Unseen; FUNCTION_WORDS_MAX],
        pending: [0; PENDING_MAX],
        count: 0,
    };
}

impl Default for Scratch {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Whether the row for `at` is borne out by the instructions of the function.
#[must_use]
pub fn is_exact<C: Code>(code: &C, function: &Function<'_>, at: u64, scratch: &mut Scratch) -> bool {
    let index = at.checked_sub(function.start).and_then(|distance| usize::try_from(distance / 4).ok());
    let Some(count) = follow(code, function, scratch) else { return false };
    index.is_some_and(|index| index < count && agrees(scratch, index))
}

/// Whether the instructions of the function speak against the row for `at`. What no path is seen to reach, such as the
/// cases of a jump table, is not refuted; nor is anything in a function that is too long to be followed.
#[must_use]
pub fn is_refuted<C: Code>(code: &C, function: &Function<'_>, at: u64, scratch: &mut Scratch) -> bool {
    let index = at.checked_sub(function.start).and_then(|distance| usize::try_from(distance / 4).ok());
    let Some(count) = follow(code, function, scratch) else { return false };
    index.is_none_or(|index| {
        index >= count || scratch.known[index] != Known::Unseen && !agrees(scratch, index)
    })
}

/// Calls `each` with the address of every instruction whose row is not borne out, and whether the instruction before
/// it is a call; `None` where nothing of the function can be told, because it is too long or branches too much.
pub fn inexact<C: Code>(
    code: &C,
    function: &Function<'_>,
    scratch: &mut Scratch,
    mut each: impl FnMut(u64, bool),
) -> Option<()> {
    let count = follow(code, function, scratch)?;
    for index in 0..count {
        let at = function.start + index as u64 * 4;
        // What no path reaches is not executed: padding, and what follows a call that does not return.
        if scratch.known[index] != Known::Unseen && !agrees(scratch, index) {
            let before = at.checked_sub(4).and_then(|at| code.instruction(at));
            each(at, before.is_some_and(|word| Effect::of(word) == Effect::Call));
        }
    }
    Some(())
}

fn agrees(scratch: &Scratch, index: usize) -> bool {
    scratch.known[index] == Known::Seen && holds(scratch.claims[index], scratch.states[index])
}

/// Whether a claim is true.
fn holds(claim: Claim, state: State) -> bool {
    let base = if claim.from_fp { state.fp } else { state.sp };
    let frame = base != UNKNOWN && base.checked_add(claim.offset) == Some(0);
    let link = if claim.saved == UNKNOWN { state.link } else { state.saved == claim.saved };
    claim.present && frame && link
}

/// Fills the scratch for a function; returns how many instructions it has.
fn follow<C: Code>(code: &C, function: &Function<'_>, scratch: &mut Scratch) -> Option<usize> {
    let count = usize::try_from((function.end - function.start) / 4).ok()?;
    if count > FUNCTION_WORDS_MAX {
        return None;
    }
    scratch.claims[..count].fill(NO_CLAIM);
    scratch.known[..count].fill(Known::Unseen);
    scratch.count = 0;
    let place = |at: u64| usize::try_from(at.saturating_sub(function.start) / 4).unwrap_or(count).min(count);
    function.rows(|start, end, row| scratch.claims[place(start)..place(end)].fill(claim(&row)))?;
    arrive(scratch, count, 0, ENTRY)?;
    while let Some(next) = scratch.count.checked_sub(1) {
        scratch.count = next;
        let index = usize::from(scratch.pending[next]);
        if scratch.known[index] == Known::Seen {
            leave(code, function.start, scratch, count, index)?;
        }
    }
    Some(count)
}

fn claim(row: &Row) -> Claim {
    let words = |offset: i64| {
        (offset % 8 == 0).then(|| i16::try_from(offset / 8).ok()).flatten().filter(|words| *words != UNKNOWN)
    };
    let from_fp = u32::from(row.register) == FP;
    let saved = match row.link() {
        Rule::Same => Some(UNKNOWN),
        // Relative to the frame address, which is the SP at entry.
        Rule::At(offset) => words(offset),
        Rule::Elsewhere => None,
    };
    match (words(row.offset), saved) {
        (Some(offset), Some(saved)) if from_fp || row.from_stack_pointer() => {
            Claim { offset, from_fp, saved, present: true }
        }
        _ => NO_CLAIM,
    }
}

/// A path comes to an instruction with a state.
fn arrive(scratch: &mut Scratch, count: usize, index: usize, state: State) -> Option<()> {
    if index >= count {
        return Some(());
    }
    let known = scratch.states[index];
    let merged = match scratch.known[index] {
        Known::Torn => return Some(()),
        Known::Unseen => (Known::Seen, state),
        Known::Seen if known.sp != state.sp => (Known::Torn, known),
        Known::Seen => {
            let same = |a: i16, b: i16| if a == b { a } else { UNKNOWN };
            let (fp, saved) = (same(known.fp, state.fp), same(known.saved, state.saved));
            (Known::Seen, State { sp: known.sp, fp, saved, link: known.link && state.link })
        }
    };
    if merged != (scratch.known[index], known) || scratch.known[index] == Known::Unseen {
        (scratch.known[index], scratch.states[index]) = merged;
        *scratch.pending.get_mut(scratch.count)? = u16::try_from(index).ok()?;
        scratch.count += 1;
    }
    Some(())
}

/// Goes on from an instruction with the state before it.
fn leave<C: Code>(code: &C, start: u64, scratch: &mut Scratch, count: usize, index: usize) -> Option<()> {
    let mut state = scratch.states[index];
    let effect = Effect::of(code.instruction(start + index as u64 * 4)?);
    match effect {
        Effect::End | Effect::LosesStack => return Some(()),
        Effect::Branch { offset, conditional } => {
            // A target outside of the function is a tail call.
            if let Some(target) = isize::try_from(offset / 4).ok().and_then(|by| index.checked_add_signed(by))
            {
                arrive(scratch, count, target, state)?;
            }
            if !conditional {
                return Some(());
            }
        }
        Effect::Call => {
            state.link = false;
            // Tables are right after calls that return. Where the row differs the call does not, and what stands
            // there belongs to another path.
            if scratch.claims.get(index + 1).is_some_and(|claim| !holds(*claim, state)) {
                return Some(());
            }
        }
        Effect::Move { target, source, immediate } => {
            let base = if source == SP { state.sp } else { state.fp };
            let value = by(base, immediate);
            if target == SP {
                if value == UNKNOWN {
                    return Some(());
                }
                set_sp(&mut state, value);
            } else {
                state.fp = value;
            }
        }
        Effect::Access(access) => {
            if !touch(&mut state, &access) {
                return Some(());
            }
        }
        Effect::Other(register) => lose(&mut state, register),
    }
    arrive(scratch, count, index + 1, state)
}

/// A distance with bytes added to it.
fn by(base: i16, bytes: i32) -> i16 {
    let words = i16::try_from(bytes / 8).ok().filter(|_| bytes % 8 == 0 && base != UNKNOWN);
    words.and_then(|words| base.checked_add(words)).unwrap_or(UNKNOWN)
}

/// SP moves; what lies below it is not kept.
fn set_sp(state: &mut State, sp: i16) {
    state.sp = sp;
    if state.saved < sp {
        state.saved = UNKNOWN;
    }
}

fn lose(state: &mut State, register: Option<u32>) {
    match register {
        Some(LINK) => state.link = false,
        Some(FP) => state.fp = UNKNOWN,
        _ => {}
    }
}

/// A load or store; `false` where SP is lost.
fn touch(state: &mut State, access: &Access) -> bool {
    let base = match access.base {
        SP => state.sp,
        FP => state.fp,
        _ => UNKNOWN,
    };
    let moved = by(base, access.offset);
    let first = if access.writeback == Writeback::Post { base } else { moved };
    // A push moves SP before what it stores is kept there.
    if access.base == SP && access.writeback == Writeback::Pre {
        if moved == UNKNOWN {
            return false;
        }
        set_sp(state, moved);
    }
    let step = if access.registers[1].is_some() { access.size / 2 } else { access.size };
    for (register, offset) in access.registers.into_iter().zip([0, step]) {
        let place = by(first, offset);
        if access.load {
            let restores = access.whole && place != UNKNOWN && place == state.saved;
            lose(state, register);
            state.link |= restores && register == Some(LINK);
        } else if register == Some(LINK) && access.whole && state.link {
            state.saved = place;
        }
    }
    if !access.load && overwrites(state, access, first) {
        state.saved = UNKNOWN;
    }
    match (access.base, access.writeback) {
        (_, Writeback::None) | (SP, Writeback::Pre) => true,
        (SP, Writeback::Post) => {
            if moved != UNKNOWN {
                set_sp(state, moved);
            }
            moved != UNKNOWN
        }
        (register, _) => {
            lose(state, Some(register));
            true
        }
    }
}

/// Whether a store puts something else where the return address is saved.
fn overwrites(state: &State, access: &Access, first: i16) -> bool {
    if first == UNKNOWN || state.saved == UNKNOWN {
        return false;
    }
    let at = i32::from(state.saved - first) * 8;
    let step = if access.registers[1].is_some() { access.size / 2 } else { access.size };
    let keeps = |index: usize, offset: i32| {
        access.whole && at == offset && access.registers[index] == Some(LINK) && state.link
    };
    (0..access.size).contains(&at) && !keeps(0, 0) && !keeps(1, step)
}
