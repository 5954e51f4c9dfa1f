//! A store buffer that delays and reorders writes, within the rules of bus_space(9) and never beyond.
//!
//! A read must return a value, so a layer can delay writes and hoist reads, never delay a read. Every choice is taken by a
//! [`Choice`]: a seeded generator on the target (a failure replays), an enumerator of all choices in tests.
//!
//! | move | strict | relaxed mapping (prefetchable, cacheable) | legacy profile |
//! |---|---|---|---|
//! | write–write, same device, other address | in order | free | free |
//! | write–write, same bytes | in order | in order | in order |
//! | write–read, same bytes | drain first | drain or forward | drain first |
//! | write–read, same device, other address | drain first | read may pass | read may pass |
//! | read hoisted early | never | yes, not above a covering READ barrier | never |
//! | across devices | free | free | free |
//!
//! Where two accesses of one device have mappings of both kinds, the pair is free. A WRITE barrier is a gate: its range
//! drains before the next write anywhere, and a later read may still pass. READ drops prefetched data of its range.
//! READ|WRITE drains everything.

use crate::BarrierFlags;
use crate::rng::Rng;

/// Writes that are held at a time: a set of them fits a word.
pub const POSTED_MAX: usize = 32;
/// Values that were read early.
pub const PREFETCHED_MAX: usize = 8;

/// Takes the decisions.
pub trait Choice {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize;
}

impl Choice for Rng {
    fn below(&mut self, bound: usize) -> usize {
        Rng::below(self, bound)
    }
}

/// Which rules are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// NetBSD's rules since 2022: strict mappings of one device are totally ordered.
    Strict,
    /// The rules of the proposal's time: everything is free that no barrier forbids. For audits.
    Legacy,
}

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The device's number.
    pub device: u32,
    /// The first byte.
    pub address: u64,
    /// How many bytes.
    pub size: u64,
    /// Whether the mapping is prefetchable or cacheable.
    pub relaxed: bool,
}

impl Access {
    /// Whether the two touch a byte in common.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.device == other.device
            && self.address < other.address.saturating_add(other.size)
            && other.address < self.address.saturating_add(self.size)
    }
}

/// A write that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted<C> {
    /// Where it goes.
    pub access: Access,
    /// What it writes.
    pub value: u64,
    /// What its maker needs to carry it out.
    pub context: C,
    /// When it was issued.
    pub issued: u64,
    /// A WRITE barrier has passed: it drains before the next write.
    gated: bool,
}

/// A value that was read early.
#[derive(Clone, Copy, Debug)]
struct Prefetched {
    access: Access,
    value: u64,
}

/// What CONTROL's first word asks of the reorder layer.
pub mod control {
    /// Starts the choices at seed word 1.
    pub const SEED: u64 = 1;
    /// Rules: word 1 is 0 for strict, 1 for legacy. Everything held goes first.
    pub const PROFILE: u64 = 2;
    /// Holds a write for word 1 microseconds at most.
    pub const DELAY: u64 = 3;
    /// Lets everything go.
    pub const DRAIN: u64 = 4;
    /// After each write, lets one go with a chance of word 1 in 16.
    pub const MIX: u64 = 5;
}

/// How a read is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// By this value; the device is not read.
    Value(u64),
    /// By the device, now.
    Device,
}

/// Writes under way, in program order.
///
/// **Invariant:** what is held never has to precede anything that has been carried out since it was issued.
#[derive(Debug)]
pub struct StoreBuffer<C> {
    profile: Profile,
    posted: [Option<Posted<C>>; POSTED_MAX],
    count: usize,
    prefetched: [Option<Prefetched>; PREFETCHED_MAX],
}

/// What carries writes out. A reference to a trait object: the rules are long, and one copy of them is enough.
pub type Out<'a, C> = &'a mut dyn FnMut(Posted<C>);

/// A set of held writes, by index.
type Set = u32;
const _: () = assert!(POSTED_MAX <= Set::BITS as usize);

