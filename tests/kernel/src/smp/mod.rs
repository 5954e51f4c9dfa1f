//! Several cores: threads that run elsewhere.
//!
//! The root task is on core 0 and more urgent than everybody. Cases wait for what others do by looking, with a bound.
mod meeting;
mod memory;
mod running;

use crate::env::{Env, Thread, ok};
use core::sync::atomic::{AtomicU64, Ordering};
use sel4_sys::seL4_IPCBuffer;

/// Looks at something that must happen soon.
const LOOKS_MAX: u64 = 20_000_000;

/// Words that threads of a case write: one for each core, and more.
static WORDS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

fn word(i: u64) -> &'static AtomicU64 {
    &WORDS[usize::try_from(i).expect("few") % WORDS.len()]
}

fn value(i: u64) -> u64 {
    word(i).load(Ordering::SeqCst)
}

fn clear() {
    WORDS.iter().for_each(|word| word.store(0, Ordering::SeqCst));
}

/// Waits until something holds.
#[track_caller]
fn until(holds: impl Fn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        core::hint::spin_loop();
    }
    panic!("it does not happen");
}

/// Waits until a word has changed twice: whoever writes it has run after this was called.
#[track_caller]
fn advances(i: u64) {
    let before = value(i);
    until(|| value(i) >= before + 2);
}

/// A word that does not change in a while.
#[track_caller]
fn stands_still(i: u64) {
    let before = value(i);
    for _ in 0..5000 {
        core::hint::spin_loop();
    }
    assert_eq!(value(i), before, "it runs");
}

/// Makes a thread on a core and lets it run.
fn spawn_on(
    env: &mut Env,
    core: u64,
    entry: extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !,
    a: u64,
    b: u64,
) -> Thread {
    let thread = env.thread(100, 0);
    ok(env.ipc.seL4_TCB_SetAffinity(thread.tcb, core));
    env.start(thread, entry, a, b);
    thread
}

/// Counts in a word for ever.
extern "C" fn count(_: &mut seL4_IPCBuffer, i: u64, _: u64) -> ! {
    loop {
        word(i).fetch_add(1, Ordering::SeqCst);
    }
}
