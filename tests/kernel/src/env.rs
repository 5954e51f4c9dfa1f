//! What a case works with: free slots, untyped memory, threads.
use board::Region;
use core::sync::atomic::{AtomicU64, Ordering};
use sel4_sys::{
    SEL4_BOOTINFO_HEADER_FDT, api_object, seL4_ARM_VMAttributes, seL4_BootInfo, seL4_BootInfoHeader,
    seL4_CPtr, seL4_CapInitThreadCNode, seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace, seL4_CapRights,
    seL4_Error, seL4_IPCBuffer, seL4_UserContext, seL4_Word,
};

/// Threads of one case.
const THREADS_MAX: usize = 8;
const STACK: usize = 16 << 10;
/// Where cases map things.
pub(crate) const SCRATCH: u64 = 0x4000_0000;
/// Where the console's UART is mapped.
const CONSOLE: u64 = 0x4_0000_0000;
/// log2 of memory that has room for tables of three levels.
const SPARE_BITS: u8 = 14;
/// log2 of a page.
const PAGE_BITS: u64 = 12;
/// Where IPC buffers of threads are mapped.
const BUFFERS: u64 = 0x6000_0000;

#[repr(C, align(16))]
struct Stack(core::cell::UnsafeCell<[u8; STACK]>);
// SAFETY: each stack is given to one thread of a case.
unsafe impl Sync for Stack {}
static STACKS: [Stack; THREADS_MAX] = [const { Stack(core::cell::UnsafeCell::new([0; STACK])) }; THREADS_MAX];

/// A thread of a case.
#[derive(Clone, Copy)]
pub(crate) struct Thread {
    pub(crate) tcb: seL4_CPtr,
    /// Address of its IPC buffer.
    pub(crate) buffer: u64,
    /// The frame of that.
    pub(crate) frame: seL4_CPtr,
}

/// The root task's means.
pub(crate) struct Env {
    pub(crate) boot_info: &'static seL4_BootInfo,
    pub(crate) ipc: &'static mut seL4_IPCBuffer,
    /// The untyped of the cases.
    pub(crate) untyped: seL4_CPtr,
    next_slot: seL4_CPtr,
    threads: usize,
    bases: seL4_CPtr,
}

impl Env {
    /// # Safety
    /// `boot_info` is the kernel's; called once.
    pub(crate) unsafe fn new(boot_info: &'static seL4_BootInfo) -> Self {
        // SAFETY: the kernel mapped the buffer for this thread; the caller lets nobody else have it.
        let ipc = unsafe { &mut *boot_info.ipcBuffer };
        let count = usize::try_from(boot_info.untyped.end - boot_info.untyped.start).expect("few");
        // The smallest that is large enough: its first use zeroes it.
        let (index, _) = boot_info.untypedList[..count]
            .iter()
            .enumerate()
            .filter(|(_, desc)| desc.isDevice == 0 && desc.sizeBits >= 22)
            .min_by_key(|(_, desc)| desc.sizeBits)
            .expect("there is memory");
        let untyped = boot_info.untyped.start + index as u64;
        let first = boot_info.empty.start;
        Self { boot_info, ipc, untyped, next_slot: first, threads: 0, bases: first }
    }

    /// Maps the first page of a device for good; its address.
    pub(crate) fn own_console(&mut self, device: Region) -> u64 {
        let info = self.boot_info;
        let count = usize::try_from(info.untyped.end - info.untyped.start).expect("few");
        let holds = |start: u64, bits: u8| (start..start + (1 << bits)).contains(&device.start);
        let (index, desc) = info.untypedList[..count]
            .iter()
            .enumerate()
            .find(|(_, desc)| desc.isDevice != 0 && holds(desc.paddr, desc.sizeBits))
            .expect("the device is somebody's to give");
        let (mut from, mut start) = (info.untyped.start + index as u64, desc.paddr);
        // By halves: the one that the device is in is the next to be halved.
        for bits in (PAGE_BITS..u64::from(desc.sizeBits)).rev() {
            let (error, halves) = self.try_make(from, api_object::seL4_UntypedObject, bits, 2);
            ok(error);
            let upper = device.start >= start + (1 << bits);
            from = halves + u64::from(upper);
            start += u64::from(upper) << bits;
        }
        let (error, frame) = self.try_make(from, api_object::seL4_ARM_SmallPageObject, 0, 1);
        ok(error);
        // The tables are made of memory that no case is given.
        let spare = info.untypedList[..count].iter().enumerate().filter(|(i, desc)| {
            desc.isDevice == 0
                && desc.sizeBits >= SPARE_BITS
                && info.untyped.start + *i as u64 != self.untyped
        });
        let (spare, _) = spare.min_by_key(|(_, desc)| desc.sizeBits).expect("there is more memory");
        let of_cases = core::mem::replace(&mut self.untyped, info.untyped.start + spare as u64);
        let (vspace, attributes) = (seL4_CapInitThreadVSpace, seL4_ARM_VMAttributes::device());
        self.map_in(vspace, frame, CONSOLE, seL4_CapRights::read_write(), attributes);
        self.untyped = of_cases;
        self.keep();
        CONSOLE
    }

