//! The kernel image.
//!
//! From the first Rust instruction to the first thread: what the machine has, the kernel's own
//! tables, the core's boot. Everything else is in the crates.
#![no_std]
#![no_main]

mod platform;
mod ranges;

use crate::platform::Platform;
use crate::ranges::{Ranges, range};
use board::{InterruptController, Restart};
use core::panic::PanicInfo;
#[cfg(not(feature = "smp"))]
use microkernel_aarch64::cores;
#[cfg(feature = "smp")]
use microkernel_aarch64::secondary::{self, StartError};
use microkernel_aarch64::tables::{Builder, Kind, OutOfTables};
use microkernel_aarch64::{Hardware, fatal, run, set_console};
use microkernel_abi::image::{KernelImageHeader, MAGIC, VERSION};
use microkernel_core::boot::{BootInput, boot};
#[cfg(feature = "smp")]
use microkernel_core::fdt::StartMethod;
use microkernel_core::fdt::{Fdt, Range};
use microkernel_core::machine::to_physical;
use microkernel_core::text::Piece;
use selected_board::BOARD;

/// The device tree, cut to what is used: more than a machine of this size ever has.
const FDT_MAX: usize = 64 << 10;

unsafe extern "C" {
    static image_header: KernelImageHeader;
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __stack_guard: u8;
    static __image_end: u8;
}

/// Physical address of a linker symbol.
macro_rules! physical {
    ($symbol:ident) => {
        to_physical((&raw const $symbol).addr() as u64)
    };
}

/// Where a GICv2 is, for the first instructions at EL3 (`microkernel_aarch64::start`): its groups are to be set there.
#[unsafe(no_mangle)]
static EL3_GICV2: [u64; 2] = match BOARD.interrupts[0] {
    InterruptController::GicV2 { distributor, cpu } if BOARD.interrupts.len() == 1 => {
        [distributor.start, cpu.start]
    }
    // No other way to find out which one it is.
    _ => [0; 2],
};

fn make_tables(ram: &Ranges, controller: InterruptController) -> Result<(), OutOfTables> {
    // SAFETY: boot, once.
    let mut tables = unsafe { Builder::new() };
    let (start, text, constants) = (physical!(__image_start), physical!(__text_end), physical!(__rodata_end));
    let (guard, end) = (physical!(__stack_guard), physical!(__image_end));
    // The blocks that the image is in get pages of their own: what is around it is memory.
    let block = 2 << 20;
    let (first, last) = (start / block * block, end.next_multiple_of(block));
    tables.map_pages(first, last, Kind::Memory)?;
    tables.map_pages(start, text, Kind::Text)?;
    tables.map_pages(text, constants, Kind::Constant)?;
    tables.unmap_page(guard)?;
    #[cfg(feature = "smp")]
    secondary::stack_guards().try_for_each(|guard| tables.unmap_page(guard))?;
    for range in ram.get() {
        tables.map_blocks(range.start, range.end, Kind::Memory)?;
    }
    for device in controller.regions().into_iter().chain([BOARD.console.registers]).map(range) {
        tables.map_blocks(device.start, device.end, Kind::Device)?;
    }
    if let Restart::Watchdog(registers) = BOARD.restart {
        tables.map_blocks(registers.start, registers.start + registers.size, Kind::Device)?;
    }
    for change in BOARD.pins {
        tables.map_blocks(change.register, change.register + 4, Kind::Device)?;
    }
    // SAFETY: text, constants, data and stack are mapped as just listed, at their addresses.
    unsafe { tables.activate() };
    Ok(())
}

/// Everything below the end of physical addresses that is neither RAM, nor the firmware's, nor the kernel's alone.
fn device_space(ram: &Ranges, kept: &Ranges, controller: InterruptController) -> Ranges {
    let mut space = Ranges::new();
    space.add(0, BOARD.physical_end);
    let controller = controller.regions().map(range);
    let watchdog = match BOARD.restart {
        Restart::Watchdog(registers) => Some(range(registers)),
        Restart::Firmware => None,
    };
    for &hole in ram.get().iter().chain(kept.get()).chain(&controller).chain(&watchdog) {
        space = space.without(hole);
    }
    space
}

/// Starts further cores; returns how many there are then.
///
/// # Safety
/// Boot, once, with the kernel's own tables. What tree and description say about further cores holds.
#[cfg(feature = "smp")]
unsafe fn start_cores(tree: Option<Fdt<'_>>) -> usize {
    let described = |affinity: u64| {
        let place = usize::try_from(affinity & 0xff).ok()?.checked_sub(1)?;
        BOARD.spin_table.get(place).map(|&release| StartMethod::SpinTable { release })
    };
    let method = |affinity| match tree {
        Some(tree) => tree.start_method(affinity).or_else(|| described(affinity)),
        None => described(affinity),
    };
    // SAFETY: the caller's promise.
    match unsafe { secondary::start(method) } {
        Ok(count) => count,
        Err(StartError::Late(affinity)) => {
            fatal(&[Piece::Text("a core does not come: affinity "), Piece::Hex(affinity)])
        }
        Err(StartError::Refused(affinity)) => {
            fatal(&[Piece::Text("the firmware starts no core of affinity "), Piece::Hex(affinity)])
        }
    }
}

