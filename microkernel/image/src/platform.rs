//! What the machine has: the device tree's word where there is one, held against the board's description.
use crate::ranges::Ranges;
use board::{Board, Console, InterruptController, Region, UartKind};
use microkernel_aarch64::{Interrupts, Restart, Speed, Uart, set_restart};
use microkernel_core::bootargs::Ending;
use microkernel_core::fdt::{self, Fdt, Range};
use microkernel_core::machine::to_kernel;
use microkernel_core::text::Piece;

/// The device tree at a physical address, if there is one.
pub(crate) fn device_tree(at: u64) -> Option<Fdt<'static>> {
    if at == 0 || !at.is_multiple_of(8) {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(usize::try_from(to_kernel(at)).ok()?);
    // SAFETY: the loader passed the address; the boot tables map the memory of the GiB that it is in, as ordinary
    // memory that nothing writes until the boot is done.
    let header = unsafe { core::slice::from_raw_parts(pointer, fdt::HEADER_SIZE) };
    let size = fdt::total_size(header)?;
    // SAFETY: as above, for the whole tree.
    Fdt::parse(unsafe { core::slice::from_raw_parts(pointer, size) })
}

/// A difference between the device tree and the board's description that the kernel cannot live with.
#[derive(Clone, Copy)]
pub(crate) enum WrongBoard {
    /// The tree has none of the interrupt controllers of the description, or has it elsewhere: where it has it.
    InterruptController(Option<Range>),
    /// The tree describes no memory where the image lies.
    NoMemoryAt(u64),
}

impl WrongBoard {
    /// For the console.
    pub(crate) fn message(self) -> [Piece<'static>; 2] {
        match self {
            Self::InterruptController(Some(Range { start, .. })) => {
                [Piece::Text("its interrupt controller is at "), Piece::Hex(start)]
            }
            Self::InterruptController(None) => {
                [Piece::Text("it has no interrupt controller of this board"), Piece::Text("")]
            }
            Self::NoMemoryAt(image) => {
                [Piece::Text("it has no memory where the image is: "), Piece::Hex(image)]
            }
        }
    }
}

/// What the kernel works with.
pub(crate) struct Platform {
    /// RAM: the tree's, or the description's.
    pub(crate) ram: Ranges,
    /// What the firmware keeps, by the description and by the tree.
    pub(crate) kept: Ranges,
    /// The interrupt controller that the machine has, of those that the board may have.
    pub(crate) controller: InterruptController,
    /// The tree is another board's. Everything else here is the description's then, so that this can be said.
    pub(crate) wrong: Option<WrongBoard>,
}

impl Platform {
    /// The tree's word where there is one, held against the description.
    pub(crate) fn find(board: &Board, tree: Option<Fdt<'_>>) -> Self {
        let mut kept = Ranges::new();
        board.reserved.iter().for_each(|&region| kept.add_region(region));
        if let Some(tree) = tree {
            let pages = |range: Range| kept.add(range.start / 4096 * 4096, range.end.next_multiple_of(4096));
            // A tree that is damaged behind an entry has still made that entry.
            tree.reserved(pages).unwrap_or_default();
        }
        let (ram, controller, wrong) = match (ram(board, tree), interrupt_controller(board, tree)) {
            (Ok(ram), Ok(controller)) => (ram, controller, None),
            (Err(wrong), _) | (_, Err(wrong)) => (described_ram(board), board.interrupts[0], Some(wrong)),
        };
        Self { ram, kept, controller, wrong }
    }
}

fn described_ram(board: &Board) -> Ranges {
    let mut ram = Ranges::new();
    board.ram.iter().for_each(|&region| ram.add_region(region));
    ram
}

fn ram(board: &Board, tree: Option<Fdt<'_>>) -> Result<Ranges, WrongBoard> {
    let mut ram = Ranges::new();
    if let Some(tree) = tree {
        // As for reservations.
        tree.memory(|range| ram.add(range.start, range.end)).unwrap_or_default();
    }
    if ram.get().is_empty() {
        return Ok(described_ram(board));
    }
    let image = board.load_address;
    let has_image = ram.get().iter().any(|range| range.start <= image && image < range.end);
    if has_image { Ok(ram) } else { Err(WrongBoard::NoMemoryAt(image)) }
}

fn interrupt_controller(board: &Board, tree: Option<Fdt<'_>>) -> Result<InterruptController, WrongBoard> {
    let Some(tree) = tree else { return Ok(board.interrupts[0]) };
    let mut elsewhere = None;
    for controller in board.interrupts {
        let found = tree.device(controller.compatibles());
        if found.is_some_and(|found| found.start == controller.regions()[0].start) {
            return Ok(*controller);
        }
        elsewhere = elsewhere.or(found);
    }
    Err(WrongBoard::InterruptController(elsewhere))
}

/// Sets the interrupt controller up.
///
/// # Safety
/// Its registers are mapped as device memory in the direct map, and nobody else uses them.
pub(crate) unsafe fn set_up_interrupts(controller: InterruptController) -> Option<Interrupts> {
    Some(match controller {
        InterruptController::GicV2 { distributor, cpu } => {
            // SAFETY: the caller's promise.
            unsafe { Interrupts::gicv2(distributor.start, cpu.start) }
        }
        InterruptController::GicV3 { distributor, redistributors: Region { start, size } } => {
            // SAFETY: the caller's promise.
            return unsafe { Interrupts::gicv3(distributor.start, start, size) };
        }
        InterruptController::Bcm2836 { local, legacy } => {
            // SAFETY: the caller's promise.
            unsafe { Interrupts::bcm2836(local.start, legacy.start) }
        }
    })
}

/// Has the machine start again at its end, if the boot arguments ask for it and the board can.
///
/// # Safety
/// Called once, during boot. The registers of the board's watchdog, if it has one, are mapped as device memory in the
/// direct map.
pub(crate) unsafe fn plan_the_end(board: &Board, tree: Option<Fdt<'_>>) {
    let Some(tree) = tree else { return };
    let ending = Ending::of(tree.boot_arguments());
    if !ending.resets {
        return;
    }
    let restart = match board.restart {
        // SAFETY: the tree says that the firmware answers.
        board::Restart::Firmware => tree.firmware().map(|conduit| unsafe { Restart::by_firmware(conduit) }),
        // SAFETY: the caller's promise.
        board::Restart::Watchdog(registers) => Some(unsafe { Restart::by_watchdog(registers.start) }),
    };
    if let Some(restart) = restart {
        // SAFETY: the caller's promise.
        unsafe { set_restart(restart, ending.limit_s) };
    }
}

/// Connects the console's pins and sets its speed.
///
/// # Safety
/// The console's registers and those of the pins are mapped as device memory in the direct map.
pub(crate) unsafe fn set_up_console(board: &Board) -> Uart {
    let Console { kind, registers, clock_hz, baud } = board.console;
    for change in board.pins {
        // SAFETY: the caller's promise; the board's description says that these bits lead the pins to the console.
        unsafe { microkernel_aarch64::change_register(change.register, change.clear, change.set) };
    }
    let uart = match kind {
        // SAFETY: the caller's promise.
        UartKind::Pl011 => unsafe { Uart::pl011(registers.start) },
        // SAFETY: the caller's promise.
        UartKind::MiniUart => unsafe { Uart::mini_uart(registers.start) },
    };
    uart.set_up(Speed { clock_hz, baud });
    uart
}