    /// What is there now is there for good: [`Env::reset`] deletes what is made from here on.
    fn keep(&mut self) {
        self.bases = self.next_slot;
    }

    /// A word of the boot arguments, by its beginning.
    pub(crate) fn boot_argument(&self, key: &str) -> Option<&'static [u8]> {
        let extra = core::ptr::from_ref(self.boot_info).addr() + 4096;
        if self.boot_info.extraLen == 0 {
            return None;
        }
        // SAFETY: extra boot information starts one page later with a header.
        let header = unsafe { &*core::ptr::with_exposed_provenance::<seL4_BootInfoHeader>(extra) };
        assert!(header.id == SEL4_BOOTINFO_HEADER_FDT);
        let length = usize::try_from(header.len).expect("fits");
        // SAFETY: the header's length covers the tree, mapped behind it.
        let tree =
            unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance::<u8>(extra), length) };
        // The key occurs nowhere else in the tree.
        let at = tree.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
        let end = tree[at..].iter().position(|&byte| byte == 0 || byte == b' ')?;
        Some(&tree[at..at + end])
    }

    /// A slot that nothing is in.
    pub(crate) fn slot(&mut self) -> seL4_CPtr {
        self.next_slot += 1;
        self.next_slot - 1
    }

    /// Makes `count` objects in consecutive slots.
    pub(crate) fn try_make(
        &mut self,
        from: seL4_CPtr,
        kind: seL4_Word,
        bits: seL4_Word,
        count: u64,
    ) -> (u32, u64) {
        let first = self.next_slot;
        self.next_slot += count;
        let root = seL4_CapInitThreadCNode;
        let error = self.ipc.seL4_Untyped_Retype(from, kind, bits, root, 0, 0, first, count);
        (error, first)
    }

    /// Makes an object out of the case's untyped.
    pub(crate) fn make(&mut self, kind: seL4_Word, bits: seL4_Word) -> seL4_CPtr {
        let (error, slot) = self.try_make(self.untyped, kind, bits, 1);
        ok(error);
        slot
    }

    pub(crate) fn endpoint(&mut self) -> seL4_CPtr {
        self.make(api_object::seL4_EndpointObject, 0)
    }

    pub(crate) fn notification(&mut self) -> seL4_CPtr {
        self.make(api_object::seL4_NotificationObject, 0)
    }

    pub(crate) fn frame(&mut self) -> seL4_CPtr {
        self.make(api_object::seL4_ARM_SmallPageObject, 0)
    }

    /// A copy with a badge.
    pub(crate) fn mint(&mut self, source: seL4_CPtr, rights: seL4_CapRights, badge: u64) -> seL4_CPtr {
        let slot = self.slot();
        let root = seL4_CapInitThreadCNode;
        ok(self.ipc.seL4_CNode_Mint(root, slot, 64, root, source, 64, rights, badge));
        slot
    }

    /// A copy.
    pub(crate) fn copy(&mut self, source: seL4_CPtr) -> seL4_CPtr {
        let slot = self.slot();
        let root = seL4_CapInitThreadCNode;
        ok(self.ipc.seL4_CNode_Copy(root, slot, 64, root, source, 64, seL4_CapRights::all()));
        slot
    }

    pub(crate) fn delete(&mut self, slot: seL4_CPtr) -> u32 {
        self.ipc.seL4_CNode_Delete(seL4_CapInitThreadCNode, slot, 64)
    }

    pub(crate) fn revoke(&mut self, slot: seL4_CPtr) -> u32 {
        self.ipc.seL4_CNode_Revoke(seL4_CapInitThreadCNode, slot, 64)
    }

    /// Maps a frame, with the tables that it needs.
    pub(crate) fn map_in(
        &mut self,
        vspace: seL4_CPtr,
        frame: seL4_CPtr,
        va: u64,
        rights: seL4_CapRights,
        attributes: seL4_ARM_VMAttributes,
    ) {
        loop {
            let error = self.ipc.seL4_ARM_Page_Map(frame, vspace, va, rights, attributes);
            if error != seL4_Error::seL4_FailedLookup {
                return ok(error);
            }
            let table = self.make(api_object::seL4_ARM_PageTableObject, 0);
            ok(self.ipc.seL4_ARM_PageTable_Map(table, vspace, va, seL4_ARM_VMAttributes::data()));
        }
    }

    /// Maps a frame in the own address space, read-write.
    pub(crate) fn map(&mut self, frame: seL4_CPtr, va: u64) {
        self.map_in(
            seL4_CapInitThreadVSpace,
            frame,
            va,
            seL4_CapRights::read_write(),
            seL4_ARM_VMAttributes::data(),
        );
    }

    /// Makes a thread in the own spaces. It does not run yet.
    pub(crate) fn thread(&mut self, priority: u64, fault_ep: seL4_CPtr) -> Thread {
        if self.threads == 0 {
            let never = self.notification();
            NEVER.store(never, Ordering::SeqCst);
        }
        let tcb = self.make(api_object::seL4_TCBObject, 0);
        let frame = self.frame();
        let buffer = BUFFERS + self.threads as u64 * 4096;
        self.map(frame, buffer);
        ok(self.ipc.seL4_TCB_Configure(
            tcb,
            fault_ep,
            seL4_CapInitThreadCNode,
            0,
            seL4_CapInitThreadVSpace,
            0,
            buffer,
            frame,
        ));
        ok(self.ipc.seL4_TCB_SetSchedParams(tcb, seL4_CapInitThreadTCB, 254, priority));
        self.threads += 1;
        Thread { tcb, buffer, frame }
    }

    /// Sets a thread's first registers and lets it run.
    pub(crate) fn start(
        &mut self,
        thread: Thread,
        entry: extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !,
        a: u64,
        b: u64,
    ) {
        self.start_on(self.threads - 1, thread, entry, a, b);
    }

    /// As [`Env::start`], on the stack of this number, which no other thread uses.
    pub(crate) fn start_on(
        &mut self,
        stack: usize,
        thread: Thread,
        entry: extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !,
        a: u64,
        b: u64,
    ) {
        let stack = &STACKS[stack];
        let top = core::ptr::from_ref(stack).addr() + STACK;
        let regs = seL4_UserContext {
            pc: entry as usize as u64,
            sp: top as u64,
            x0: thread.buffer,
            x1: a,
            x2: b,
            ..Default::default()
        };
        ok(self.ipc.seL4_TCB_WriteRegisters(thread.tcb, 1, 0, 36, &regs));
    }

    /// Makes a thread and lets it run.
    pub(crate) fn spawn(
        &mut self,
        priority: u64,
        entry: extern "C" fn(&mut seL4_IPCBuffer, u64, u64) -> !,
        a: u64,
        b: u64,
    ) -> Thread {
        let thread = self.thread(priority, 0);
        self.start(thread, entry, a, b);
        thread
    }

    /// The registers of a thread.
    pub(crate) fn registers(&mut self, tcb: seL4_CPtr) -> seL4_UserContext {
        let mut regs = seL4_UserContext::default();
        ok(self.ipc.seL4_TCB_ReadRegisters(tcb, 0, 0, 36, &mut regs));
        regs
    }

    /// The own priority.
    pub(crate) fn set_priority(&mut self, priority: u64) {
        ok(self.ipc.seL4_TCB_SetPriority(seL4_CapInitThreadTCB, seL4_CapInitThreadTCB, priority));
    }

    /// Lets every other thread run until it blocks.
    pub(crate) fn settle(&mut self) {
        self.set_priority(1);
        self.set_priority(255);
    }

    /// Everything the case made is gone afterwards.
    pub(crate) fn reset(&mut self) {
        self.set_priority(255);
        ok(self.revoke(self.untyped));
        for slot in self.bases..self.next_slot {
            ok(self.delete(slot));
        }
        self.next_slot = self.bases;
        self.threads = 0;
        COUNTER.store(0, Ordering::SeqCst);
    }
}

/// The result of an invocation that must succeed.
#[track_caller]
pub(crate) fn ok(error: u32) {
    assert_eq!(error, seL4_Error::seL4_NoError);
}

/// A word that threads of a case share.
pub(crate) static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A notification that nobody signals.
static NEVER: AtomicU64 = AtomicU64::new(0);

/// The end of a thread: it blocks.
pub(crate) fn park(ipc: &mut seL4_IPCBuffer) -> ! {
    loop {
        ipc.seL4_Wait(NEVER.load(Ordering::SeqCst));
    }
}
