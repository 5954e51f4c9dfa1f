//! The little that the kernel reads from a flattened device tree: its size, where memory is, what of it is reserved,
//! where a device of a kind is, how cores are started, and the boot arguments.

/// A range of physical addresses, the end not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// Bytes.
    pub const fn size(self) -> u64 {
        self.end - self.start
    }
}

/// How the firmware is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduit {
    /// `hvc`.
    Hvc,
    /// `smc`.
    Smc,
}

/// How a core is started that the firmware holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartMethod {
    /// By a call to the firmware.
    Psci {
        /// How it is called.
        conduit: Conduit,
        /// The number of CPU_ON.
        cpu_on: u64,
    },
    /// By its address, written to memory that the core looks at.
    SpinTable {
        /// Physical address of the word.
        release: u64,
    },
}

/// CPU_ON with 64-bit arguments (Arm DEN 0022, PSCI 0.2).
const PSCI_CPU_ON: u64 = 0xc400_0003;

const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the header.
pub const HEADER_SIZE: usize = 40;
/// Byte offset of the total size, a big-endian word.
pub const TOTAL_SIZE_OFFSET: usize = 4;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// A flattened device tree that fits its bytes.
#[derive(Clone, Copy)]
pub struct Fdt<'a> {
    bytes: &'a [u8],
    structure: &'a [u8],
    strings: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn index(word: u32) -> Option<usize> {
    usize::try_from(word).ok()
}

/// The total size that a header claims, if it is one.
pub fn total_size(header: &[u8]) -> Option<usize> {
    (word(header, 0)? == MAGIC).then_some(())?;
    index(word(header, TOTAL_SIZE_OFFSET)?)
}