impl<C: Copy> StoreBuffer<C> {
    /// An empty buffer.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, posted: [None; POSTED_MAX], count: 0, prefetched: [None; PREFETCHED_MAX] }
    }

    /// How many writes are held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Changes the rules; nothing may be held.
    pub fn set_profile(&mut self, profile: Profile) {
        debug_assert!(self.is_empty());
        self.profile = profile;
    }

    /// Holds a write. A full buffer first lets one go.
    pub fn post(
        &mut self,
        access: Access,
        value: u64,
        context: C,
        now: u64,
        choice: &mut impl Choice,
        out: Out<'_, C>,
    ) {
        self.open_gates(choice, out);
        self.drop_prefetched(|kept| kept.overlaps(&access));
        if self.count == POSTED_MAX {
            self.release_one(choice, out);
        }
        self.posted[self.count] = Some(Posted { access, value, context, issued: now, gated: false });
        self.count += 1;
    }

    /// Prepares for a write that is carried out at once: what must precede it goes first.
    pub fn before_write(&mut self, access: Access, choice: &mut impl Choice, out: Out<'_, C>) {
        self.open_gates(choice, out);
        self.drop_prefetched(|kept| kept.overlaps(&access));
        let set = self.select(|posted| self.must_precede(&posted.access, &access));
        self.drain(set, choice, out);
    }

    /// Decides how a read is answered; what must precede it goes first.
    pub fn read(&mut self, access: Access, choice: &mut impl Choice, out: Out<'_, C>) -> Answer {
        let may_be_cheap = access.relaxed && self.profile == Profile::Strict;
        if may_be_cheap {
            let same = |posted: &&Posted<C>| posted.access.overlaps(&access);
            if let Some(last) = self.held().rev().find(same)
                && last.access.address == access.address
                && last.access.size == access.size
                && last.access.relaxed
                && choice.below(2) == 1
            {
                return Answer::Value(last.value);
            }
            if let Some(value) = self.take_prefetched(&access) {
                return Answer::Value(value);
            }
        }
        self.before_read(access, choice, out);
        Answer::Device
    }

    /// Prepares for a read that the device answers: what must precede it goes first.
    pub fn before_read(&mut self, access: Access, choice: &mut impl Choice, out: Out<'_, C>) {
        let set = self.select(|posted| self.must_precede(&posted.access, &access));
        self.drain(set, choice, out);
    }

    /// After a read that the device has answered: whether the element behind it should be read now, too.
    ///
    /// Only relaxed mappings are read early, since a strict read may have an effect. The caller reads it, if it lies in
    /// the same mapping, and hands the value to [`Self::keep_prefetched`].
    #[must_use]
    pub fn wants_prefetch(&self, access: Access, choice: &mut impl Choice) -> Option<Access> {
        if !access.relaxed || self.profile == Profile::Legacy || choice.below(2) == 0 {
            return None;
        }
        let next = Access { address: access.address.checked_add(access.size)?, ..access };
        // A value that a held write is about to change would be older than the program's own.
        self.held().all(|posted| !posted.access.overlaps(&next)).then_some(next)
    }

    /// Keeps a value that was read early, in place of any other.
    pub fn keep_prefetched(&mut self, access: Access, value: u64) {
        self.drop_prefetched(|kept| kept.overlaps(&access));
        if let Some(slot) = self.prefetched.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Prefetched { access, value });
        }
    }

    /// A barrier over `range`.
    pub fn barrier(&mut self, range: Access, flags: BarrierFlags, choice: &mut impl Choice, out: Out<'_, C>) {
        match (flags.orders_reads(), flags.orders_writes()) {
            (true, true) => {
                self.drop_prefetched(|_| true);
                self.drain_all(choice, out);
            }
            (true, false) => self.drop_prefetched(|kept| kept.overlaps(&range)),
            (false, true) => {
                let count = self.count;
                for posted in self.posted[..count].iter_mut().flatten() {
                    posted.gated |= posted.access.overlaps(&range);
                }
            }
            (false, false) => {}
        }
    }

    /// Lets everything go, in an order that the rules allow.
    pub fn drain_all(&mut self, choice: &mut impl Choice, out: Out<'_, C>) {
        let set = self.select(|_| true);
        self.drain(set, choice, out);
    }

    /// Lets everything of one device go: before its mapping ends.
    pub fn drain_device(&mut self, device: u32, choice: &mut impl Choice, out: Out<'_, C>) {
        self.drop_prefetched(|kept| kept.device == device);
        let set = self.select(|posted| posted.access.device == device);
        self.drain(set, choice, out);
    }

    /// Lets go what was issued at or before `until`.
    pub fn expire(&mut self, until: u64, choice: &mut impl Choice, out: Out<'_, C>) {
        let set = self.select(|posted| posted.issued <= until);
        self.drain(set, choice, out);
    }

    /// Lets one write go that nothing held has to precede.
    pub fn release_one(&mut self, choice: &mut impl Choice, out: Out<'_, C>) {
        let all = self.select(|_| true);
        let free = self.free_of(all);
        if free != 0 {
            let index = pick(free, choice);
            self.emit(index, out);
            self.compact();
        }
    }

    /// Whether a held write must be carried out before a later access that reaches its device.
    fn must_precede(&self, earlier: &Access, later: &Access) -> bool {
        earlier.overlaps(later) || self.is_ordered(earlier, later)
    }

    /// Whether the profile orders two accesses that have no byte in common.
    fn is_ordered(&self, earlier: &Access, later: &Access) -> bool {
        self.profile == Profile::Strict
            && earlier.device == later.device
            && !earlier.relaxed
            && !later.relaxed
    }

    fn open_gates(&mut self, choice: &mut impl Choice, out: Out<'_, C>) {
        let set = self.select(|posted| posted.gated);
        self.drain(set, choice, out);
    }

    fn held(&self) -> impl DoubleEndedIterator<Item = &Posted<C>> {
        self.posted[..self.count].iter().flatten()
    }

    fn select(&self, wanted: impl Fn(&Posted<C>) -> bool) -> Set {
        self.held().enumerate().fold(0, |set, (i, posted)| set | Set::from(wanted(posted)) << i)
    }

    /// Carries out a set of writes and whatever must precede one of them.
    fn drain(&mut self, set: Set, choice: &mut impl Choice, out: Out<'_, C>) {
        if set == 0 {
            return;
        }
        let mut left = self.with_predecessors(set);
        while left != 0 {
            let free = self.free_of(left);
            debug_assert!(free != 0, "program order has no cycles");
            let index = pick(free, choice);
            self.emit(index, out);
            left &= !(1 << index);
        }
        self.compact();
    }

    /// The set, and every held write that must precede a member. Predecessors have lower indices, so one pass from the
    /// end finds all of them.
    fn with_predecessors(&self, mut set: Set) -> Set {
        for later in (0..self.count).rev() {
            if set >> later & 1 == 1 {
                set |= self.predecessors(later);
            }
        }
        set
    }

    /// Held writes that must precede the one at `later`.
    fn predecessors(&self, later: usize) -> Set {
        let Some(Some(member)) = self.posted.get(later) else { return 0 };
        let before: Set = (1 << later) - 1;
        self.indexed()
            .filter(|(_, posted)| self.must_precede(&posted.access, &member.access))
            .fold(0, |set, (i, _)| set | 1 << i)
            & before
    }

    /// Members of a set that no other member must precede.
    fn free_of(&self, set: Set) -> Set {
        (0..self.count)
            .filter(|i| set >> i & 1 == 1 && self.predecessors(*i) & set == 0)
            .fold(0, |free, i| free | 1 << i)
    }

    /// Held writes by index; those already carried out in this drain are gone.
    fn indexed(&self) -> impl Iterator<Item = (usize, &Posted<C>)> {
        self.posted[..self.count]
            .iter()
            .enumerate()
            .filter_map(|(i, slot)| slot.as_ref().map(|posted| (i, posted)))
    }

    fn emit(&mut self, index: usize, out: Out<'_, C>) {
        if let Some(posted) = self.posted[index].take() {
            out(posted);
        }
    }

    /// Closes the gaps that `emit` left; the order stays.
    fn compact(&mut self) {
        let mut kept = 0;
        for index in 0..self.count {
            if let Some(posted) = self.posted[index].take() {
                self.posted[kept] = Some(posted);
                kept += 1;
            }
        }
        self.count = kept;
    }

    fn take_prefetched(&mut self, access: &Access) -> Option<u64> {
        let slot = self.prefetched.iter_mut().find(|slot| {
            slot.as_ref().is_some_and(|kept| {
                kept.access.device == access.device
                    && kept.access.address == access.address
                    && kept.access.size == access.size
            })
        })?;
        slot.take().map(|kept| kept.value)
    }

    fn drop_prefetched(&mut self, unwanted: impl Fn(&Access) -> bool) {
        for slot in &mut self.prefetched {
            if slot.as_ref().is_some_and(|kept| unwanted(&kept.access)) {
                *slot = None;
            }
        }
    }
}

/// One member of a set that has some. A set of one takes no choice, so that traffic which leaves nothing to choose (a
/// console that writes and reads back) does not change what a seed replays.
fn pick(set: Set, choice: &mut impl Choice) -> usize {
    let count = set.count_ones() as usize;
    nth(set, if count > 1 { choice.below(count) } else { 0 })
}

/// The index of the n-th member of a set.
fn nth(set: Set, n: usize) -> usize {
    (0..Set::BITS as usize).filter(|i| set >> i & 1 == 1).nth(n).unwrap_or(0)
}

#[cfg(test)]
mod tests;
