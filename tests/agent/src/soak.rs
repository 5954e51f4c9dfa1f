//! Callers on every core, and the law that what they see must keep.
//!
//! **The law.** The layers of the soak come and go one after the other, so that the stack has a history. A call walks down
//! the stack: it enters at the layer that is the top then; each layer that it comes to answers, unless it is leaving by then;
//! and it goes on to the one that is right below by then. So what one caller sees, over all three symbols and in order, is a walk through the history without a step back:
//! from the stack that was settled when it began, to the last that had begun when it ended. A call that a layer answers
//! which has left, one that misses a layer which is loaded, and symbols that do not switch together all break it.

use core::sync::atomic::{AtomicU64, Ordering};

use sel4_sys::seL4_CPtr;
use strata_protocol::caps::slot;
use strata_protocol::timer;
use strata_runtime::Ipc;
use strata_runtime::ipc::call;

use crate::agent::Agent;
use crate::case::{Outcome, ensure, ensure_eq};
use crate::device::Device;
use crate::threads::Shared;

/// The servers that call, each on a core of its own where there are four.
pub(crate) const CALLERS: [&str; 3] = ["demo", "demo2", "bench"];
/// Rounds of one request: a few thousand instructions for each layer.
pub(crate) const ROUNDS: u64 = 64;
/// Of so many requests one is followed by a pause, whose end interrupts the machine at any moment.
const PAUSE_EVERY: u64 = 4;
/// The longest such pause, in microseconds.
const PAUSE_US_MAX: u64 = 120;

/// Changes that a trail has room for (`soak_hammer`).
const CHANGES_MAX: u32 = 8;
/// The trail had no room for all changes.
const TOO_LONG: u64 = 1 << 63;
/// An answer that no layers can give.
const ILLEGAL: u64 = 1 << 62;

/// Stacks that are remembered; a caller that begins before that cannot be judged.
const REMEMBERED: usize = 256;

/// What the stack was, change by change: each stack its layers' digits to the base of four, the top first.
struct History {
    /// The last change that may have begun.
    begun: AtomicU64,
    /// The last change that is over.
    settled: AtomicU64,
    stacks: [AtomicU64; REMEMBERED],
}

static HISTORY: History = History {
    begun: AtomicU64::new(0),
    settled: AtomicU64::new(0),
    stacks: [const { AtomicU64::new(0) }; REMEMBERED],
};

/// Above the top, and below the last layer.
const NOBODY: u64 = 0;

/// The first layer that has answered, and the others.
fn split(code: u64) -> (u64, u64) {
    let Some(first) = digits(code).next() else { return (NOBODY, 0) };
    let place = (0..LAYERS.len()).rev().find(|place| code >> (2 * place) & 3 != 0).unwrap_or(0);
    (first, code & !(3 << (2 * place)))
}

/// The layers of a stack, the top first.
fn digits(stack: u64) -> impl Iterator<Item = u64> {
    (0..LAYERS.len()).rev().map(move |place| stack >> (2 * place) & 3).filter(|digit| *digit != 0)
}

/// Who is right below a layer in a stack; `None` where that layer is not there.
fn below(stack: u64, above: u64) -> Option<u64> {
    let mut layers = digits(stack);
    if above != NOBODY {
        layers.find(|layer| *layer == above)?;
    }
    Some(layers.next().unwrap_or(NOBODY))
}

impl History {
    fn slot(&self, change: u64) -> &AtomicU64 {
        &self.stacks[usize::try_from(change).unwrap_or(0) % REMEMBERED]
    }

    /// The stack will be this one; the change may be seen from now on.
    fn begin(&self, stack: u64) {
        let change = self.begun.load(Ordering::Relaxed) + 1;
        self.slot(change).store(stack, Ordering::Relaxed);
        self.begun.store(change, Ordering::Release);
    }

    /// The change is over: the stack before it must not be seen any more.
    fn settle(&self) {
        self.settled.store(self.begun.load(Ordering::Relaxed), Ordering::Release);
    }

    fn stack(&self, change: u64) -> u64 {
        self.slot(change).load(Ordering::Relaxed)
    }

