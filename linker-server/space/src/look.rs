//! Who is inside of what.
//!
//! The linker server runs above the link domain while it looks, so that the registers, stack and records of a thread
//! are of one moment. `linker-unwind` says what they mean; here are its eyes: the text and the unwind tables of a
//! link domain ([`Sight`]), and the stack of a thread.

use crate::error::ObjectError;
use crate::mirror::View;
use crate::objects::Objects;
use crate::text::Texts;
use crate::thread::{RegisterWords, Thread, raised};
use crate::worker;
use core::ops::Range;
use heapless::Vec;
use linker_core::{Callback, LinkDomain, Module, ModuleId, SymbolId, Va};
use linker_unwind::frame::part_from;
use linker_unwind::verdict::{scanned, walked};
use linker_unwind::{Code, End, Exit, Hull, Inside, Place, Record, Scratch, Snapshot, Walk, Watched};
use sel4_sys::seL4_UserContext;
use strata_protocol::domain::SHADOW_DEPTH_MAX;

/// Everything that a look needs to know of a link domain.
pub struct Sight<'a, T> {
    /// Modules, symbols, linker-owned text.
    pub link: &'a LinkDomain,
    /// The text that has an owner.
    pub texts: T,
}

impl<T: Texts> Code for Sight<'_, T> {
    fn place(&self, at: u64) -> Place<'_> {
        if let Some(text) = self.texts.owned(at) {
            return text.tables.map_or(Place::Bare, Place::Tabled);
        }
        if let Some((_, word)) = self.link.gate_word(Va(at)) {
            return Place::Gate(word);
        }
        if self.link.is_linker_text(Va(at)) || crate::domain::is_way_out(at) {
            return Place::Thunk;
        }
        Place::Nowhere
    }

    fn instruction(&self, at: u64) -> Option<u32> {
        self.texts.owned(at)?.text.instruction(at)
    }
}

/// The text of a module: its own, and what the linker server has written for it.
struct Of<'a> {
    link: &'a LinkDomain,
    module: &'a Module,
}

impl Watched for Of<'_> {
    fn contains(&self, at: u64) -> bool {
        self.link.holds(self.module, Va(at))
    }

    fn hull(&self) -> Range<u64> {
        self.link.hull(self.module)
    }
}

/// The text of all modules.
struct OfAny<'a>(&'a LinkDomain);

impl Watched for OfAny<'_> {
    fn contains(&self, at: u64) -> bool {
        self.0.inside(Va(at)).is_some_and(|module| module.id() != ModuleId::BASE)
    }
}

/// A thread, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its number.
    pub thread: u32,
    /// Its program counter.
    pub pc: u64,
    /// The module that it is inside of and the symbol through which it entered, as far as they tell:
    /// the one that was asked for, else the innermost.
    pub inside: Option<(ModuleId, Option<SymbolId>)>,
}

/// Looks at every thread and tells `tell` of each. With `target`, a thread counts as inside only if it is inside of that
/// module, and those that cannot be inside of any are left out.
///
/// # Errors
/// [`ObjectError`]: then not every thread was looked at.
pub fn look<'t>(
    objects: &mut Objects,
    mut threads: impl Iterator<Item = &'t Thread>,
    sight: &Sight<'_, impl Texts>,
    target: Option<ModuleId>,
    scratch: &mut Scratch,
    mut tell: impl FnMut(Seen),
) -> Result<(), ObjectError> {
    let target = target.and_then(|module| sight.link.module(module).ok());
    let target = target.map(|module| (module, Hull::around(&sight.link.hull(module))));
    raised(objects, |objects| {
        // The threads are in two lists: their own loop is shorter than one over both.
        threads.try_for_each(|thread| {
            // A worker that has no command waits for one, in the base image.
            if target.is_some() && worker::is_idle(thread) {
                return Ok(());
            }
            tell(still(objects, thread, |standing| {
                let inside = match target {
                    Some((_, hull)) if standing.is_clear(hull) => None,
                    Some((module, _)) => standing.examine(|snapshot| {
                        inside_of(sight, snapshot, module, scratch).map(|entry| (module.id(), entry))
                    }),
                    None => standing.examine(|snapshot| innermost(sight, snapshot, scratch)),
                };
                Seen { thread: thread.number, pc: standing.pc(), inside }
            })?);
            Ok(())
        })
    })
}