impl<'a> Fdt<'a> {
    /// Checks the header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let total = total_size(bytes)?;
        let bytes = bytes.get(..total)?;
        let part = |offset: usize, size: usize| {
            let start = index(word(bytes, offset)?)?;
            bytes.get(start..start.checked_add(index(word(bytes, size)?)?)?)
        };
        Some(Self { bytes, structure: part(8, 36)?, strings: part(12, 32)? })
    }

    /// Bytes up to the end of the last part: the rest, often a megabyte, is room to grow.
    pub fn used(&self) -> usize {
        let base = self.bytes.as_ptr().addr();
        let end = |part: &[u8]| part.as_ptr().addr() + part.len() - base;
        end(self.structure).max(end(self.strings)).max(HEADER_SIZE)
    }

    /// Those bytes.
    pub fn used_bytes(&self) -> &'a [u8] {
        &self.bytes[..self.used()]
    }

    /// Calls `found` for each range of memory.
    pub fn memory(&self, mut found: impl FnMut(Range)) -> Option<()> {
        self.nodes(|node| {
            if node.depth == 2 && (node.name == b"memory" || node.name.starts_with(b"memory@")) {
                node.registers(&mut found)?;
            }
            Some(())
        })
    }

    /// Calls `found` for each range that the tree's memory reservation block keeps from everybody.
    pub fn reserved(&self, mut found: impl FnMut(Range)) -> Option<()> {
        let mut at = index(word(self.bytes, RESERVATIONS)?)?;
        loop {
            let entry = self.bytes.get(at..at.checked_add(16)?)?;
            let (start, size) = (cells(&entry[..8]), cells(&entry[8..]));
            if size == 0 {
                return Some(());
            }
            found(Range { start, end: start.checked_add(size)? });
            at += 16;
        }
    }

    /// The first registers of the first device that is called `compatible` and has no status but "okay", as the
    /// processor addresses them.
    pub fn device(&self, compatible: &str) -> Option<Range> {
        let mut first = None;
        self.nodes(|node| {
            let named = |name: &[u8]| name == compatible.as_bytes();
            let usable = node.status.is_empty() || node.status.starts_with(b"ok");
            if first.is_none() && usable && node.compatible.split(|&byte| byte == 0).any(named) {
                let mut registers = None;
                node.registers(&mut |range| {
                    registers.get_or_insert(range);
                })?;
                first = registers.and_then(|range| node.translated(range));
            }
            Some(())
        })?;
        first
    }

    /// How the core of this affinity (MPIDR_EL1's fields) is started; nothing if the tree does not say, or has no such
    /// core.
    pub fn start_method(&self, affinity: u64) -> Option<StartMethod> {
        let (mut psci, mut by_psci, mut method) = (None, false, None);
        self.nodes(|node| {
            if node.depth == 2 && node.named(b"psci") {
                psci = node.own().psci();
            } else if node.depth == 3 && node.path[1].name == b"cpus" && node.named(b"cpu") {
                let mut found = false;
                node.registers(&mut |range| found |= range.start == affinity)?;
                let said = node.own().enable_method;
                // Before there was a word for each core there was one for all.
                let word = if said.is_empty() { node.path[1].enable_method } else { said };
                by_psci |= found && word == b"psci\0";
                if found && word == b"spin-table\0" && node.own().release.len() == 8 {
                    method = Some(StartMethod::SpinTable { release: cells(node.own().release) });
                }
            }
            Some(())
        })?;
        if by_psci { psci } else { method }
    }

    /// The boot arguments; empty if there are none.
    pub fn boot_arguments(&self) -> &'a [u8] {
        let mut found = &[][..];
        // A tree that is damaged behind them has them all the same.
        self.nodes(|node| {
            if node.depth == 2 && node.named(b"chosen") {
                found = node.own().arguments;
            }
            Some(())
        })
        .unwrap_or_default();
        found
    }

    /// How the firmware is called, if it follows PSCI 0.2 or later.
    pub fn firmware(&self) -> Option<Conduit> {
        let mut conduit = None;
        self.nodes(|node| {
            if node.depth == 2 && node.named(b"psci") && node.own().is_versioned_psci() {
                conduit = node.own().conduit();
            }
            Some(())
        })?;
        conduit
    }

    /// Calls `visit` for each node when all of its properties are known. `None` where the tree is damaged, or `visit`
    /// says so.
    fn nodes(&self, mut visit: impl FnMut(&Node<'a, '_>) -> Option<()>) -> Option<()> {
        let mut path = [Level::default(); DEPTH_MAX];
        let mut depth = 0_usize;
        let mut open = false;
        let mut at = 0;
        loop {
            let token = word(self.structure, at)?;
            at += 4;
            // Properties come before the nodes below: a node is known when the next one begins or it ends.
            if matches!(token, BEGIN_NODE | END_NODE) && core::mem::take(&mut open) {
                visit(&Node::at(&path[..depth])?)?;
            }
            match token {
                BEGIN_NODE => {
                    let rest = self.structure.get(at..)?;
                    let length = rest.iter().position(|&byte| byte == 0)?;
                    *path.get_mut(depth)? = Level { name: &rest[..length], ..Level::default() };
                    depth += 1;
                    open = true;
                    at += (length + 1).next_multiple_of(4);
                }
                END_NODE => depth = depth.checked_sub(1)?,
                PROP => {
                    let length = index(word(self.structure, at)?)?;
                    let name = self.strings.get(index(word(self.structure, at + 4)?)?..)?;
                    let value = self.structure.get(at + 8..(at + 8).checked_add(length)?)?;
                    at += 8 + length.next_multiple_of(4);
                    path.get_mut(depth.checked_sub(1)?)?.take(name, value)?;
                }
                NOP => {}
                _ => return Some(()),
            }
        }
    }
}

/// Nodes inside nodes that are followed.
const DEPTH_MAX: usize = 12;
/// Byte offset of the header's field that says where the memory reservation block is.
const RESERVATIONS: usize = 16;

/// A node on the way from the root.
#[derive(Clone, Copy)]
struct Level<'a> {
    name: &'a [u8],
    compatible: &'a [u8],
    status: &'a [u8],
    reg: &'a [u8],
    /// How the core is started, and where it waits.
    enable_method: &'a [u8],
    release: &'a [u8],
    /// How the firmware is called, and the number that starts a core.
    method: &'a [u8],
    cpu_on: Option<u32>,
    /// What the loader says to the system.
    arguments: &'a [u8],
    /// How addresses of the nodes below are the node's parent's; none if they are not, empty if they are the same.
    ranges: Option<&'a [u8]>,
    address_cells: usize,
    size_cells: usize,
}

impl Default for Level<'_> {
    fn default() -> Self {
        // The specification's values for nodes that say nothing.
        let (address_cells, size_cells) = (2, 1);
        Self {
            name: &[],
            compatible: &[],
            status: &[],
            reg: &[],
            enable_method: &[],
            release: &[],
            method: &[],
            cpu_on: None,
            arguments: &[],
            ranges: None,
            address_cells,
            size_cells,
        }
    }
}