    /// Whether a trail is a walk through the history from one change to another, without a step back.
    fn allows(&self, trail: u64, from: u64, to: u64) -> bool {
        let mut seen =
            (0..CHANGES_MAX).map(|change| trail >> (7 * change) & 0x7f).take_while(|code| *code != 0);
        // The earliest moment is the best: it leaves the most to come.
        let end = seen.try_fold(from, |at, code| self.earliest(code - 1, at, to));
        end.is_some() && trail & (TOO_LONG | ILLEGAL) == 0
    }

    /// The earliest change at which a call can be over that has been answered by the layers `code`.
    fn earliest(&self, code: u64, from: u64, to: u64) -> Option<u64> {
        let enter = |at| self.walk(below(self.stack(at), NOBODY)?, code, at, to);
        (from..=to).filter_map(enter).min()
    }

    /// The same for the rest of a call, which has come to a layer at a change.
    fn walk(&self, layer: u64, code: u64, at: u64, to: u64) -> Option<u64> {
        if layer == NOBODY {
            return (code == 0).then_some(at);
        }
        let leaves = (at..=to).find(|change| below(self.stack(*change), layer).is_none());
        // Answered: it goes on to what is below by then.
        let (first, rest) = split(code);
        let stays = at..=leaves.map_or(to, |change| change - 1);
        let on = |change| self.walk(below(self.stack(change), layer)?, rest, change, to);
        let answered = (first == layer).then(|| stays.filter_map(on).min()).flatten();
        // Passed through, since the layer is leaving; it does not leave before this call has left it.
        let past = |change: u64| self.walk(below(self.stack(change - 1), layer)?, code, change, to);
        let passed = leaves.filter(|change| *change > at).and_then(past);
        answered.into_iter().chain(passed).min()
    }
}

/// Words of a caller: its server's endpoint, its seed and the rounds of a request in, counts out.
pub(crate) mod caller {
    pub(crate) const SERVER: usize = 0;
    pub(crate) const SEED: usize = 1;
    pub(crate) const ROUNDS: usize = 2;
    /// Requests whose trail keeps the law.
    pub(crate) const RIGHT: usize = 3;
    /// Requests whose trail breaks it.
    pub(crate) const WRONG: usize = 4;
    /// The last of those: its trail, and the changes between which it fell.
    pub(crate) const TRAIL: usize = 5;
    pub(crate) const WINDOW: usize = 6;
    /// Requests that saw a change.
    pub(crate) const STRADDLED: usize = 7;
}

/// A small generator: good enough to vary moments, the same for the same seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One for each number.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}

/// Calls without end, and holds each trail against the law.
pub(crate) fn calling(shared: &'static Shared, ipc: &mut Ipc) {
    const TIMER: seL4_CPtr = slot::TIMER;
    let server = Device::at(shared.get(caller::SERVER));
    let mut random = Random::new(shared.get(caller::SEED));
    while !shared.stopping() {
        let from = HISTORY.settled.load(Ordering::Acquire);
        let trail = server.take_note(ipc, shared.get(caller::ROUNDS)).unwrap_or(ILLEGAL);
        let to = HISTORY.begun.load(Ordering::Acquire);
        if trail >> 7 & 0x7f != 0 {
            shared.count(caller::STRADDLED);
        }
        if to - from < REMEMBERED as u64 && HISTORY.allows(trail, from, to) {
            shared.count(caller::RIGHT);
        } else {
            shared.count(caller::WRONG);
            shared.set(caller::TRAIL, trail);
            shared.set(caller::WINDOW, from << 32 | to);
        }
        if random.below(PAUSE_EVERY) == 0 {
            let microseconds = 1 + random.below(PAUSE_US_MAX);
            let _ = call::<_, timer::Reply>(ipc, TIMER, &timer::Request::Sleep { microseconds });
        }
    }
}

