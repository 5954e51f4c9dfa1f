//! The first objects: root CNode, address space and thread of the root task, untyped memory.
use crate::ROOT_CNODE_BITS;
use crate::cap::{Cap, FrameRights, FrameSize, Mapping, View};
use crate::fdt::{Range, TOTAL_SIZE_OFFSET};
use crate::handle::{Slot, Tcb};
use crate::interrupt::EXTRA_LINES;
use crate::kernel::Kernel;
use crate::machine::{Machine, to_kernel};
use crate::tcb::{IPC_BUFFER, MCP, PRIORITY, Reg, SLOT_BUFFER, SLOT_CSPACE, SLOT_VSPACE, State};
use crate::vspace::{leaf, table};
use core::mem::offset_of;
use microkernel_abi::bootinfo::{BootInfo, BootInfoHeader, HEADER_FDT, SlotRegion, UNTYPED_MAX, UntypedDesc};
use microkernel_abi::object::{
    ASID_POOL_BITS, PAGE_BITS, PAGE_TABLE_BITS, SLOT_BITS, TCB_BITS, UNTYPED_BITS_MAX, UNTYPED_BITS_MIN,
};
use microkernel_abi::rights::VmAttributes;
use microkernel_abi::{PRIORITY_MAX, init_cap};

/// Ranges of RAM that the boot can keep apart.
const FREE_RANGES_MAX: usize = 32;
/// The root task's ASID.
const ROOT_ASID: u64 = 1;
const PAGE: u64 = 1 << PAGE_BITS;

/// What the machine found out before.
pub struct BootInput<'a> {
    /// RAM that nothing lies in.
    pub ram: &'a [Range],
    /// Addresses that are neither RAM nor the kernel's own devices.
    pub devices: &'a [Range],
    /// The root task's image in RAM, whole pages.
    pub image: Range,
    /// User address of its first page.
    pub image_va: u64,
    /// User address where it starts.
    pub entry: u64,
    /// The device tree, cut to what is used.
    pub fdt: &'a [u8],
    /// Interrupts of the controller.
    pub irqs: u64,
    /// Cores that run threads, this one included.
    pub cores: usize,
}

/// Why there is no root task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootError {
    /// Not enough RAM for the first objects.
    OutOfMemory,
    /// The root CNode is full.
    OutOfSlots,
    /// The image is not page-aligned, empty, or beyond the user's addresses.
    BadImage,
}

impl BootError {
    /// For the console.
    pub const fn message(self) -> &'static str {
        match self {
            Self::OutOfMemory => "not enough memory",
            Self::OutOfSlots => "its CNode is full",
            Self::BadImage => "its image is empty, not page-aligned, or too high",
        }
    }
}

/// RAM during boot.
struct FreeRam {
    ranges: [Range; FREE_RANGES_MAX],
    count: usize,
}

impl FreeRam {
    fn add(&mut self, range: Range) -> Result<(), BootError> {
        if range.start < range.end {
            *self.ranges.get_mut(self.count).ok_or(BootError::OutOfMemory)? = range;
            self.count += 1;
        }
        Ok(())
    }

    /// Takes 2^bits bytes from the highest end where they fit.
    fn take(&mut self, bits: u64) -> Result<u64, BootError> {
        let size = 1 << bits;
        let fits = |range: &Range| {
            let at = range.end.checked_sub(size)? >> bits << bits;
            (at >= range.start).then_some(at)
        };
        let best = (0..self.count).filter_map(|i| Some((fits(&self.ranges[i])?, i))).max();
        let (at, i) = best.ok_or(BootError::OutOfMemory)?;
        let range = self.ranges[i];
        self.ranges[i].end = at;
        self.add(Range { start: at + size, end: range.end })?;
        Ok(at)
    }
}

/// The root CNode while it is filled.
struct Boot<M> {
    kernel: Kernel<M>,
    free: FreeRam,
    cnode: u64,
    next: u64,
    root: u64,
}

impl<M: Machine> Boot<M> {
    fn take(&mut self, bits: u64) -> Result<u64, BootError> {
        let at = to_kernel(self.free.take(bits)?);
        self.kernel.m.zero(at, 1 << bits);
        Ok(at)
    }

