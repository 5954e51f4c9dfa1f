//! Driver servers: what every device answers, and the classes on top.
//!
//! Driver messages are raw words, not postcard: the label is the operation, message registers 0 to 3 the arguments,
//! so that short requests stay in registers. The answer's label is 0 or an errno number; after a restart of the
//! server the answer is EFAULT with the faulting address, program counter and status in registers 0 to 2. EAGAIN says that the server is being
//! restarted: the same endpoint will be served again. ENXIO says that it has faulted too often and stays down until somebody
//! starts it.

use crate::Errno;
use crate::message::WORDS_MAX;

pub mod bytes;
pub mod firmware;
pub mod gpio;
pub mod i2c;
pub mod random;
pub mod spi;
pub mod time;

/// Who carries requests to one driver server and brings its answers.
pub trait Call {
    /// Sends the first `length` words and takes the answer into `words`: how many there are, or the server's errno.
    fn call(&mut self, label: u64, words: &mut [u64; WORDS_MAX], length: usize) -> Result<usize, Errno>;
}

/// Who knows whether a driver server has signalled its client that something is new.
pub trait Arrivals {
    /// Whether it has since the last time. Does not wait.
    fn take_arrival(&mut self) -> bool;

    /// Waits until it has since the last time.
    fn wait(&mut self);

    /// Has everybody who listens to the same signal look again, as if it had come: what one of them has done lets others go
    /// on.
    fn stir(&mut self);
}

/// The labels of a request that may take long, and is answered before it is carried out.
///
/// `begin` has the words of `transfer` → the transfer's number. The server signals its client at the end. `result`, with the
/// number in register 0 → the answer that `transfer` would have had; EBUSY before its end. `abort`, with the number, ends it
/// or forgets its result. Both are ENOENT for what the asking client has not begun, and for what it has lost.
///
/// Until one of the two a transfer belongs to its client, and everybody's `begin` and `transfer` are EBUSY: for `lease_us`,
/// after which any of the two has it ended and forgotten, and goes its way. So a client that has gone keeps the device no
/// longer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// Carries a transfer out before it is answered.
    pub transfer: u64,
    /// Begins a transfer.
    pub begin: u64,
    /// Takes its result.
    pub result: u64,
    /// Gives it up.
    pub abort: u64,
    /// For how long a transfer belongs to whoever began it, in microseconds since then: more than the longest one takes.
    pub lease_us: u64,
}

/// Read a register: width in bytes, offset → value, status. Status is 0, or the errno number of a bus error that a
/// layer has handled (the value is then all ones).
pub const BUS_READ: u64 = 1;
/// Write a register: width in bytes, offset, value → status.
pub const BUS_WRITE: u64 = 2;
/// Read the same register several times and compare: width, offset, count, mask → first value, number of reads whose
/// value under the mask differed from the first.
pub const BUS_CHECK: u64 = 3;

/// Every class, from the linker server alone (its messages carry no badge): leave the device, and let a stand-in answer
/// EAGAIN until the server is started again. No answer is sent.
pub const SERVER_STOP: u64 = 4;

/// UART class: write bytes. Register 0 is the length; the bytes follow from register 1, eight a word, little endian.
/// Answered when all bytes are in the device's queue; one request is contiguous on the line.
pub const UART_WRITE: u64 = 16;
/// UART class: read what has arrived, at most register 0 bytes → length, bytes from register 1. Never waits: the
/// driver signals the client's notification when there is something new.
pub const UART_READ: u64 = 17;
/// The most bytes in one UART request or answer.
pub const UART_BYTES_MAX: usize = (WORDS_MAX - 1) * 8;

/// Clock class: seconds since 1970.
pub const RTC_NOW: u64 = 32;

/// Demo class: calls the symbol `demo_ping` with the argument → its value.
pub const DEMO_PING: u64 = 48;
/// Demo class: calls the symbol `demo_wait` with the argument, after having answered: the call may block.
pub const DEMO_WAIT: u64 = 49;
/// Demo class: calls the stub `demo_note` with the argument → its value.
pub const DEMO_NOTE: u64 = 50;
/// Demo class: signals the notification that a blocking module waits on.
pub const DEMO_RELEASE: u64 = 51;
/// Demo class: → calls of `demo_wait` begun, calls ended, value of the last.
pub const DEMO_STATUS: u64 = 52;
/// Demo class: calls the function pointer to `demo_ping` that the server has kept since its start → its value.
pub const DEMO_PING_POINTER: u64 = 53;
/// Demo class: calls the address that a module has had it keep → its value; ENOENT if there is none.
pub const DEMO_KEPT: u64 = 54;

/// Net class, which demo servers have: interface `number` says to bpf(4) that it can be heard: number, link type, header.
pub const NET_ATTACH: u64 = 80;
/// Net class: it takes that back: number.
pub const NET_DETACH: u64 = 81;
/// Net class: its packets are of another link type: number, link type, header.
pub const NET_CHANGE_TYPE: u64 = 82;
/// Net class: sends packets, which come back: number, count, bytes of each behind its header, 0 or an attachment to show
/// them to whether or not anybody listens → packets that have come back whole since the boot.
pub const NET_SEND: u64 = 83;
/// Net class: number → packets that have come back, packets shown to bpf(4), the interface's word, whether bpf(4) says
/// that somebody listens.
pub const NET_STATUS: u64 = 84;

/// Bench class: runs a loop: which, count → ticks of the counter.
pub const BENCH_RUN: u64 = 64;

/// The loops of the bench class.
pub mod bench {
    /// An empty loop, to be subtracted.
    pub const EMPTY: u64 = 0;
    /// `BL` to a leaf of the base image.
    pub const DIRECT: u64 = 1;
    /// The symbol `bench_leaf`, which a module may have refined.
    pub const SYMBOL: u64 = 2;
    /// A leaf through an operations vector.
    pub const OPSVECTOR: u64 = 3;
    /// `bus_space_read_4` through whatever layers are loaded.
    pub const BUS_READ_4: u64 = 4;
    /// The same access through an operations vector.
    pub const BUS_READ_4_OPSVECTOR: u64 = 5;
    /// The symbol `demo_wait`, whose calls may block: a module's entry is counted.
    pub const WAIT: u64 = 6;
}