/// Puts the cores that the firmware holds to sleep: its memory may become somebody's.
///
/// # Safety
/// As for several cores.
#[cfg(not(feature = "smp"))]
unsafe fn start_cores(_: Option<Fdt<'_>>) -> usize {
    for &release in BOARD.spin_table {
        // SAFETY: the description says that the firmware holds a core there; `_start` puts every core but the first
        // to sleep.
        unsafe { cores::release(release, physical!(__image_start)) };
    }
    1
}

/// Called by the start-up assembly with the device tree's physical address.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(fdt_at: u64) -> ! {
    let tree = platform::device_tree(fdt_at);
    let Platform { ram, kept, controller, wrong } = Platform::find(BOARD, tree);
    if make_tables(&ram, controller).is_err() {
        fatal(&[Piece::Text("more memory than the kernel's tables can map")]);
    }
    // SAFETY: the blocks of the console and of its pins have just been mapped.
    let uart = unsafe { platform::set_up_console(BOARD) };
    // SAFETY: boot, once.
    unsafe { set_console(uart) };
    // SAFETY: boot, once; the watchdog's block has just been mapped.
    unsafe { platform::plan_the_end(BOARD, tree) };
    if let Some(wrong) = wrong {
        let [what, value] = wrong.message();
        let board = Piece::Text(BOARD.name);
        fatal(&[Piece::Text("the device tree is not that of "), board, Piece::Text(": "), what, value]);
    }
    // SAFETY: its blocks have just been mapped; the kernel is the only user of the interrupt controller.
    let Some(interrupts) = (unsafe { platform::set_up_interrupts(controller) }) else {
        fatal(&[Piece::Text("the interrupt controller has no redistributor for this core")]);
    };
    // SAFETY: boot, once; the tree or the description says how further cores are started.
    let cores = unsafe { start_cores(tree) };
    // SAFETY: the header is part of the image; the packer wrote it before the image was loaded, nobody since. A
    // volatile read, because the linked binary has zeroes there.
    let header = unsafe { (&raw const image_header).read_volatile() };
    if header.magic != MAGIC || header.version != VERSION {
        fatal(&[Piece::Text("the image carries no root task")]);
    }
    let hardware = Hardware::new(interrupts, uart);
    let image_start = physical!(__image_start) + header.user_image_offset;
    let image = Range { start: image_start, end: image_start + header.user_image_size };
    let used = tree.map_or(&[][..], |tree| tree.used_bytes());
    let fdt = if used.len() <= FDT_MAX { used } else { &[] };
    let mut free = ram
        .without(Range { start: physical!(__image_start), end: physical!(__image_end) })
        .without(image)
        // Written to the extra boot information before anything of it is given out.
        .without(tree_range(fdt_at, fdt));
    for &range in kept.get() {
        free = free.without(range);
    }
    let devices = device_space(&ram, &kept, controller);
    let irqs = hardware.irqs();
    let input = BootInput {
        ram: free.get(),
        devices: devices.get(),
        image,
        image_va: header.user_virt_base,
        entry: header.user_entry,
        fdt,
        irqs,
        cores,
    };
    start(hardware, &input)
}

/// Makes the kernel and runs it. A frame of its own: a kernel for several cores is large, and is moved into its place.
#[inline(never)]
fn start(hardware: Hardware, input: &BootInput<'_>) -> ! {
    match boot(hardware, input) {
        Ok(kernel) => run(kernel),
        Err(error) => fatal(&[Piece::Text("no root task: "), Piece::Text(error.message())]),
    }
}

/// The pages of the device tree.
fn tree_range(at: u64, fdt: &[u8]) -> Range {
    Range { start: at / 4096 * 4096, end: (at + fdt.len() as u64).next_multiple_of(4096) }
}

/// A release kernel stops without a word, and carries none.
#[cfg(not(feature = "debug"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    microkernel_aarch64::stop()
}

#[cfg(feature = "debug")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A message with values in it would bring all of `core::fmt` along; the place says enough.
    let text = info.message().as_str().unwrap_or("an assertion does not hold");
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    let line = Piece::Decimal(line.into());
    fatal(&[Piece::Text(text), Piece::Text(" at "), Piece::Text(file), Piece::Text(":"), line])
}