    fn slot(&self, index: u64) -> Slot {
        Slot::at(self.cnode).offset(index)
    }

    fn provide(&mut self, view: View) -> Result<(), BootError> {
        if self.next >= 1 << ROOT_CNODE_BITS {
            return Err(BootError::OutOfSlots);
        }
        let slot = self.slot(self.next);
        self.next += 1;
        self.kernel.plant(slot, view.pack());
        Ok(())
    }

    /// Makes the tables for one more page.
    fn provide_tables(&mut self, va: u64) -> Result<(), BootError> {
        loop {
            let entry = self.kernel.walk(self.root, va);
            if entry.bits == PAGE_BITS {
                return Ok(());
            }
            let base = self.take(PAGE_TABLE_BITS)?;
            self.kernel.m.store(entry.at, table(base));
            let va = va >> entry.bits << entry.bits;
            self.provide(View::PageTable { base, mapping: Some(Mapping { asid: ROOT_ASID, va }) })?;
        }
    }

    /// Maps a page of the root task and gives the capability that says so.
    fn map(&mut self, base: u64, va: u64, attributes: VmAttributes) -> View {
        let entry = self.kernel.walk(self.root, va);
        let rights = FrameRights::ReadWrite;
        self.kernel.m.store(entry.at, leaf(base, FrameSize::Small, rights, attributes));
        let mapping = Some(Mapping { asid: ROOT_ASID, va });
        View::Frame { base, size: FrameSize::Small, rights, device: false, mapping }
    }
}

/// The attributes of pages without instructions.
const DATA: VmAttributes = VmAttributes(VmAttributes::DEFAULT.0 | VmAttributes::EXECUTE_NEVER);

