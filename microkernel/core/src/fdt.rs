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
        let mut walk = self.walk();
        while let Some(node) = walk.next()? {
            if node.is_at(2) && node.named(b"memory") {
                node.registers(&mut found)?;
            }
        }
        Some(())
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

    /// The first registers of the first device that goes by one of these names and has no status but "okay", as the
    /// processor addresses them.
    pub fn device(&self, names: &[&str]) -> Option<Range> {
        let mut walk = self.walk();
        while let Some(node) = walk.next()? {
            if node.is_compatible(|name| names.iter().any(|wanted| name == wanted.as_bytes()))
                && node.is_usable()
            {
                let mut first = None;
                node.registers(&mut |range| {
                    first.get_or_insert(range);
                })?;
                let found = first.and_then(|range| node.translated(range));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// How the core of this affinity (MPIDR_EL1's fields) is started; nothing if the tree does not say, or has no such
    /// core.
    pub fn start_method(&self, affinity: u64) -> Option<StartMethod> {
        let (mut psci, mut by_psci, mut method) = (None, false, None);
        let mut walk = self.walk();
        while let Some(node) = walk.next()? {
            if node.is_at(2) && node.named(b"psci") {
                psci = node.psci();
            } else if node.is_at(3) && node.path()[1].name == b"cpus" && node.named(b"cpu") {
                let mut found = false;
                node.registers(&mut |range| found |= range.start == affinity)?;
                // Before there was a word for each core there was one for all.
                let cpus = &node.path()[1];
                let word = node.value(b"enable-method\0").or_else(|| self.value(cpus, b"enable-method\0"));
                by_psci |= found && word == Some(b"psci\0");
                if found
                    && word == Some(b"spin-table\0")
                    && let Some(release) = node.value(b"cpu-release-addr\0")
                    && release.len() == 8
                {
                    method = Some(StartMethod::SpinTable { release: cells(release) });
                }
            }
        }
        if by_psci { psci } else { method }
    }

    /// The boot arguments; empty if there are none.
    pub fn boot_arguments(&self) -> &'a [u8] {
        let mut walk = self.walk();
        // A tree that is damaged behind them has them all the same.
        while let Some(Some(node)) = walk.next() {
            if node.is_at(2) && node.named(b"chosen") {
                return node.value(b"bootargs\0").unwrap_or(&[]);
            }
        }
        &[]
    }

    /// How the firmware is called, if it follows PSCI 0.2 or later.
    pub fn firmware(&self) -> Option<Conduit> {
        let mut walk = self.walk();
        while let Some(node) = walk.next()? {
            if node.is_at(2) && node.named(b"psci") && node.is_versioned_psci() {
                return node.conduit();
            }
        }
        None
    }

    /// All nodes, in their order.
    fn walk(&self) -> Walk<'a> {
        let tokens = Tokens(self.structure);
        Walk { tree: *self, tokens, path: [Level { name: &[], inside: tokens }; DEPTH_MAX], depth: 0 }
    }

    /// What a node says under this name, which ends with a zero.
    fn value(&self, level: &Level<'a>, wanted: &[u8]) -> Option<&'a [u8]> {
        let mut tokens = level.inside;
        // Properties come before the nodes below.
        while let Token::Property { name, value } = tokens.next()? {
            if self.strings.get(name..)?.starts_with(wanted) {
                return Some(value);
            }
        }
        None
    }

    /// A number that a node says under this name, or what the specification has for a node that says nothing. `None` where
    /// the tree is damaged.
    fn number(&self, level: &Level<'a>, name: &[u8], default: usize) -> Option<usize> {
        self.value(level, name).map_or(Some(default), |value| index(word(value, 0)?))
    }

    /// Cells of an address of the nodes below a node.
    fn address_cells(&self, level: &Level<'a>) -> Option<usize> {
        self.number(level, b"#address-cells\0", 2)
    }

    /// Cells of a size of the nodes below a node.
    fn size_cells(&self, level: &Level<'a>) -> Option<usize> {
        self.number(level, b"#size-cells\0", 1)
    }
}

/// Nodes inside nodes that are followed.
const DEPTH_MAX: usize = 12;
/// Byte offset of the header's field that says where the memory reservation block is.
const RESERVATIONS: usize = 16;

/// What is left of the structure.
#[derive(Clone, Copy)]
struct Tokens<'a>(&'a [u8]);

enum Token<'a> {
    /// A node begins.
    Begin { name: &'a [u8] },
    /// A node ends.
    End,
    /// The name is an offset in the strings.
    Property { name: usize, value: &'a [u8] },
    /// Anything else is the tree's end.
    Finish,
}

impl<'a> Tokens<'a> {
    /// `None` where the structure is damaged.
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            return Some(match self.word()? {
                BEGIN_NODE => {
                    let length = self.0.iter().position(|&byte| byte == 0)?;
                    Token::Begin { name: self.padded(length, length + 1)? }
                }
                END_NODE => Token::End,
                PROP => {
                    let (length, name) = (index(self.word()?)?, index(self.word()?)?);
                    Token::Property { name, value: self.padded(length, length)? }
                }
                NOP => continue,
                _ => Token::Finish,
            });
        }
    }

    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    /// The first `length` bytes of a piece of `whole` bytes, which ends where the next token begins.
    fn padded(&mut self, length: usize, whole: usize) -> Option<&'a [u8]> {
        let piece = self.0.get(..length)?;
        self.0 = self.0.get(whole.next_multiple_of(4)..)?;
        Some(piece)
    }
}

