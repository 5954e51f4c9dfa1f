//! The symbols of a link domain's base image, and what they are called with.
//!
//! All are aliasable unless said otherwise: calling one runs whoever answers to it now. Signatures follow bus_space(9);
//! the C header is generated from these declarations, and a test holds it to them.

use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags};

use crate::interface;

/// A symbol's name and fingerprint, as a record carries them, and how it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name, as in the symbol table.
    pub name: &'static str,
    /// The fingerprint of its signature.
    pub fingerprint: u64,
    /// Names and Rust types of its arguments, for the C header.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The Rust type of its result, empty for none.
    pub result: &'static str,
}

interface! {
    /// The 36 functions of bus_space(9) that every bus has.
    pub list BUS_SPACE;

    /// Maps `size` bytes at bus address `address`; 0, or an errno number and no handle.
    fn bus_space_map(tag: BusTag, address: u64, size: u64, flags: MapFlags, handle: *mut BusHandle) -> i32;
    /// Gives back what `bus_space_map` mapped; takes the same size and never fails.
    fn bus_space_unmap(tag: BusTag, handle: BusHandle, size: u64);
    /// A handle of a part of a mapping; never unmapped, dies with its parent.
    fn bus_space_subregion(tag: BusTag, handle: BusHandle, offset: u64, size: u64, part: *mut BusHandle) -> i32;
    /// Orders accesses, see `BarrierFlags`.
    fn bus_space_barrier(tag: BusTag, handle: BusHandle, offset: u64, length: u64, flags: BarrierFlags);

    /// Reads one element.
    fn bus_space_read_1(tag: BusTag, handle: BusHandle, offset: u64) -> u8;
    /// Reads one element.
    fn bus_space_read_2(tag: BusTag, handle: BusHandle, offset: u64) -> u16;
    /// Reads one element.
    fn bus_space_read_4(tag: BusTag, handle: BusHandle, offset: u64) -> u32;
    /// Reads one element.
    fn bus_space_read_8(tag: BusTag, handle: BusHandle, offset: u64) -> u64;
    /// Writes one element.
    fn bus_space_write_1(tag: BusTag, handle: BusHandle, offset: u64, value: u8);
    /// Writes one element.
    fn bus_space_write_2(tag: BusTag, handle: BusHandle, offset: u64, value: u16);
    /// Writes one element.
    fn bus_space_write_4(tag: BusTag, handle: BusHandle, offset: u64, value: u32);
    /// Writes one element.
    fn bus_space_write_8(tag: BusTag, handle: BusHandle, offset: u64, value: u64);

    /// Reads one element that may not be there: 0, or an errno number. `value` may be null.
    fn bus_space_peek_1(tag: BusTag, handle: BusHandle, offset: u64, value: *mut u8) -> i32;
    /// Reads one element that may not be there: 0, or an errno number. `value` may be null.
    fn bus_space_peek_2(tag: BusTag, handle: BusHandle, offset: u64, value: *mut u16) -> i32;
    /// Reads one element that may not be there: 0, or an errno number. `value` may be null.
    fn bus_space_peek_4(tag: BusTag, handle: BusHandle, offset: u64, value: *mut u32) -> i32;
    /// Reads one element that may not be there: 0, or an errno number. `value` may be null.
    fn bus_space_peek_8(tag: BusTag, handle: BusHandle, offset: u64, value: *mut u64) -> i32;
    /// Writes one element that may not be there: 0, or an errno number.
    fn bus_space_poke_1(tag: BusTag, handle: BusHandle, offset: u64, value: u8) -> i32;
    /// Writes one element that may not be there: 0, or an errno number.
    fn bus_space_poke_2(tag: BusTag, handle: BusHandle, offset: u64, value: u16) -> i32;
    /// Writes one element that may not be there: 0, or an errno number.
    fn bus_space_poke_4(tag: BusTag, handle: BusHandle, offset: u64, value: u32) -> i32;
    /// Writes one element that may not be there: 0, or an errno number.
    fn bus_space_poke_8(tag: BusTag, handle: BusHandle, offset: u64, value: u64) -> i32;

    /// Reads `count` elements from one location.
    fn bus_space_read_multi_1(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u8, count: u64);
    /// Reads `count` elements from one location.
    fn bus_space_read_multi_2(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u16, count: u64);
    /// Reads `count` elements from one location.
    fn bus_space_read_multi_4(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u32, count: u64);
    /// Reads `count` elements from one location.
    fn bus_space_read_multi_8(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u64, count: u64);
    /// Writes `count` elements to one location.
    fn bus_space_write_multi_1(tag: BusTag, handle: BusHandle, offset: u64, data: *const u8, count: u64);
    /// Writes `count` elements to one location.
    fn bus_space_write_multi_2(tag: BusTag, handle: BusHandle, offset: u64, data: *const u16, count: u64);
    /// Writes `count` elements to one location.
    fn bus_space_write_multi_4(tag: BusTag, handle: BusHandle, offset: u64, data: *const u32, count: u64);
    /// Writes `count` elements to one location.
    fn bus_space_write_multi_8(tag: BusTag, handle: BusHandle, offset: u64, data: *const u64, count: u64);

