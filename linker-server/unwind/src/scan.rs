//! The scan: every word in which a return address may be.
//!
//! A call that has not returned has its return address in the program counter's function (it executes there), in a
//! register, or in a word of the stack at or above the stack pointer. AAPCS64 section 6.4.5 forbids to keep data
//! below the stack pointer, so nothing is missed there. A gate keeps its caller's return address in a record and
//! nowhere else.

use core::ops::Range;

use crate::frame::{Hull, Memory, Snapshot};

/// Whether no word at all is in a hull of the watched text: then the thread is outside, and most are told by this alone.
///
/// The words are the program counter, all general registers in any order, the stack from SP upwards, and the callers in
/// records: those of [`words`].
#[inline(always)]
pub fn is_clear<M: Memory>(
    hull: Hull,
    pc: u64,
    general: &[u64; 31],
    (memory, stack): (&M, Range<u64>),
    mut callers: impl Iterator<Item = u64>,
) -> bool {
    let in_registers = hull.contains(pc) || hull.any_of(general, |word| *word);
    !in_registers && !memory.any_in(stack, hull) && !callers.any(|word| hull.contains(word))
}

/// The program counter, then x30 to x0.
pub fn registers<'a, M>(snapshot: &'a Snapshot<'_, M>) -> impl Iterator<Item = u64> + use<'a, M> {
    let registers = &snapshot.registers;
    core::iter::once(registers.pc).chain(registers.x.iter().rev().copied())
}

/// The words of the stack from an address upwards; of the whole stack if the address is not on it.
pub fn stack<'a, M: Memory>(snapshot: &Snapshot<'a, M>, from: u64) -> impl Iterator<Item = u64> + use<'a, M> {
    snapshot.memory.words(snapshot.stack_from(from))
}

/// Where the callers of gates return to, the innermost first.
pub fn records<'a, M>(snapshot: &Snapshot<'a, M>) -> impl Iterator<Item = u64> + use<'a, M> {
    snapshot.records.iter().rev().map(|record| record.caller)
}

/// Every word that may be a return address, and the program counter.
pub fn words<'a, M: Memory>(snapshot: &'a Snapshot<'_, M>) -> impl Iterator<Item = u64> + use<'a, M> {
    registers(snapshot).chain(stack(snapshot, snapshot.registers.sp)).chain(records(snapshot))
}
