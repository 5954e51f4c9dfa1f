//! A flattened device tree made from a board's description: for loaders that bring none.
//!
//! It says what Strata's kernel and root task read: memory, the interrupt controller, devices, and a place for the boot
//! arguments, which the loader fills in. QEMU's raspi machines are given it with `-dtb`; on a card it is named in
//! `config.txt`. Devicetree Specification 0.4, chapter 5.

use board::{Board, InterruptController, Region, Restart};

use crate::model::Model;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const COMPATIBLE_VERSION: u32 = 16;
const HEADER_SIZE: usize = 40;
/// Room behind the tree, for the loader's own additions.
const ROOM: usize = 4096;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// Handle of the interrupt controller's node.
const CONTROLLER: u32 = 1;

/// The tree of a machine, with these boot arguments. `kept`: what else nobody is given.
#[must_use]
pub fn make(model: &Model, arguments: &str, kept: &[Region]) -> Vec<u8> {
    let board = model.board;
    let mut out = Writer::default();
    out.begin("");
    out.cells("#address-cells", &[2]);
    out.cells("#size-cells", &[2]);
    out.cells("interrupt-parent", &[CONTROLLER]);
    out.text("compatible", board.compatible);
    out.text("model", &[board.name]);
    out.begin("chosen");
    out.text("bootargs", &[arguments]);
    let uart = board.console.registers.start;
    out.text("stdout-path", &[&format!("/serial@{uart:x}")]);
    out.end();
    for ram in board.ram {
        out.begin(&format!("memory@{:x}", ram.start));
        out.text("device_type", &["memory"]);
        out.regions(&[*ram]);
        out.end();
    }
    interrupt_controller(&mut out, model.interrupt_controller());
    if board.restart == Restart::Firmware {
        firmware(&mut out, model.cores);
    }
    for device in board.devices.iter().filter(|device| !device.compatible.is_empty()) {
        let name = if device.registers.start == uart { "serial" } else { device.name };
        out.begin(&format!("{name}@{:x}", device.registers.start));
        out.text("compatible", &[device.compatible]);
        out.regions(&[device.registers]);
        if let Some(irq) = device.irq {
            out.cells("interrupts", &interrupt(board, irq));
        }
        out.end();
    }
    out.end();
    out.finish(board.reserved.iter().chain(kept))
}

/// The firmware, and the cores that it starts. Where they are not its, the kernel has them from the description.
fn firmware(out: &mut Writer, cores: u32) {
    out.begin("psci");
    out.text("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
    // That is how it is called where the kernel is entered at EL1.
    out.text("method", &["hvc"]);
    out.end();
    out.begin("cpus");
    out.cells("#address-cells", &[1]);
    out.cells("#size-cells", &[0]);
    for core in 0..cores {
        out.begin(&format!("cpu@{core}"));
        out.text("device_type", &["cpu"]);
        out.cells("reg", &[core]);
        out.text("enable-method", &["psci"]);
        out.end();
    }
    out.end();
}

fn interrupt_controller(out: &mut Writer, controller: &InterruptController) {
    let regions = controller.regions();
    out.begin(&format!("interrupt-controller@{:x}", regions[0].start));
    out.text("compatible", &controller.compatibles()[..1]);
    out.property("interrupt-controller", &[]);
    let cells = if matches!(controller, InterruptController::Bcm2836 { .. }) { 2 } else { 3 };
    out.cells("#interrupt-cells", &[cells]);
    out.cells("phandle", &[CONTROLLER]);
    out.regions(&regions);
    out.end();
}

/// The cells of a level-triggered interrupt, as the binding of the board's controller has them.
fn interrupt(board: &Board, irq: u32) -> Vec<u32> {
    const LEVEL_HIGH: u32 = 4;
    match board.interrupts.first() {
        Some(InterruptController::Bcm2836 { .. }) | None => vec![irq, LEVEL_HIGH],
        // Shared, counted from the first shared one.
        Some(_) => vec![0, irq.saturating_sub(32), LEVEL_HIGH],
    }
}

#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.structure.extend(bytes);
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn begin(&mut self, name: &str) {
        self.word(BEGIN_NODE);
        self.bytes(name.bytes().chain([0]));
    }

    fn end(&mut self) {
        self.word(END_NODE);
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        let offset = size(self.strings.len());
        self.strings.extend(name.bytes().chain([0]));
        self.word(PROPERTY);
        self.word(size(value.len()));
        self.word(offset);
        self.bytes(value.iter().copied());
    }

    fn text(&mut self, name: &str, texts: &[&str]) {
        let value: Vec<u8> = texts.iter().flat_map(|text| text.bytes().chain([0])).collect();
        self.property(name, &value);
    }

    fn cells(&mut self, name: &str, cells: &[u32]) {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &value);
    }

    /// `reg`, two cells for the address and two for the size.
    fn regions(&mut self, regions: &[Region]) {
        let numbers = regions.iter().flat_map(|region| [region.start, region.size]);
        let value: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
        self.property("reg", &value);
    }

    fn finish<'a>(mut self, reserved: impl Iterator<Item = &'a Region>) -> Vec<u8> {
        self.word(END);
        const LAST: Region = Region { start: 0, size: 0 };
        let reservations: Vec<u8> = reserved
            .chain([&LAST])
            .flat_map(|region| [region.start.to_be_bytes(), region.size.to_be_bytes()].concat())
            .collect();
        let structure = HEADER_SIZE + reservations.len();
        let strings = structure + self.structure.len();
        let total = (strings + self.strings.len()).next_multiple_of(8) + ROOM;
        let header = [
            MAGIC,
            size(total),
            size(structure),
            size(strings),
            size(HEADER_SIZE),
            VERSION,
            COMPATIBLE_VERSION,
            0,
            size(self.strings.len()),
            size(self.structure.len()),
        ];
        let mut out: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        out.extend(reservations);
        out.extend(self.structure);
        out.extend(self.strings);
        out.resize(total, 0);
        out
    }
}

/// A length as the format has it.
fn size(length: usize) -> u32 {
    u32::try_from(length).expect("a board's description is small")
}