impl<'a> Level<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Option<()> {
        let is = |wanted: &[u8]| name.starts_with(wanted);
        if is(b"#address-cells\0") {
            self.address_cells = index(word(value, 0)?)?;
        } else if is(b"#size-cells\0") {
            self.size_cells = index(word(value, 0)?)?;
        } else if is(b"reg\0") {
            self.reg = value;
        } else if is(b"ranges\0") {
            self.ranges = Some(value);
        } else if is(b"compatible\0") {
            self.compatible = value;
        } else if is(b"status\0") {
            self.status = value;
        } else if is(b"enable-method\0") {
            self.enable_method = value;
        } else if is(b"cpu-release-addr\0") {
            self.release = value;
        } else if is(b"method\0") {
            self.method = value;
        } else if is(b"bootargs\0") {
            self.arguments = value;
        } else if is(b"cpu_on\0") {
            self.cpu_on = word(value, 0);
        }
        Some(())
    }

    /// How the firmware of this node is called.
    fn conduit(&self) -> Option<Conduit> {
        match self.method {
            b"hvc\0" => Some(Conduit::Hvc),
            b"smc\0" => Some(Conduit::Smc),
            _ => None,
        }
    }

    /// From version 0.2 on numbers are fixed; older firmware says them.
    fn is_versioned_psci(&self) -> bool {
        self.compatible.split(|&byte| byte == 0).any(|name| name.starts_with(b"arm,psci-"))
    }

    /// What a node of the firmware's says.
    fn psci(&self) -> Option<StartMethod> {
        let conduit = self.conduit()?;
        let cpu_on = if self.is_versioned_psci() { PSCI_CPU_ON } else { u64::from(self.cpu_on?) };
        Some(StartMethod::Psci { conduit, cpu_on })
    }
}

/// A node and those around it.
struct Node<'a, 'p> {
    path: &'p [Level<'a>],
    name: &'a [u8],
    compatible: &'a [u8],
    status: &'a [u8],
    /// 1 for the root.
    depth: usize,
}

impl<'a, 'p> Node<'a, 'p> {
    fn at(path: &'p [Level<'a>]) -> Option<Self> {
        let Level { name, compatible, status, .. } = *path.last()?;
        Some(Self { path, name, compatible, status, depth: path.len() })
    }

    fn own(&self) -> &Level<'a> {
        // `at` was given one level at least.
        &self.path[self.path.len() - 1]
    }

    /// Is it called this, with or without an address?
    fn named(&self, name: &[u8]) -> bool {
        self.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest[0] == b'@')
    }

    /// Calls `found` for each range of `reg`, in the parent's addresses.
    fn registers(&self, found: &mut impl FnMut(Range)) -> Option<()> {
        let [.., parent, own] = self.path else { return Some(()) };
        ranges(own.reg, parent.address_cells, parent.size_cells, found)
    }

    /// The processor's addresses of a range in the parent's.
    fn translated(&self, mut range: Range) -> Option<Range> {
        // The root's addresses are the processor's.
        for bus in (1..self.path.len() - 1).rev() {
            let (level, above) = (&self.path[bus], &self.path[bus - 1]);
            let ranges = level.ranges?;
            if ranges.is_empty() {
                continue;
            }
            let child = 4 * level.address_cells;
            let parent = child + 4 * above.address_cells;
            let whole = parent + 4 * level.size_cells;
            let mut entries = (whole > 0).then(|| ranges.chunks_exact(whole))?;
            range = entries.find_map(|entry| {
                let (from, to, size) =
                    (cells(&entry[..child]), cells(&entry[child..parent]), cells(&entry[parent..]));
                let offset = range.start.checked_sub(from)?;
                let start = to.checked_add(offset)?;
                (offset < size).then_some(Range { start, end: start.checked_add(range.size())? })
            })?;
        }
        Some(range)
    }
}

/// Big-endian cells as a number; more than two keep the last two.
fn cells(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn ranges(
    value: &[u8],
    address_cells: usize,
    size_cells: usize,
    found: &mut impl FnMut(Range),
) -> Option<()> {
    if !(1..=2).contains(&address_cells) || size_cells > 2 {
        return None;
    }
    for entry in value.chunks_exact(4 * (address_cells + size_cells)) {
        let (address, size) = entry.split_at(4 * address_cells);
        let start = cells(address);
        found(Range { start, end: start.checked_add(cells(size))? });
    }
    Some(())
}

#[cfg(test)]
mod tests;
