//! The chainloader: takes a system over the serial line and starts it, so that a card stays in its board.
//!
//! Reading order: [`asm`] (the way in and out) and [`bytes`], [`memory`] (what lies where), [`line`], here. What frames mean is
//! `chain`'s.
#![no_std]
#![no_main]

mod asm;
mod bytes;
mod line;
mod memory;

use core::panic::PanicInfo;

use chain::{GREETING, Loader, Start};
use driver_class::Driver as _;
use driver_class::serial::SerialPort as _;
use pl011::Pl011;
use selected_board::BOARD;
use strata_protocol::uplink::{Split, Splitter, decode};
use strata_protocol::wire::{FRAME_MAX, Frame, encode};

use crate::line::Physical;
use crate::memory::{KERNEL, Places, TREE};

/// The line is quiet this long before a system is started: whoever asked for it has heard the answer.
const QUIET_MS: u64 = 700;
/// How long nothing is asked of a line that had nothing: a third of what its FIFO takes at full speed. An emulator brings
/// the next bytes meanwhile.
const PAUSE_US: u64 = 400;
/// How often it is said that somebody is here while nobody is understood.
const GREETING_MS: u64 = 1000;

/// Called by the start-up assembly with what the firmware has passed.
#[unsafe(no_mangle)]
extern "C" fn chainloader_main(firmware_tree: u64) -> ! {
    let Some(mut uart) = line::open() else { stop() };
    // SAFETY: called once; the firmware has put this image and its tree elsewhere, and has nothing to do any more.
    let mut loader = Loader::new(BOARD.name, unsafe { Places::new() });
    let mut splitter = Splitter::default();
    let millisecond = (asm::ticks_a_second() / 1000).max(1);
    // The last byte of any kind, and the last frame or greeting.
    let (mut heard, mut spoken) = (asm::ticks(), asm::ticks());
    greet(&mut uart);
    loop {
        uart.interrupt();
        if let Some(byte) = uart.take() {
            heard = asm::ticks();
            if let Split::Frame(inside) = splitter.feed(byte)
                && let Ok(uplink) = decode(inside)
            {
                answer(&mut uart, &loader.serve(&uplink));
                spoken = heard;
            }
            continue;
        }
        let now = asm::ticks();
        let quiet = (now - heard) / millisecond;
        match loader.start() {
            Some(start) if quiet >= QUIET_MS => go(&loader.memory, start, firmware_tree),
            None if (now - spoken) / millisecond >= GREETING_MS => {
                greet(&mut uart);
                spoken = now;
            }
            _ => while asm::ticks() - now < millisecond * PAUSE_US / 1000 {},
        }
    }
}

fn say(uart: &mut Pl011<Physical>, bytes: &[u8]) {
    // Who does not take what is said does not hear why.
    let _ = uart.write(bytes);
}

fn greet(uart: &mut Pl011<Physical>) {
    for part in [GREETING, BOARD.name, ": waits for `./x run --serial`\r\n"] {
        say(uart, part.as_bytes());
    }
}

fn answer(uart: &mut Pl011<Physical>, frame: &Frame<'_>) {
    let mut buffer = [0; FRAME_MAX];
    if let Ok(bytes) = encode(frame, &mut buffer) {
        say(uart, bytes);
    }
}

/// Starts what has come, with its own tree or the firmware's.
fn go(memory: &Places, start: Start, firmware_tree: u64) -> ! {
    let tree = start.tree.map_or(firmware_tree, |size| {
        // SAFETY: it was written by `Places`, with the MMU off.
        unsafe { asm::invalidate(TREE, size.into()) };
        TREE
    });
    // SAFETY: this image runs above; where it was put first nothing is needed. `start` is what `chain` allows.
    unsafe { memory.place(start.kernel) };
    // SAFETY: it was written by `place`, with the MMU off.
    unsafe { asm::invalidate(KERNEL, start.kernel.into()) };
    // SAFETY: what has come is what the host announced for this board, to the last bit.
    unsafe { asm::start(KERNEL, tree) }
}

fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}