/// A node on the way from the root. What it says is looked up when somebody asks: hardly any node is asked.
#[derive(Clone, Copy)]
struct Level<'a> {
    name: &'a [u8],
    /// From its first property on.
    inside: Tokens<'a>,
}

/// Where a walk through a tree is.
struct Walk<'a> {
    tree: Fdt<'a>,
    tokens: Tokens<'a>,
    path: [Level<'a>; DEPTH_MAX],
    depth: usize,
}

impl<'a> Walk<'a> {
    /// The next node, or the tree's end. `None` where the tree is damaged.
    fn next(&mut self) -> Option<Option<Node<'a, '_>>> {
        loop {
            match self.tokens.next()? {
                Token::Begin { name } => {
                    *self.path.get_mut(self.depth)? = Level { name, inside: self.tokens };
                    self.depth += 1;
                    return Some(Some(Node(self)));
                }
                Token::End => self.depth = self.depth.checked_sub(1)?,
                Token::Property { .. } => {}
                Token::Finish => return Some(None),
            }
        }
    }
}

/// The node that a walk has come to.
struct Node<'a, 'w>(&'w Walk<'a>);

impl<'a> Node<'a, '_> {
    /// The way from the root to the node itself.
    fn path(&self) -> &[Level<'a>] {
        &self.0.path[..self.0.depth]
    }

    fn own(&self) -> &Level<'a> {
        // A walk goes one level down at least.
        &self.0.path[self.0.depth - 1]
    }

    /// Is it on this level? The root is on level 1.
    fn is_at(&self, depth: usize) -> bool {
        self.0.depth == depth
    }

    /// Is it called this, with or without an address?
    fn named(&self, name: &[u8]) -> bool {
        self.own().name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest[0] == b'@')
    }

    /// What it says under this name, which ends with a zero.
    fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.0.tree.value(self.own(), name)
    }

    /// Does a programming model's name that it goes by fit?
    fn is_compatible(&self, fits: impl FnMut(&[u8]) -> bool) -> bool {
        self.value(b"compatible\0").is_some_and(|names| names.split(|&byte| byte == 0).any(fits))
    }

    /// Is it there, and not switched off?
    fn is_usable(&self) -> bool {
        self.value(b"status\0").is_none_or(|status| status.is_empty() || status.starts_with(b"ok"))
    }

    /// How the firmware of this node is called.
    fn conduit(&self) -> Option<Conduit> {
        match self.value(b"method\0")? {
            b"hvc\0" => Some(Conduit::Hvc),
            b"smc\0" => Some(Conduit::Smc),
            _ => None,
        }
    }

    /// From version 0.2 on numbers are fixed; older firmware says them.
    fn is_versioned_psci(&self) -> bool {
        self.is_compatible(|name| name.starts_with(b"arm,psci-"))
    }

    /// How the firmware of this node starts a core.
    fn psci(&self) -> Option<StartMethod> {
        let conduit = self.conduit()?;
        let cpu_on =
            if self.is_versioned_psci() { PSCI_CPU_ON } else { word(self.value(b"cpu_on\0")?, 0)?.into() };
        Some(StartMethod::Psci { conduit, cpu_on })
    }

    /// Calls `found` for each range of `reg`, in the parent's addresses.
    fn registers(&self, found: &mut impl FnMut(Range)) -> Option<()> {
        let ([.., parent, _], tree) = (self.path(), &self.0.tree) else { return Some(()) };
        let value = self.value(b"reg\0").unwrap_or(&[]);
        ranges(value, tree.address_cells(parent)?, tree.size_cells(parent)?, found)
    }

    /// The processor's addresses of a range in the parent's.
    fn translated(&self, mut range: Range) -> Option<Range> {
        // The root's addresses are the processor's.
        let (path, tree) = (self.path(), &self.0.tree);
        for bus in (1..path.len() - 1).rev() {
            let (level, above) = (&path[bus], &path[bus - 1]);
            // How addresses of the nodes below are those above: not at all if it says nothing, the same if it is empty.
            let ranges = tree.value(level, b"ranges\0")?;
            if ranges.is_empty() {
                continue;
            }
            let child = tree.address_cells(level)?.checked_mul(4)?;
            let parent = tree.address_cells(above)?.checked_mul(4)?.checked_add(child)?;
            let whole = tree.size_cells(level)?.checked_mul(4)?.checked_add(parent)?;
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