/// The innermost module that a thread which does not run is inside of.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn culprit(
    objects: &mut Objects,
    thread: &Thread,
    sight: &Sight<'_, impl Texts>,
    scratch: &mut Scratch,
) -> Result<Option<ModuleId>, ObjectError> {
    held(objects, thread, |snapshot| innermost(sight, snapshot, scratch).map(|(module, _)| module))
}

/// Entrances of one thread that are told apart.
pub const ENTRANCES_MAX: usize = 16;

/// A call into a module that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// Which module.
    pub module: ModuleId,
    /// The stack pointer of who called: the same for as long as that call lasts.
    pub sp: u64,
}

/// The entrances that a thread has not left, the outermost first; `None` where the tables do not tell all of them.
///
/// # Errors
/// [`ObjectError`].
pub fn entrances(
    objects: &mut Objects,
    thread: &Thread,
    sight: &Sight<'_, impl Texts>,
    scratch: &mut Scratch,
) -> Result<Option<Vec<Entrance, ENTRANCES_MAX>>, ObjectError> {
    raised(objects, |objects| {
        held(objects, thread, |snapshot| {
            let mut found: Vec<Entrance, ENTRANCES_MAX> = Vec::new();
            let mut within = None;
            let mut walk = Walk::lenient(sight, snapshot, scratch);
            for frame in &mut walk {
                let module = sight.link.inside(Va(frame.at())).map(Module::id);
                let module = module.filter(|module| *module != ModuleId::BASE);
                if let Some(left) = within.filter(|_| within != module) {
                    found.push(Entrance { module: left, sp: frame.sp }).ok()?;
                }
                within = module;
            }
            found.reverse();
            (walk.end() == End::Root && within.is_none()).then_some(found)
        })
    })
}

/// Where and as what the call returns whose callee has faulted.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// How the thread came into the module, and its registers when it is out again.
    pub exit: Exit,
    /// What the call returns: the fault value of the alias, or the answer of the callback.
    pub value: u64,
    /// The thread's registers as they were at the fault.
    pub registers: seL4_UserContext,
}

/// The way of a thread that has faulted in a module's text out of it, to the call that entered.
///
/// # Errors
/// [`ObjectError::Kernel`].
pub fn way_out(
    objects: &mut Objects,
    thread: &Thread,
    sight: &Sight<'_, impl Texts>,
    module: &Module,
    scratch: &mut Scratch,
) -> Result<Option<Return>, ObjectError> {
    let registers = thread.registers(objects)?;
    let link = sight.link;
    // A gate is left by its own epilogue, which takes its record back.
    let text = |at: u64| module.facts.text_contains(Va(at));
    held(objects, thread, |snapshot| {
        let exit = linker_unwind::exit(sight, snapshot, &text, scratch)?;
        let caller = Va(exit.caller.pc);
        let gate_of = |at| link.gate_word(at).and_then(|(gate, _)| link.gate(gate)).map(|(_, symbol)| symbol);
        let by_gate = gate_of(Va(registers.pc)).or_else(|| gate_of(caller));
        let by_site = link.entrance(module.id(), caller);
        let mut implemented = link.implemented(module.id(), Va(exit.function));
        let symbol = match (implemented.next(), implemented.next()) {
            // A tail call leads here from another symbol's site: the function knows better.
            (Some(symbol), None) => by_gate.or(Some(symbol)),
            _ => by_gate.or(by_site),
        };
        let declared = |symbol| Some(link.symbol(symbol)?.stack().of(module.id())?.fault_value);
        let by_callback = || {
            let of =
                |callback: &&Callback| callback.owner == module.id() && callback.function.0 == exit.function;
            link.callbacks().find(of).map(|callback| callback.answer)
        };
        let value = symbol.and_then(declared).or_else(by_callback)?;
        Some(Return { exit, value, registers })
    })
}

/// Whether the two methods agree about a thread and every module: whatever the walk finds inside, the scan finds too.
///
/// # Errors
/// [`ObjectError`].
pub fn methods_agree<'t>(
    objects: &mut Objects,
    threads: impl Iterator<Item = &'t Thread>,
    sight: &Sight<'_, impl Texts>,
    scratch: &mut Scratch,
) -> Result<bool, ObjectError> {
    raised(objects, |objects| {
        let mut agree = true;
        for thread in threads {
            agree &= held(objects, thread, |snapshot| {
                sight.link.modules().filter(|module| module.id() != ModuleId::BASE).all(|module| {
                    let of = Of { link: sight.link, module };
                    walked(sight, snapshot, &of, scratch).is_err() || scanned(snapshot, &of)
                })
            })?;
        }
        Ok(agree)
    })
}

