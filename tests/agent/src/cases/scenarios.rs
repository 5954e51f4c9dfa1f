//! Scenarios in which others interfere: a call that ends by a fault, an image that changes while it is loaded, a client
//! that sends rubbish without end.

use strata_protocol::linker::Request;
use strata_protocol::message::{VERSION, WORDS_MAX};
use strata_protocol::start::CONTROL_CORE;
use strata_protocol::store::{Area, ImageRef};
use strata_protocol::{Errno, caps::slot};
use strata_runtime::{Ipc, clock};

use crate::agent::Agent;
use crate::case::{CORES, Outcome, case, ensure, ensure_eq, fail};
use crate::names::{BASE, PING, WAIT};
use crate::report::note;
use crate::threads::Shared;

/// xorshift64.
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

case!(
    /// R14, S36: entrances equal exits for each thread, also where a fault ends a call in the middle of a chain: the
    /// layer that faulted is popped, and the thread counts as inside of nothing that it came through.
    20, fn r14_a_call_that_a_fault_ends_leaves_nobody_inside(agent) {
        let (blocked, other) = (agent.open("demo")?, agent.open("demo2")?);
        agent.load("wait_inside")?;
        agent.load("fault_after_wait")?;
        agent.expect_stack(WAIT, &["fault_after_wait", "wait_inside", BASE])?;
        blocked.wait(agent.ipc, 7)?;
        // One thread, inside of two modules: each unload names it, and nobody else.
        for module in ["wait_inside", "fault_after_wait"] {
            let refused = agent.unload_refused(module, 50, Errno::ETIMEDOUT)?;
            let Some(blocker) = refused.blockers.iter().flatten().next() else { fail!("{module}: no blocker is named") };
            ensure_eq!(blocker.thread.as_str(), "demo", "the thread inside of {module}");
            ensure!(refused.blockers[1].is_none(), "{module}: a second blocker: {:?}", refused.blockers[1]);
        }
        // It leaves the lower one, and the upper one faults with the answer in its hands.
        other.release(agent.ipc)?;
        agent.sleep_us(20_000)?;
        agent.expect_stack(WAIT, &["wait_inside", BASE])?;
        let rows = agent.threads()?;
        ensure!(rows.iter().all(|row| row.inside.is_empty()), "somebody is still inside: {rows:?}");
        let start = clock::microseconds();
        agent.unload("wait_inside")?;
        agent.took_ms(start, 0, 500, "the unload of a module that nobody is inside of")?;
        ensure_eq!(blocked.ping(agent.ipc, 41)?, 42, "the server whose call has faulted");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// S5: another build of a module, whose functions have other names and other addresses, binds like the first.
    20, fn s05_a_version_with_other_functions_binds_the_same(agent) {
        let demo = agent.open("demo")?;
        agent.load("pass_a")?;
        let first = agent.stack(PING)?[0].implementation.clone();
        ensure_eq!(demo.ping(agent.ipc, 41)?, 412, "the first build");
        agent.unload("pass_a")?;
        ensure_eq!(agent.try_load_as("pass_b", "pass_a")?, Ok(()), "the second build under the same name");
        agent.expect_stack(PING, &["pass_a", BASE])?;
        let second = agent.stack(PING)?[0].implementation.clone();
        ensure!(first != second, "both builds call their function {first}");
        ensure_eq!(demo.ping(agent.ipc, 41)?, 413, "the second build");
        agent.unload("pass_a")?;
        agent.expect_empty()
    }
);

/// Changes one bit of an image and changes it back, without end: word 0 is where the image lies, word 1 its size; word 2
/// counts. It rests for less than word 3 turns after each change, so that some images come through on another core too.
fn flipping(shared: &'static Shared, _: &mut Ipc) {
    let mut random = Random::new(shared.get(1));
    let size = usize::try_from(shared.get(1)).unwrap_or(1);
    let rest = usize::try_from(shared.get(3)).unwrap_or(1);
    while !shared.stopping() {
        let place = (shared.get(0) + random.below(size) as u64) as *mut u8;
        let bit = 1 << random.below(8);
        for _ in 0..2 {
            // SAFETY: the upload area is mapped read-write and holds the image; everybody else who looks at it copies it
            // as something that changes.
            let byte = unsafe { place.read_volatile() };
            // SAFETY: as above.
            unsafe { place.write_volatile(byte ^ bit) };
            shared.count(2);
            for _ in 0..random.below(rest) {
                core::hint::spin_loop();
            }
        }
    }
}

/// Loads an image as often, while somebody else changes it; where there are cores, on another core.
fn changing(agent: &mut Agent, loads: u32, core: u32, rest: u64) -> Outcome {
    let demo = agent.open("demo")?;
    let good = agent.archived_signed("pass_a")?;
    let upload = agent.upload_bytes(good);
    let size = upload.size as u64;
    let before = agent.snapshot()?;
    let client = agent.spawn_on(core, flipping, &[agent.upload, size, 0, rest])?;
    let mut random = Random::new(agent.seed);
    let (mut accepted, mut refused) = (0_u32, 0_u32);
    for _ in 0..loads {
        // The other client is stopped, or further on, wherever it is when this one wakes up.
        agent.sleep_us(20 + random.next() % 50)?;
        match agent.try_load_image("pass_a", ImageRef { area: Area::Upload, offset: 0, size })? {
            Ok(()) => {
                ensure_eq!(demo.ping(agent.ipc, 41)?, 412, "what was loaded");
                agent.unload("pass_a")?;
                accepted += 1;
            }
            Err(why) if why.errno == Errno::EAUTH => refused += 1,
            Err(why) => fail!("neither as signed nor refused for its signature: {why:?}"),
        }
    }
    let changes = client.get(2);
    agent.join(client)?;
    note!("{changes} changes: {accepted} images were as signed, {refused} were refused");
    ensure!(changes > 1_000 && accepted > 0 && refused > 0, "nothing was tried");
    agent.expect_as_before(&before, "images that change")?;
    agent.audit()?;
    agent.expect_empty()
}

case!(
    /// T2: an image that somebody changes while it is loaded is as it was signed, or it is refused.
    60, fn t02_an_image_that_changes_meanwhile_is_as_signed_or_refused(agent) { changing(agent, 200, CONTROL_CORE, 1) }
);

case!(
    /// T2: the same with the writer on another core, where it writes while the image is copied.
    120, CORES, fn smp_t02_an_image_that_another_core_changes_is_as_signed_or_refused(agent) { changing(agent, 200, 1, 10_000) }
);

/// Sends messages of random words, half of them with a head that is right and the number of a request, without end.
/// Word 0 is the seed; word 1 counts the answers.
fn flooding(shared: &'static Shared, ipc: &mut Ipc) {
    let mut random = Random::new(shared.get(0));
    while !shared.stopping() {
        let length = random.below(WORDS_MAX + 1);
        for word in &mut ipc.msg[..length] {
            *word = random.next();
        }
        if length > 1 && random.next().is_multiple_of(2) {
            let bytes = (length - 1) * 8 - random.below(8);
            ipc.msg[0] = (u64::from(VERSION) << 32) | bytes as u64;
            ipc.msg[1] = (ipc.msg[1] & !0xff) | (random.next() % 32);
        }
        let tag = sel4_sys::seL4_MessageInfo::new(random.next() & 0xfff, 0, 0, length as u64);
        ipc.seL4_Call(slot::LINKER_2, tag);
        shared.count(1);
    }
}

case!(
    /// T3: a client that sends rubbish without end gets an answer to each, changes nothing, and keeps nobody waiting.
    60, fn t03_rubbish_is_answered_and_keeps_nobody_waiting(agent) {
        const SAMPLES: u64 = 200;
        let demo = agent.open("demo")?;
        let round_trips = |agent: &mut Agent| -> Outcome<(u64, u64)> {
            let (mut sum, mut longest) = (0, 0);
            for _ in 0..SAMPLES {
                agent.sleep_us(200)?;
                let start = clock::ticks();
                agent.linker(&Request::Status)?;
                let took = clock::ticks() - start;
                sum += took;
                longest = took.max(longest);
            }
            Ok((sum / SAMPLES, longest))
        };
        let (alone, _) = round_trips(agent)?;
        let client = agent.spawn(flooding, &[agent.seed])?;
        let (meanwhile, longest) = round_trips(agent)?;
        agent.load("pass_a")?;
        ensure_eq!(demo.ping(agent.ipc, 41)?, 412, "a load in the middle of it");
        agent.unload("pass_a")?;
        let answers = client.get(1);
        agent.join(client)?;
        note!("{answers} messages; STATUS took {alone} ticks, meanwhile {meanwhile}, at most {longest}");
        ensure!(answers > 1_000, "only {answers} messages were answered");
        ensure!(meanwhile <= 2 * alone, "STATUS took {alone} ticks before, {meanwhile} meanwhile");
        ensure!(longest < clock::frequency() / 100, "STATUS took {longest} ticks once: more than 10 ms");
        agent.expect_stack(PING, &[BASE])?;
        agent.audit()?;
        agent.expect_empty()
    }
);

/// Bytes that are copied at most, and room around them.
const COPY_MAX: usize = 150;
const ROOM: usize = COPY_MAX + 32;

case!(
    /// What the compiler calls to copy and to fill memory does just that, wherever source and target lie.
    60, fn memory_is_copied_and_filled_at_every_alignment(agent) {
        let mut source = [0_u8; ROOM];
        for (at, byte) in source.iter_mut().enumerate() {
            *byte = u8::try_from(at * 7 % 251).unwrap_or(0);
        }
        for (from, to) in (0..16).flat_map(|from| (0..16).map(move |to| (from, to))) {
            for size in 0..COPY_MAX {
                let mut target = [0xa5_u8; ROOM];
                // The size is not known to the compiler, so that it calls the function.
                let size = core::hint::black_box(size);
                target[to..to + size].copy_from_slice(&source[from..from + size]);
                let whole = target[..to].iter().chain(&target[to + size..]).all(|byte| *byte == 0xa5);
                ensure!(whole, "a copy of {size} bytes from {from} to {to} wrote beside its target");
                let same = target[to..to + size].iter().zip(&source[from..]).all(|(one, other)| one == other);
                ensure!(same, "a copy of {size} bytes from {from} to {to}");
                if from == 0 {
                    target[to..to + size].fill(core::hint::black_box(0x3c));
                    let filled = target[to..to + size].iter().all(|byte| *byte == 0x3c);
                    let whole = target[..to].iter().chain(&target[to + size..]).all(|byte| *byte == 0xa5);
                    ensure!(filled && whole, "filling {size} bytes at {to}");
                }
            }
        }
        agent.expect_devices_well()
    }
);
