//! The held writes, behind one lock, and how they are carried out.

use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bus_space::beside::Beside;
use bus_space::reorder::{Access, Answer, Choice, Posted, Profile, StoreBuffer};
use bus_space::rng::Rng;
use bus_space::{BarrierFlags, BusHandle, BusTag, Width};
use kmod_api::lock::Lock;
use kmod_api::symbols::{bus_space_device, bus_space_trace};
use kmod_api::{below, thread};

/// The event of the base image by which the lock is handed over.
const LOCK_EVENT: u32 = 1;
/// Relaxed mappings that are remembered; with more, the others count as strict, which is always right.
const RELAXED_MAX: usize = 8;
/// What is kept beside the handle of such a mapping: its size.
const RELAXED: u32 = 0;
/// How long a write is held at most, in microseconds, unless CONTROL says otherwise.
const DELAY_US: u64 = 2_000_000;
/// The seed unless CONTROL says otherwise.
const SEED: u64 = 1;
/// This layer's name in traces.
const NAME: u64 = u64::from_le_bytes(*b"reorder\0");

/// The one holder of this module.
pub(crate) static HOLDER: Holder = Holder {
    state: Lock::new(
        LOCK_EVENT,
        State {
            buffer: StoreBuffer::new(Profile::Strict),
            rng: Rng::new(SEED),
            seed: SEED,
            beside: Beside::new(),
            delay_ticks: 0,
            mix: 0,
            issued: 0,
            latest: 0,
            inverted: 0,
            drained_by_catch: 0,
        },
    ),
    passing: AtomicBool::new(true),
    calls: AtomicU64::new(0),
};

/// What carries a write out: the caller's own arguments and its number.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    tag: BusTag,
    handle: BusHandle,
    offset: u64,
    number: u64,
}

struct State {
    buffer: StoreBuffer<Context>,
    rng: Rng,
    seed: u64,
    beside: Beside<u64, RELAXED_MAX>,
    delay_ticks: u64,
    mix: usize,
    issued: u64,
    /// The highest number that was carried out.
    latest: u64,
    inverted: u64,
    drained_by_catch: u64,
}

/// Counters of the layer.
pub(crate) struct Counters {
    pub(crate) calls: u64,
    pub(crate) held: u64,
    pub(crate) posted: u64,
    /// Writes that were carried out after a later one.
    pub(crate) inverted: u64,
    pub(crate) drained_by_catch: u64,
    pub(crate) seed: u64,
}

/// Where a call goes: its own arguments.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tag: BusTag,
    pub(crate) handle: BusHandle,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

pub(crate) struct Holder {
    state: Lock<State>,
    /// Set and cleared under the lock only; looked at without it to spare the lock in pass-through.
    passing: AtomicBool,
    calls: AtomicU64,
}

impl Holder {
    /// Fills in what is not known before the module runs.
    pub(crate) fn prepare(&self) {
        self.set_delay(DELAY_US);
    }

    /// Holds writes from now on.
    pub(crate) fn resume(&self) {
        self.state.with(|_| self.passing.store(false, Ordering::Release));
    }

    /// Carries everything out and passes through from then on. Both happen under the lock, and the flag is set last: a
    /// thread that sees it finds nothing held, and a thread that waits for the lock looks at the flag again.
    pub(crate) fn drain_and_pass(&self) {
        self.state.with(|state| {
            state.drained_by_catch += state.buffer.len() as u64;
            state.drain_all();
            self.passing.store(true, Ordering::Release);
        });
    }

    /// Carries everything out.
    pub(crate) fn drain(&self) {
        self.state.with(State::drain_all);
    }

    pub(crate) fn set_seed(&self, seed: u64) {
        self.state.with(|state| {
            state.seed = seed;
            state.rng = Rng::new(seed);
        });
    }

    pub(crate) fn set_profile(&self, profile: Profile) {
        self.state.with(|state| {
            state.drain_all();
            state.buffer.set_profile(profile);
        });
    }