/// A thread that does not run, with its registers where the kernel has put them.
struct Standing<'a> {
    thread: &'a Thread,
    words: &'a RegisterWords,
}

impl Standing<'_> {
    const fn pc(&self) -> u64 {
        self.words[0]
    }

    /// Whether no word that may be a return address is in the hull of some text. Nothing is copied for it.
    #[inline(always)]
    fn is_clear(&self, hull: Hull) -> bool {
        let [pc, sp, _spsr, general @ .., _tpidr, _tpidrro] = self.words;
        let stack = self.thread.stack();
        let used = part_from(&stack.range(), *sp);
        let callers = self.thread.records().map(|(caller, _)| caller);
        linker_unwind::scan::is_clear(hull, *pc, general, (&stack, used), callers)
    }

    /// Looks closely.
    #[inline(never)]
    fn examine<T>(&self, see: impl FnOnce(&Snapshot<'_, View>) -> T) -> T {
        // Filled in place: a list that is made elsewhere would be copied with all its room.
        let mut records: Vec<Record, SHADOW_DEPTH_MAX> = Vec::new();
        for (caller, gate) in self.thread.records() {
            let _ = records.push(Record { caller, gate });
        }
        let stack = self.thread.stack();
        see(&Snapshot {
            registers: crate::thread::general(&seL4_UserContext::from_words(self.words)),
            stack_start: stack.range().start,
            stack_end: stack.range().end,
            memory: &stack,
            records: &records,
        })
    }
}

/// Takes the registers of a thread, which does not run for as long as `see` takes: the linker server is raised above it
/// (`raised`), or the thread waits for the answer to its fault.
fn still<T>(
    objects: &mut Objects,
    thread: &Thread,
    see: impl FnOnce(&Standing<'_>) -> T,
) -> Result<T, ObjectError> {
    thread.held(objects, |objects| Ok(see(&Standing { thread, words: thread.register_words(objects)? })))
}

/// Takes registers, stack and records of such a thread.
fn held<T>(
    objects: &mut Objects,
    thread: &Thread,
    see: impl FnOnce(&Snapshot<'_, View>) -> T,
) -> Result<T, ObjectError> {
    still(objects, thread, |standing| standing.examine(see))
}

/// The symbol through which a thread came into a module that it is inside of; `None` where it is not inside, and
/// `Some(None)` where nothing tells the symbol.
fn inside_of(
    sight: &Sight<'_, impl Texts>,
    snapshot: &Snapshot<'_, View>,
    module: &Module,
    scratch: &mut Scratch,
) -> Option<Option<SymbolId>> {
    let watched = Of { link: sight.link, module };
    let inside = linker_unwind::verdict(sight, snapshot, &watched, scratch)?;
    Some(entry(sight.link, snapshot, module.id(), &inside))
}

fn innermost(
    sight: &Sight<'_, impl Texts>,
    snapshot: &Snapshot<'_, View>,
    scratch: &mut Scratch,
) -> Option<(ModuleId, Option<SymbolId>)> {
    let inside = linker_unwind::verdict(sight, snapshot, &OfAny(sight.link), scratch)?;
    let found =
        [inside.at, inside.at.wrapping_sub(4)].into_iter().find_map(|at| sight.link.inside(Va(at)))?;
    let symbol = inside_of(sight, snapshot, found, scratch).flatten();
    Some((found.id(), symbol))
}

/// The symbol behind an entrance: by the call that the walk saw, else by any return address behind a call of the
/// module, else by the records of its gates.
fn entry(
    link: &LinkDomain,
    snapshot: &Snapshot<'_, View>,
    module: ModuleId,
    inside: &Inside,
) -> Option<SymbolId> {
    let by_site = |caller| link.entrance(module, Va(caller));
    let by_word = || linker_unwind::scan::words(snapshot).find_map(by_site);
    let by_record = || {
        let gates = snapshot.records.iter().rev().filter_map(|record| link.gate(Va(record.gate)));
        gates.filter(|(owner, _)| owner.id() == module).map(|(_, symbol)| symbol).next()
    };
    by_site(inside.caller).or_else(by_record).or_else(by_word)
}