/// A soak under way.
pub(crate) struct Soak {
    callers: [&'static Shared; CALLERS.len()],
    /// The layers that are loaded, the top last, by digit.
    stack: heapless::Vec<u64, 3>,
    random: Random,
}

/// The layers' names, by digit less one.
pub(crate) const LAYERS: [&str; 3] = ["soak_a", "soak_b", "soak_c"];

/// What the callers have seen in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Requests whose trail keeps the law.
    pub(crate) right: u64,
    /// Requests whose trail breaks it.
    pub(crate) wrong: u64,
    /// Requests that saw a change of the stack.
    pub(crate) straddled: u64,
}

impl Soak {
    /// Starts callers on the cores of the servers that call.
    pub(crate) fn begin(agent: &mut Agent, rounds: u64) -> Outcome<Self> {
        agent.load("soak_tally")?;
        agent.load("soak_hammer")?;
        let rows = agent.threads()?;
        let mut callers = heapless::Vec::<_, { CALLERS.len() }>::new();
        for (name, index) in CALLERS.iter().zip(1..) {
            let core = rows.iter().find(|row| row.name.as_str() == *name).map_or(0, |row| row.core);
            let server = agent.open(name)?.endpoint();
            let _ = callers.push(agent.spawn_on(core, calling, &[server, agent.seed + index, rounds])?);
        }
        let Ok(callers) = callers.into_array() else { crate::case::fail!("a caller is missing") };
        Ok(Self { callers, stack: heapless::Vec::new(), random: Random::new(agent.seed) })
    }

    /// The stack as a caller sees it, with the top's digit in front.
    fn code(&self) -> u64 {
        self.stack.iter().rev().fold(0, |code, digit| code * 4 + digit)
    }

    /// Loads or unloads a layer while the callers call.
    pub(crate) fn change(&mut self, agent: &mut Agent, digit: u64, module: &str) -> Outcome {
        let at = self.stack.iter().position(|other| *other == digit);
        match at {
            Some(at) => {
                self.stack.remove(at);
            }
            None => ensure!(self.stack.push(digit).is_ok(), "more layers than there are"),
        }
        HISTORY.begin(self.code());
        if at.is_some() {
            agent.unload(module)?
        } else {
            agent.load(module)?
        }
        HISTORY.settle();
        Ok(())
    }

    /// One of the layers comes or goes.
    pub(crate) fn step(&mut self, agent: &mut Agent) -> Outcome {
        let digit = 1 + self.random.below(LAYERS.len() as u64);
        self.change(agent, digit, LAYERS[usize::try_from(digit - 1).unwrap_or(0)])
    }

    /// What has been seen so far.
    pub(crate) fn seen(&self) -> Seen {
        let sum = |word| self.callers.iter().map(|caller| caller.get(word)).sum();
        Seen { right: sum(caller::RIGHT), wrong: sum(caller::WRONG), straddled: sum(caller::STRADDLED) }
    }

    /// Fails if a trail has broken the law.
    pub(crate) fn expect_lawful(&self) -> Outcome {
        for caller in self.callers {
            let (trail, window) = (caller.get(caller::TRAIL), caller.get(caller::WINDOW));
            ensure_eq!(
                caller.get(caller::WRONG),
                0,
                "a caller saw {trail:#x} between the changes {} and {}",
                window >> 32,
                window & 0xffff_ffff
            );
        }
        Ok(())
    }

    /// Takes all layers out, stops the callers, and holds what they counted against what the layers counted: calls
    /// issued, and calls answered by each layer.
    pub(crate) fn end(mut self, agent: &mut Agent) -> Outcome<u64> {
        while let Some(digit) = self.stack.last().copied() {
            self.change(agent, digit, LAYERS[usize::try_from(digit - 1).unwrap_or(0)])?;
        }
        for caller in self.callers {
            agent.join(caller)?;
        }
        let [issued, returned, bare, marked @ .., _, _] = agent.stat("soak_hammer")?;
        let [_, answered @ .., _, _, _, _] = agent.stat("soak_tally")?;
        ensure_eq!(issued, returned, "calls issued and returned");
        ensure_eq!(marked, answered, "calls that each layer has marked and has answered");
        ensure!(bare > 0, "no call went past all layers");
        agent.unload("soak_hammer")?;
        agent.unload("soak_tally")?;
        Ok(issued)
    }
}
