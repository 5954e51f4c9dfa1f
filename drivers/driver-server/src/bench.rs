//! The "bench" server: loops whose instructions `./x bench` counts.
//!
//! The loops are assembly, so that a compiler can neither inline a call nor hoist an address; `bench.s` shows them. It
//! answers what a demo server answers, too: so there is a thread for demonstrations on each core that drivers have.

use bus_space::{BusHandle, BusTag};
use driver_class::{Answer, Words};
use strata_protocol::Errno;
use strata_protocol::domain::ServerStart;
use strata_protocol::driver::{BENCH_RUN, bench};
use strata_runtime::clock;

use crate::demo::Demo;
use crate::server::{Class, Server};

core::arch::global_asm!(include_str!("bench.s"));

/// Rounds of one request: bounds how long a client can keep the core.
pub const ROUNDS_MAX: u64 = 1 << 24;

unsafe extern "C" {
    fn strata_bench_empty(rounds: u64);
    fn strata_bench_direct(rounds: u64);
    fn strata_bench_symbol(rounds: u64);
    fn strata_bench_wait(rounds: u64);
    fn strata_bench_opsvector(rounds: u64);
    fn strata_bench_read_4(rounds: u64, tag: BusTag, handle: BusHandle, offset: u64);
    fn strata_bench_read_4_opsvector(rounds: u64, tag: BusTag, handle: BusHandle, offset: u64);
}

/// Entry of the thread.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry(start: *const ServerStart) -> ! {
    // SAFETY: this is the entry of the thread.
    let server = unsafe { Server::begin(start) };
    let demo = Demo::new(&server);
    server.serve(&mut Bench(demo))
}

struct Bench(Demo);

impl Class for Bench {
    fn request(&mut self, client: u64, label: u64, words: &mut Words, length: usize) -> Answer {
        if label != BENCH_RUN {
            return self.0.request(client, label, words, length);
        }
        words[0] = run(words[0], words[1])?;
        Ok(1)
    }

    fn after(&mut self) {
        self.0.after();
    }
}

/// Runs one loop and returns how many ticks it took.
fn run(which: u64, rounds: u64) -> Result<u64, Errno> {
    if rounds == 0 || rounds > ROUNDS_MAX {
        return Err(Errno::ERANGE);
    }
    // Reads of the last identification register of the first device, which have no side effect.
    let (tag, handle, offset) =
        (BusTag::MEMORY, bus_default::windows::WINDOWS.first().ok_or(Errno::ENODEV)?, 0xffc);
    let before = clock::ticks();
    match which {
        // SAFETY: the loops touch nothing but their own registers and stack.
        bench::EMPTY => unsafe { strata_bench_empty(rounds) },
        // SAFETY: as above.
        bench::DIRECT => unsafe { strata_bench_direct(rounds) },
        // SAFETY: as above; the symbol takes any number.
        bench::SYMBOL => unsafe { strata_bench_symbol(rounds) },
        // SAFETY: as above.
        bench::WAIT => unsafe { strata_bench_wait(rounds) },
        // SAFETY: as above.
        bench::OPSVECTOR => unsafe { strata_bench_opsvector(rounds) },
        // SAFETY: as above; the handle is a mapped device of at least a page.
        bench::BUS_READ_4 => unsafe { strata_bench_read_4(rounds, tag, handle, offset) },
        // SAFETY: as above.
        bench::BUS_READ_4_OPSVECTOR => unsafe { strata_bench_read_4_opsvector(rounds, tag, handle, offset) },
        _ => return Err(Errno::EINVAL),
    }
    Ok(clock::ticks().wrapping_sub(before))
}
