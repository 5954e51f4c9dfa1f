//! Goal: what the kernel takes from a device tree is what the tree says, and a damaged tree is no more than no tree.
//!
//! Method: a tree as a Raspberry Pi has it, written token by token; then every cut and every changed byte of it.
use super::{Conduit, Fdt, Range, StartMethod};
use std::vec::Vec;

/// Writes a tree.
#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn pad(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn begin(&mut self, name: &str) {
        self.word(1);
        self.structure.extend(name.bytes().chain([0]));
        self.pad();
    }

    fn end(&mut self) {
        self.word(2);
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        let at = self.strings.len();
        self.strings.extend(name.bytes().chain([0]));
        self.word(3);
        self.word(u32::try_from(value.len()).unwrap());
        self.word(u32::try_from(at).unwrap());
        self.structure.extend(value);
        self.pad();
    }

    fn cells(&mut self, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &bytes);
    }

    fn finish(mut self, reserved: &[(u64, u64)]) -> Vec<u8> {
        self.word(9);
        let reservations: Vec<u8> = reserved
            .iter()
            .chain([&(0, 0)])
            .flat_map(|(start, size)| [start.to_be_bytes(), size.to_be_bytes()].concat())
            .collect();
        let structure = 40 + reservations.len();
        let strings = structure + self.structure.len();
        let total = strings + self.strings.len();
        let fields =
            [0xd00d_feed, total, structure, strings, 40, 17, 16, 0, self.strings.len(), self.structure.len()];
        let mut out: Vec<u8> =
            fields.iter().flat_map(|field| u32::try_from(*field).unwrap().to_be_bytes()).collect();
        out.extend(reservations);
        out.extend(self.structure);
        out.extend(self.strings);
        out
    }
}

fn tree() -> Vec<u8> {
    let mut out = Writer::default();
    out.begin("");
    out.cells("#address-cells", &[1]);
    out.cells("#size-cells", &[1]);
    out.begin("memory@0");
    out.cells("reg", &[0, 0x3b40_0000, 0x4000_0000, 0x1000]);
    out.end();
    out.begin("chosen");
    out.property("bootargs", b"host=1 reset=1\0");
    out.end();
    out.begin("cpus");
    out.cells("#address-cells", &[1]);
    out.cells("#size-cells", &[0]);
    for (core, method) in [(0, "psci\0"), (1, "psci\0"), (2, "spin-table\0"), (3, "unheard-of\0")] {
        out.begin(&std::format!("cpu@{core}"));
        out.cells("reg", &[core]);
        out.property("enable-method", method.as_bytes());
        out.cells("cpu-release-addr", &[0, 0xe8]);
        out.end();
    }
    out.end();
    out.begin("psci");
    out.property("compatible", b"arm,psci-1.0\0arm,psci-0.2\0arm,psci\0");
    out.property("method", b"smc\0");
    out.end();
    out.begin("soc");
    out.cells("#address-cells", &[1]);
    out.cells("#size-cells", &[1]);
    out.cells("ranges", &[0x7e00_0000, 0x3f00_0000, 0x0100_0000, 0x4000_0000, 0x4000_0000, 0x1000]);
    out.begin("old@7e000000");
    out.property("compatible", b"arm,pl011\0");
    out.property("status", b"disabled\0");
    out.cells("reg", &[0x7e00_0000, 0x100]);
    out.end();
    out.begin("serial@7e201000");
    out.property("compatible", b"brcm,bcm2835-pl011\0arm,pl011\0");
    out.property("status", b"okay\0");
    out.cells("reg", &[0x7e20_1000, 0x200]);
    out.end();
    out.begin("intc@40000000");
    out.property("compatible", b"brcm,bcm2836-l1-intc\0");
    out.cells("reg", &[0x4000_0000, 0x100]);
    out.end();
    out.begin("lost@9");
    out.property("compatible", b"lost\0");
    out.cells("reg", &[0x9000_0000, 0x100]);
    out.end();
    out.end();
    out.end();
    out.finish(&[(0, 0x1000)])
}

fn range(start: u64, size: u64) -> Range {
    Range { start, end: start + size }
}

#[test]
fn memory_reservations_and_devices_are_found() {
    let bytes = tree();
    let tree = Fdt::parse(&bytes).unwrap();
    let mut memory = Vec::new();
    tree.memory(|range| memory.push(range)).unwrap();
    assert_eq!(memory, [range(0, 0x3b40_0000), range(0x4000_0000, 0x1000)]);
    let mut reserved = Vec::new();
    tree.reserved(|range| reserved.push(range)).unwrap();
    assert_eq!(reserved, [range(0, 0x1000)]);
    // Behind the bus, and not the one that is switched off.
    assert_eq!(tree.device(&["arm,pl011"]), Some(range(0x3f20_1000, 0x200)));
    assert_eq!(tree.device(&["brcm,bcm2836-l1-intc"]), Some(range(0x4000_0000, 0x100)));
    assert_eq!(tree.device(&["lost"]), None, "no range of the bus leads there");
    assert_eq!(tree.device(&["arm,gic-400"]), None);
    let either = tree.device(&["arm,gic-400", "brcm,bcm2836-l1-intc"]);
    assert_eq!(either, Some(range(0x4000_0000, 0x100)), "whichever name it goes by");
    assert_eq!(tree.boot_arguments(), b"host=1 reset=1\0");
    assert_eq!(tree.firmware(), Some(Conduit::Smc));
}

#[test]
fn cores_are_started_as_the_tree_says() {
    let bytes = tree();
    let tree = Fdt::parse(&bytes).unwrap();
    let psci = StartMethod::Psci { conduit: Conduit::Smc, cpu_on: 0xc400_0003 };
    assert_eq!(tree.start_method(1), Some(psci));
    assert_eq!(tree.start_method(2), Some(StartMethod::SpinTable { release: 0xe8 }));
    assert_eq!([tree.start_method(3), tree.start_method(4)], [None; 2]);
}

#[test]
fn no_damage_panics() {
    let good = tree();
    let walk = |bytes: &[u8]| {
        if let Some(tree) = Fdt::parse(bytes) {
            let mut ranges = 0;
            let _ = tree.memory(|_| ranges += 1);
            let _ = tree.reserved(|_| ranges += 1);
            let _ = tree.device(&["arm,pl011"]);
            let _ = (tree.start_method(2), tree.boot_arguments(), tree.firmware());
            assert!(tree.used() <= bytes.len());
        }
    };
    (0..good.len()).for_each(|length| walk(&good[..length]));
    for at in 0..good.len() {
        for value in [0, 1, 2, 3, 9, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            walk(&bytes);
        }
    }
}