    pub(crate) fn set_delay(&self, microseconds: u64) {
        let ticks = thread::counter_frequency().saturating_mul(microseconds) / 1_000_000;
        self.state.with(|state| state.delay_ticks = ticks);
    }

    pub(crate) fn set_mix(&self, sixteenths: u64) {
        self.state.with(|state| state.mix = usize::try_from(sixteenths).unwrap_or(0));
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters {
            calls: self.calls.load(Ordering::Relaxed),
            held: 0,
            posted: 0,
            inverted: 0,
            drained_by_catch: 0,
            seed: 0,
        };
        self.state.with(|state| {
            counters.held = state.buffer.len() as u64;
            counters.posted = state.issued;
            counters.inverted = state.inverted;
            counters.drained_by_catch = state.drained_by_catch;
            counters.seed = state.seed;
        });
        counters
    }

    /// Holds a write; `false` if it must be carried out by the caller, now.
    pub(crate) fn write(&self, place: Place, value: u64) -> bool {
        self.enter(place, |state, access| {
            state.post(place, access, value);
        })
        .is_some()
    }

    /// Carries out `access` under the lock, behind every write that must precede it. It is a read if `reads`.
    pub(crate) fn through<R>(&self, place: Place, reads: bool, access: impl Fn() -> R) -> R {
        let done = self.enter(place, |state, range| {
            state.before(range, reads);
            access()
        });
        done.unwrap_or_else(access)
    }

    /// Reads one element: from a held write or an early read where the mapping allows it, or from the device.
    pub(crate) fn read(&self, place: Place, access: impl Fn(u64) -> u64) -> u64 {
        let value = self.enter(place, |state, range| {
            if let Answer::Value(value) = state.read(range) {
                return value;
            }
            let value = access(place.offset);
            if let Some(next) = state.wants_early(range) {
                let early = access(place.offset + (place.size >> place.tag.stride_shift()));
                state.buffer.keep_prefetched(next, early);
            }
            value
        });
        value.unwrap_or_else(|| access(place.offset))
    }

    /// A barrier; the layer below hears of it in any case.
    pub(crate) fn barrier(&self, place: Place, flags: BarrierFlags) {
        let _ = self.enter(place, |state, range| {
            let State { buffer, rng, latest, inverted, .. } = state;
            buffer.barrier(range, flags, rng, &mut |posted| carry_out(&posted, latest, inverted));
        });
    }

    /// Remembers a relaxed mapping.
    pub(crate) fn mapped(&self, handle: BusHandle, size: u64) {
        self.state.with(|state| {
            // Whoever was started again after a fault has not unmapped.
            state.beside.free(handle, RELAXED);
            let _ = state.beside.attach(handle, RELAXED, || Ok::<_, Infallible>(size));
        });
    }

    /// Carries out what is held for the device of a mapping that ends, and forgets the mapping.
    pub(crate) fn unmapping(&self, tag: BusTag, handle: BusHandle) {
        self.state.with(|state| {
            let State { buffer, rng, latest, inverted, .. } = state;
            buffer.drain_device(device(tag, handle), rng, &mut |posted| carry_out(&posted, latest, inverted));
            state.beside.free(handle, RELAXED);
        });
    }

    /// Runs `body` under the lock. `None` in pass-through, and for a call from below while this thread is in here.
    fn enter<R>(&self, place: Place, body: impl FnOnce(&mut State, Access) -> R) -> Option<R> {
        let device = self.approach(place)?;
        self.state.with(|state| {
            if self.passing.load(Ordering::Relaxed) {
                return None;
            }
            let access = state.begin(place, device);
            Some(body(state, access))
        })?
    }

    /// Counts the call and shows it in the trace; the device that it goes to, or `None` in pass-through.
    #[inline(never)]
    fn approach(&self, place: Place) -> Option<u32> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.passing.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the symbol takes any arguments.
        unsafe { bus_space_trace(place.tag, place.handle, place.offset, NAME) };
        Some(device(place.tag, place.handle))
    }
}

