//! The kernel image.
//!
//! From the first Rust instruction to the first thread: what the machine has, the kernel's own
//! tables, the core's boot. Everything else is in the crates.
#![no_std]
#![no_main]

use board::Region;
use core::panic::PanicInfo;
use microkernel_aarch64::tables::{Builder, Kind, OutOfTables};
use microkernel_aarch64::{Gic, Hardware, Uart, fatal, run, set_console};
use microkernel_abi::image::{KernelImageHeader, MAGIC, VERSION};
use microkernel_core::boot::{BootInput, boot};
use microkernel_core::fdt::{self, Fdt, Range};
use microkernel_core::machine::{to_kernel, to_physical};
use qemu_virt::BOARD;

/// Pieces of RAM that a board can have.
const RAM_MAX: usize = 8;
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

/// Ranges without heap.
struct Ranges {
    list: [Range; RAM_MAX * 4],
    count: usize,
}

impl Ranges {
    const fn new() -> Self {
        Self { list: [Range { start: 0, end: 0 }; RAM_MAX * 4], count: 0 }
    }

    fn add(&mut self, start: u64, end: u64) {
        if start < end {
            assert!(self.count < self.list.len(), "more pieces of memory than RAM_MAX allows");
            self.list[self.count] = Range { start, end };
            self.count += 1;
        }
    }

    fn get(&self) -> &[Range] {
        &self.list[..self.count]
    }

    /// What is left without `hole`.
    fn without(&self, hole: Range) -> Self {
        let mut rest = Self::new();
        for range in self.get() {
            rest.add(range.start, range.end.min(hole.start));
            rest.add(range.start.max(hole.end), range.end);
        }
        rest
    }
}

const fn range(region: Region) -> Range {
    Range { start: region.start, end: region.start + region.size }
}

/// The device tree at a physical address, if there is one.
fn device_tree(at: u64) -> Option<Fdt<'static>> {
    if at == 0 || !at.is_multiple_of(8) {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(usize::try_from(to_kernel(at)).ok()?);
    // SAFETY: the loader passed the address; the boot tables map the GiB that it is in, as ordinary memory that
    // nothing writes until the boot is done.
    let header = unsafe { core::slice::from_raw_parts(pointer, fdt::HEADER_SIZE) };
    let size = fdt::total_size(header)?;
    // SAFETY: as above, for the whole tree.
    Fdt::parse(unsafe { core::slice::from_raw_parts(pointer, size) })
}

fn make_tables(ram: &Ranges) -> Result<(), OutOfTables> {
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
    for range in ram.get() {
        tables.map_blocks(range.start, range.end, Kind::Memory)?;
    }
    for device in [BOARD.gic_distributor, BOARD.gic_cpu, BOARD.uart] {
        tables.map_blocks(device.start, device.start + device.size, Kind::Device)?;
    }
    // SAFETY: text, constants, data and stack are mapped as just listed, at their addresses.
    unsafe { tables.activate() };
    Ok(())
}

/// Everything below the end of physical addresses that is neither RAM nor the interrupt controller.
fn device_space(ram: &Ranges) -> Ranges {
    let mut space = Ranges::new();
    space.add(0, BOARD.physical_end);
    for hole in ram.get().iter().copied().chain([range(BOARD.gic_distributor), range(BOARD.gic_cpu)]) {
        space = space.without(hole);
    }
    space
}

/// Called by the start-up assembly with the device tree's physical address.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(fdt_at: u64) -> ! {
    let tree = device_tree(fdt_at);
    let mut ram = Ranges::new();
    if let Some(tree) = tree {
        tree.memory(|range| ram.add(range.start, range.end)).unwrap_or_default();
    }
    if ram.get().is_empty() {
        BOARD.ram.iter().for_each(|&region| ram.add(range(region).start, range(region).end));
    }
    if make_tables(&ram).is_err() {
        fatal(format_args!("more memory than the kernel's tables can map"));
    }
    // SAFETY: the device blocks have just been mapped; the kernel is the only user of the interrupt controller.
    let gic = unsafe { Gic::new(BOARD.gic_distributor.start, BOARD.gic_cpu.start) };
    // SAFETY: as above.
    unsafe { set_console(BOARD.uart.start) };
    // SAFETY: as above.
    let uart = unsafe { Uart::new(BOARD.uart.start) };
    // SAFETY: the header is part of the image; the packer wrote it before the image was loaded, nobody since. A
    // volatile read, because the linked binary has zeroes there.
    let header = unsafe { (&raw const image_header).read_volatile() };
    if header.magic != MAGIC || header.version != VERSION {
        fatal(format_args!("the image carries no root task"));
    }
    let hardware = Hardware::new(gic, uart);
    let image_start = physical!(__image_start) + header.user_image_offset;
    let image = Range { start: image_start, end: image_start + header.user_image_size };
    let used = tree.map_or(&[][..], |tree| tree.used_bytes());
    let fdt = if used.len() <= FDT_MAX { used } else { &[] };
    let free = ram
        .without(Range { start: physical!(__image_start), end: physical!(__image_end) })
        .without(image)
        // Written to the extra boot information before anything of it is given out.
        .without(tree_range(fdt_at, fdt));
    let devices = device_space(&ram);
    let irqs = hardware.irqs();
    let input = BootInput {
        ram: free.get(),
        devices: devices.get(),
        image,
        image_va: header.user_virt_base,
        entry: header.user_entry,
        fdt,
        irqs,
    };
    match boot(hardware, &input) {
        Ok(kernel) => run(kernel),
        Err(error) => panic!("no root task: {error:?}"),
    }
}

/// The pages of the device tree.
fn tree_range(at: u64, fdt: &[u8]) -> Range {
    Range { start: at / 4096 * 4096, end: (at + fdt.len() as u64).next_multiple_of(4096) }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fatal(format_args!("{info}"))
}
