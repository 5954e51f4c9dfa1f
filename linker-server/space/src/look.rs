//! Who is inside of what: registers, shadow stack, registers again.
//!
//! A thread is inside of a module while its program counter is in the module's text or gates, or a
//! record of its shadow stack names one of the module's gates. Either half alone is unsound: a record
//! is pushed after the gate was entered and popped before it is left. The linker server runs above the
//! link domain while it looks, so that registers and stack are from one moment.

use crate::objects::{ObjectError, Objects};
use crate::thread::{THREADS_MAX, Thread, raised};
use heapless::Vec;
use linker_core::{LinkDomain, ModuleId, SymbolId, Va};

/// A thread, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its number.
    pub thread: u32,
    /// Its program counter.
    pub pc: u64,
    /// The module that it is inside of and the symbol through which it entered, as far as a record
    /// tells: the one that was asked for, else the innermost.
    pub inside: Option<(ModuleId, Option<SymbolId>)>,
}

/// Looks at every thread. With `target`, a thread counts as inside only if it is inside of that module.
///
/// # Errors
/// [`ObjectError`].
pub fn look(
    objects: &mut Objects,
    threads: &[Thread],
    link: &LinkDomain,
    target: Option<ModuleId>,
) -> Result<Vec<Seen, THREADS_MAX>, ObjectError> {
    raised(objects, |objects| {
        let mut all = Vec::new();
        for thread in threads {
            let _ = all.push(look_at(objects, thread, link, target)?);
        }
        Ok(all)
    })
}

fn look_at(
    objects: &mut Objects,
    thread: &Thread,
    link: &LinkDomain,
    target: Option<ModuleId>,
) -> Result<Seen, ObjectError> {
    let wanted = |module: ModuleId| module != ModuleId::BASE && target.is_none_or(|target| target == module);
    let before = thread.registers(objects)?;
    let mut inside = None;
    // The newest record is last, so that the innermost entrance stays.
    for (_, gate) in thread.records() {
        if let Some((module, symbol)) = link.gate(Va(gate)).filter(|(module, _)| wanted(module.id())) {
            inside = Some((module.id(), Some(symbol)));
        }
    }
    let after = thread.registers(objects)?;
    for pc in [before.pc, after.pc] {
        if let Some(module) = link.inside(Va(pc)).filter(|module| wanted(module.id())) {
            let entered = inside.filter(|(id, _)| *id == module.id()).and_then(|(_, symbol)| symbol);
            inside = Some((module.id(), entered));
        }
    }
    Ok(Seen { thread: thread.number, pc: after.pc, inside })
}