/// Makes the kernel and the root task, which is the first thread to run.
pub fn boot<M: Machine>(mut m: M, input: &BootInput<'_>) -> Result<Kernel<M>, BootError> {
    let image_pages = input.image.size() / PAGE;
    let aligned = (input.image.start | input.image.size() | input.image_va).is_multiple_of(PAGE);
    let extra_bytes = if input.fdt.is_empty() { 0 } else { extra_length(input.fdt) };
    let extra_pages = extra_bytes.div_ceil(PAGE);
    let ipc_va = input.image_va.saturating_add(input.image.size());
    let (bi_va, extra_va) = (ipc_va.saturating_add(PAGE), ipc_va.saturating_add(2 * PAGE));
    let top = extra_va.saturating_add(extra_pages * PAGE);
    if !aligned || image_pages == 0 || top > microkernel_abi::USER_TOP {
        return Err(BootError::BadImage);
    }

    let mut free = FreeRam { ranges: [Range::default(); FREE_RANGES_MAX], count: 0 };
    for &range in input.ram {
        let start = range.start.next_multiple_of(1 << UNTYPED_BITS_MIN);
        free.add(Range { start, end: range.end >> UNTYPED_BITS_MIN << UNTYPED_BITS_MIN })?;
    }
    let cnode = to_kernel(free.take(ROOT_CNODE_BITS + SLOT_BITS)?);
    m.zero(cnode, 1 << (ROOT_CNODE_BITS + SLOT_BITS));
    let irq_bits = u64::from((input.irqs + EXTRA_LINES).next_power_of_two().ilog2()) + SLOT_BITS;
    let irq_slots = to_kernel(free.take(irq_bits)?);
    m.zero(irq_slots, 1 << irq_bits);
    let kernel = Kernel::new(m, irq_slots, input.irqs, input.cores);
    let mut boot = Boot { kernel, free, cnode, next: init_cap::NUM_INITIAL, root: 0 };

    // Contiguous extra boot information: one piece, cut into pages.
    let extra_bits = u64::from(extra_pages.max(1).next_power_of_two().ilog2()) + PAGE_BITS;
    let extra = boot.take(extra_bits)?;
    let bi = boot.take(PAGE_BITS)?;
    let ipc = boot.take(PAGE_BITS)?;
    boot.root = boot.take(PAGE_TABLE_BITS)?;
    let pool = boot.take(ASID_POOL_BITS)?;
    let tcb = Tcb::at(boot.take(TCB_BITS)?);

    boot.kernel.asid_pools[0] = pool;
    let root = boot.root;
    boot.kernel.m.store(pool + ROOT_ASID * 8, root);
    let cspace =
        View::CNode { base: cnode, radix: ROOT_CNODE_BITS, guard: 0, guard_bits: 64 - ROOT_CNODE_BITS };
    boot.kernel.init_thread(tcb);
    boot.kernel.ensure_reply_master(tcb);

    let paging = boot.region(|boot| {
        (0..(top - input.image_va) / PAGE)
            .try_for_each(|page| boot.provide_tables(input.image_va + page * PAGE))
    })?;
    let extra_region = boot.region(|boot| {
        (0..extra_pages).try_for_each(|page| {
            let frame = boot.map(extra + page * PAGE, extra_va + page * PAGE, DATA);
            boot.provide(frame)
        })
    })?;
    let frames = boot.region(|boot| {
        (0..image_pages).try_for_each(|page| {
            let base = to_kernel(input.image.start) + page * PAGE;
            // The linker's sections are not known here: the root task can restrict its own pages.
            let frame = boot.map(base, input.image_va + page * PAGE, VmAttributes::DEFAULT);
            boot.provide(frame)
        })
    })?;
    let ipc_frame = boot.map(ipc, ipc_va, DATA);
    let bi_frame = boot.map(bi, bi_va, DATA);
    for (index, view) in [
        (init_cap::TCB, View::Thread { tcb }),
        (init_cap::CNODE, cspace),
        (init_cap::VSPACE, View::VSpace { base: root, asid: Some(ROOT_ASID) }),
        (init_cap::IRQ_CONTROL, View::IrqControl),
        (init_cap::ASID_CONTROL, View::AsidControl),
        (init_cap::ASID_POOL, View::AsidPool { base: pool, first: 0 }),
        (init_cap::BOOT_INFO_FRAME, bi_frame),
        (init_cap::IPC_BUFFER, ipc_frame),
        (init_cap::DOMAIN, View::Domain),
    ] {
        let slot = boot.slot(index);
        boot.kernel.plant(slot, view.pack());
    }
    boot.start_thread(tcb, input.entry, bi_va, ipc_va);

    // Everything that is left becomes untyped memory; nothing may be taken from it from here on.
    let mut list = [UntypedDesc::default(); UNTYPED_MAX];
    let untyped = boot.provide_untyped(input.devices, &mut list)?;
    let end = boot.next;
    let nodes = boot.kernel.cores_online() as u64;
    let mut out = BootInfoWriter { m: &mut boot.kernel.m, bi };
    out.word(offset_of!(BootInfo, extra_len), extra_bytes);
    out.word(offset_of!(BootInfo, num_nodes), nodes);
    out.word(offset_of!(BootInfo, ipc_buffer), ipc_va);
    out.region(offset_of!(BootInfo, empty), SlotRegion { start: end, end: 1 << ROOT_CNODE_BITS });
    out.region(offset_of!(BootInfo, user_image_frames), frames);
    out.region(offset_of!(BootInfo, user_image_paging), paging);
    out.region(offset_of!(BootInfo, extra_bi_pages), extra_region);
    out.word(offset_of!(BootInfo, init_thread_cnode_size_bits), ROOT_CNODE_BITS);
    out.region(offset_of!(BootInfo, untyped), untyped);
    for (i, desc) in list.iter().enumerate() {
        let at = offset_of!(BootInfo, untyped_list) + i * size_of::<UntypedDesc>();
        out.word(at, desc.paddr);
        out.word(at + 8, u64::from(desc.size_bits) | u64::from(desc.is_device) << 8);
    }
    if extra_pages != 0 {
        write_extra(&mut boot.kernel.m, extra, input.fdt);
    }
    boot.kernel.m.tables_written();
    boot.kernel.woken(tcb);
    Ok(boot.kernel)
}

impl<M: Machine> Boot<M> {
    fn region(
        &mut self,
        fill: impl FnOnce(&mut Self) -> Result<(), BootError>,
    ) -> Result<SlotRegion, BootError> {
        let start = self.next;
        fill(self)?;
        Ok(SlotRegion { start, end: self.next })
    }