    /// Reads `count` consecutive elements.
    fn bus_space_read_region_1(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u8, count: u64);
    /// Reads `count` consecutive elements.
    fn bus_space_read_region_2(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u16, count: u64);
    /// Reads `count` consecutive elements.
    fn bus_space_read_region_4(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u32, count: u64);
    /// Reads `count` consecutive elements.
    fn bus_space_read_region_8(tag: BusTag, handle: BusHandle, offset: u64, data: *mut u64, count: u64);
    /// Writes `count` consecutive elements.
    fn bus_space_write_region_1(tag: BusTag, handle: BusHandle, offset: u64, data: *const u8, count: u64);
    /// Writes `count` consecutive elements.
    fn bus_space_write_region_2(tag: BusTag, handle: BusHandle, offset: u64, data: *const u16, count: u64);
    /// Writes `count` consecutive elements.
    fn bus_space_write_region_4(tag: BusTag, handle: BusHandle, offset: u64, data: *const u32, count: u64);
    /// Writes `count` consecutive elements.
    fn bus_space_write_region_8(tag: BusTag, handle: BusHandle, offset: u64, data: *const u64, count: u64);
}

interface! {
    /// The symbols of the "demo" server, which exist to be overridden.
    pub list DEMO;

    /// What the demo server answers to a ping; the default adds one.
    fn demo_ping(value: u64) -> u64;
    /// What the demo server does on a wait: the default returns at once. May block.
    fn demo_wait(value: u64) -> u64;
    /// A stub for an optional subsystem that keeps notes: the default keeps none and answers 0.
    fn demo_note(note: u64) -> u64;
    /// What the benchmark calls: the default answers its argument plus one.
    fn bench_leaf(value: u64) -> u64;
}

interface! {
    /// bpf(4), from the driver's side: a stub that keeps who has attached, and a tap that may come over it.
    pub list BPF;

    /// Says that packets of an interface can be heard; `link_type` (as in capture files) is what they begin with, in
    /// `header` bytes. A tap sets the word at `listeners` to a number while somebody listens, and to 0 when nobody does;
    /// the word stays for as long as the link domain and is changed as a whole only. 0, or an errno number.
    fn bpf_attach(interface: u32, link_type: u32, header: u32, listeners: *mut u64) -> i32;
    /// Takes back all attachments of an interface.
    fn bpf_detach(interface: u32);
    /// An interface's first attachment has another link type from now on; 0, or an errno number.
    fn bpf_change_type(interface: u32, link_type: u32, header: u32) -> i32;
    /// Shows a packet of `length` bytes that goes out (2) or has come in (1). `attachment` is the word's number.
    fn bpf_mtap(attachment: u64, packet: *const u8, length: u64, direction: u32);
    /// The same with a header that lies elsewhere.
    fn bpf_mtap2(
        attachment: u64,
        header: *const u8,
        header_length: u64,
        packet: *const u8,
        length: u64,
        direction: u32,
    );
    /// Whether anybody listens: 1 or 0.
    fn bpf_peers_present(attachment: u64) -> u32;
}

interface! {
    /// A stub that layers call at each access they handle, so that a trace shows them: `bus_space_debug` provides it.
    pub list TRACE;

    /// Says that `layer` (a short name, one byte a character, the first in the low byte) handles an access now.
    fn bus_space_trace(tag: BusTag, handle: BusHandle, offset: u64, layer: u64);
}

interface! {
    /// Functions that the base image offers to modules; bound when a module is loaded, not aliasable.
    pub list EXPORTS;

    /// The number of the device that a handle lies in; `u32::MAX` outside every device.
    fn bus_space_device(tag: BusTag, handle: BusHandle) -> u32;
    /// The bus address that a handle stands for; `u64::MAX` outside every device.
    fn bus_space_address(tag: BusTag, handle: BusHandle) -> u64;
    /// Copies the recorded attachments of bpf(4), the oldest first: three words each, at most `room` of them, and their
    /// number. Returns the record's generation, which grows with each change; with no room it does nothing else.
    fn bpf_attachments(list: *mut u64, room: u32, count: *mut u32) -> u64;
    /// Waits until event number `event` is signalled, or returns at once if it has been; EINVAL for a number too high.
    fn strata_event_wait(event: u32) -> i32;
    /// Signals event number `event`; EINVAL for a number too high.
    fn strata_event_signal(event: u32) -> i32;
    /// Asks the linker server to unload the module of this name (eight bytes a word, padded with zeros) and waits for
    /// the answer: 0, or an errno number. EDEADLK from inside of that module, EBUSY from a module command.
    fn strata_unload(name0: u64, name1: u64, name2: u64, name3: u64) -> i32;
    /// Registers something under a name of 16 bytes (eight a word, padded with zeros); `registered` takes its handle and its
    /// value. 0, or an errno number: EPERM outside of INIT and START.
    fn strata_register(kind: u64, name0: u64, name1: u64, first: u64, second: u64, registered: *mut u64) -> i32;
    /// Gives back what was registered: 0, or an errno number.
    fn strata_deregister(handle: u64) -> i32;
    /// Sets a timer in so many microseconds, 0 for never: 0, or an errno number.
    fn strata_timer_set(handle: u64, microseconds: u64) -> i32;
    /// Starts a thread that has not begun or has left: 0, or an errno number.
    fn strata_thread_start(handle: u64) -> i32;
    /// Lets an interrupt come again: 0, or an errno number.
    fn strata_interrupt_done(handle: u64) -> i32;
    /// Wakes the thread whose value this is.
    fn strata_wake(slot: u64);
    /// Waits for a request at an endpoint or for a signal, 0 for a signal alone; `message` takes label, length and four
    /// words. The badge.
    fn strata_receive(endpoint: u64, message: *mut u64) -> u64;
    /// Answers the request that was received last with `length` of four words.
    fn strata_reply(label: u64, length: u64, words: *const u64);
    /// Has the demo servers keep an address to call, 0 for none; the one before. For tests.
    fn demo_keep(callback: u64) -> u64;
}

/// All lists together, in the order of the C header.
pub const LISTS: &[(&str, &[Symbol])] =
    &[("bus_space", BUS_SPACE), ("trace", TRACE), ("demo", DEMO), ("bpf", BPF), ("exports", EXPORTS)];