/// The functions are not inlined: each is called from every alias, and the buffer's rules are long.
impl State {
    /// Carries out what is too old, and says what an access of the caller is.
    #[inline(never)]
    fn begin(&mut self, place: Place, device: u32) -> Access {
        if !self.buffer.is_empty() {
            let until = thread::counter().saturating_sub(self.delay_ticks);
            let State { buffer, rng, latest, inverted, .. } = self;
            buffer.expire(until, rng, &mut |posted| carry_out(&posted, latest, inverted));
        }
        let address = place.handle.at(place.tag, place.offset);
        Access { device, address, size: place.size, relaxed: self.is_relaxed(address, place.size) }
    }

    #[inline(never)]
    fn post(&mut self, place: Place, access: Access, value: u64) {
        self.issued += 1;
        let context =
            Context { tag: place.tag, handle: place.handle, offset: place.offset, number: self.issued };
        let State { buffer, rng, latest, inverted, .. } = self;
        let out = &mut |posted| carry_out(&posted, latest, inverted);
        buffer.post(access, value, context, thread::counter(), rng, out);
        if self.mix > 0 && Choice::below(rng, 16) < self.mix {
            buffer.release_one(rng, out);
        }
    }

    #[inline(never)]
    fn before(&mut self, range: Access, reads: bool) {
        let State { buffer, rng, latest, inverted, .. } = self;
        let out = &mut |posted| carry_out(&posted, latest, inverted);
        if reads {
            buffer.before_read(range, rng, out);
        } else {
            buffer.before_write(range, rng, out);
        }
    }

    #[inline(never)]
    fn read(&mut self, access: Access) -> Answer {
        let State { buffer, rng, latest, inverted, .. } = self;
        buffer.read(access, rng, &mut |posted| carry_out(&posted, latest, inverted))
    }

    /// The element behind `access`, if it is to be read early.
    #[inline(never)]
    fn wants_early(&mut self, access: Access) -> Option<Access> {
        let next = self.buffer.wants_prefetch(access, &mut self.rng)?;
        self.is_relaxed(next.address, next.size).then_some(next)
    }

    fn is_relaxed(&self, address: u64, size: u64) -> bool {
        let contains = |(handle, whole): (BusHandle, &u64)| {
            let offset = address.checked_sub(handle.address());
            offset.and_then(|offset| whole.checked_sub(offset)).is_some_and(|rest| rest >= size)
        };
        self.beside.all(RELAXED).any(contains)
    }

    fn drain_all(&mut self) {
        let State { buffer, rng, latest, inverted, .. } = self;
        buffer.drain_all(rng, &mut |posted| carry_out(&posted, latest, inverted));
    }
}

/// Hands a held write to the layer below.
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "the value came in with this width")]
fn carry_out(posted: &Posted<Context>, latest: &mut u64, inverted: &mut u64) {
    let Context { tag, handle, offset, number } = posted.context;
    *inverted += u64::from(number < *latest);
    *latest = number.max(*latest);
    const ONE: u64 = Width::One.bytes();
    const TWO: u64 = Width::Two.bytes();
    const FOUR: u64 = Width::Four.bytes();
    match posted.access.size {
        // SAFETY: these are the arguments of the driver's own call; its mapping still exists, since unmap drains first.
        ONE => unsafe { below::super_bus_space_write_1(tag, handle, offset, posted.value as u8) },
        // SAFETY: as above.
        TWO => unsafe { below::super_bus_space_write_2(tag, handle, offset, posted.value as u16) },
        // SAFETY: as above.
        FOUR => unsafe { below::super_bus_space_write_4(tag, handle, offset, posted.value as u32) },
        // SAFETY: as above.
        _ => unsafe { below::super_bus_space_write_8(tag, handle, offset, posted.value) },
    }
}

/// The device that a handle lies in.
fn device(tag: BusTag, handle: BusHandle) -> u32 {
    // SAFETY: the base image's export takes any handle.
    unsafe { bus_space_device(tag, handle) }
}