    fn start_thread(&mut self, tcb: Tcb, entry: u64, bi_va: u64, ipc_va: u64) {
        let k = &mut self.kernel;
        let slot = |index| Slot::at(self.cnode).offset(index);
        for (from, to) in [
            (init_cap::CNODE, SLOT_CSPACE),
            (init_cap::VSPACE, SLOT_VSPACE),
            (init_cap::IPC_BUFFER, SLOT_BUFFER),
        ] {
            let source = slot(from);
            // The copy of the buffer's frame is not mapped: deleting it must not unmap the page.
            let cap: Cap = k.derive(source, k.cap(source)).unwrap_or(Cap::NULL);
            k.insert_derived(source, tcb.slot(to), cap);
        }
        k.set(tcb, PRIORITY, PRIORITY_MAX);
        k.set(tcb, MCP, PRIORITY_MAX);
        k.set(tcb, IPC_BUFFER, ipc_va);
        k.set_reg(tcb, Reg::X0, bi_va);
        k.set_reg(tcb, Reg::FAULT_PC, entry);
        k.set_reg(tcb, Reg::PC, entry);
        k.set_state(tcb, State::Running);
    }

    fn provide_untyped(
        &mut self,
        devices: &[Range],
        list: &mut [UntypedDesc; UNTYPED_MAX],
    ) -> Result<SlotRegion, BootError> {
        let start = self.next;
        let (ranges, count) = (self.free.ranges, self.free.count);
        let ram = ranges[..count].iter().map(|&range| (range, false));
        for (range, device) in devices.iter().map(|&range| (range, true)).chain(ram) {
            let mut at = range.start;
            while at < range.end {
                let largest = u64::from((range.end - at).ilog2());
                let bits = u64::from(at.trailing_zeros()).min(largest).min(UNTYPED_BITS_MAX);
                let place = usize::try_from(self.next - start).ok().and_then(|i| list.get_mut(i));
                // More pieces than the list holds: the rest, the smallest last in each range, is not given out.
                let Some(desc) = place else { return Ok(SlotRegion { start, end: self.next }) };
                if bits >= UNTYPED_BITS_MIN {
                    let size_bits = u8::try_from(bits).unwrap_or(0);
                    *desc =
                        UntypedDesc { paddr: at, size_bits, is_device: u8::from(device), padding: [0; 6] };
                    // RAM holds anything: it counts as used, so the first retype zeroes it.
                    let free = if device { 0 } else { 1 << bits };
                    self.provide(View::Untyped { base: to_kernel(at), bits, device, free })?;
                }
                at += 1 << bits;
            }
        }
        Ok(SlotRegion { start, end: self.next })
    }
}

struct BootInfoWriter<'a, M> {
    m: &'a mut M,
    bi: u64,
}

impl<M: Machine> BootInfoWriter<'_, M> {
    fn word(&mut self, offset: usize, value: u64) {
        self.m.store(self.bi + offset as u64, value);
    }

    fn region(&mut self, offset: usize, region: SlotRegion) {
        self.word(offset, region.start);
        self.word(offset + 8, region.end);
    }
}

/// Bytes of the extra boot information: the device tree with its header, no more, as seL4 has it.
const fn extra_length(fdt: &[u8]) -> u64 {
    (size_of::<BootInfoHeader>() + fdt.len().next_multiple_of(8)) as u64
}

/// The device tree with its header.
fn write_extra<M: Machine>(m: &mut M, at: u64, fdt: &[u8]) {
    let header = size_of::<BootInfoHeader>() as u64;
    m.store(at, HEADER_FDT);
    m.store(at + 8, extra_length(fdt));
    let (words, rest) = fdt.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let start = at + header;
    for (i, word) in words.iter().chain((!rest.is_empty()).then_some(&last)).enumerate() {
        m.store(start + (i * 8) as u64, u64::from_le_bytes(*word));
    }
    // The tree was cut: its header says so, big-endian, in the upper half of the first word.
    const { assert!(TOTAL_SIZE_OFFSET == 4) };
    let total = u32::try_from(fdt.len()).unwrap_or(0).swap_bytes();
    let first = m.load(start) & u64::from(u32::MAX);
    m.store(start, first | u64::from(total) << 32);
}
