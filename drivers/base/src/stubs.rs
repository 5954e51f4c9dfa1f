//! Defaults of the symbols that exist to be overridden, and of optional subsystems.

use bus_space::{BusHandle, BusTag};

unsafe extern "C" {
    /// The default of `bench_leaf`, in assembly beside the loops that call it.
    pub(crate) fn _bench_leaf(value: u64) -> u64;
}

/// The default of `demo_ping`: one more.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _demo_ping(value: u64) -> u64 {
    value.wrapping_add(1)
}

/// The default of `demo_wait`: there is nothing to wait for.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _demo_wait(value: u64) -> u64 {
    value
}

/// The default of `demo_note`: no notes are kept without the subsystem.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _demo_note(_note: u64) -> u64 {
    0
}

/// The default of `bus_space_trace`: nobody traces.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _bus_space_trace(_tag: BusTag, _handle: BusHandle, _offset: u64, _layer: u64) {}
