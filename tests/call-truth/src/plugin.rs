//! Between QEMU and the stacks: callbacks, and the file of samples.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use qemu_plugin as qemu;

use crate::stacks::Stacks;

/// Text of a link domain: base image, linker-owned text, modules.
const TEXT: Range<u64> = 0x1000_0000..0x1700_0000;
/// Its threads, and the address space of one: thread page, …, stack at the end.
const THREADS: Range<u64> = 0x1700_0000..0x1710_0000;
const THREAD_STRIDE: u64 = 0x1_0000;
const THREAD_PAGE: u64 = 0x1000;
/// Where a thread page has the top of its shadow stack, and where that begins.
const SHADOW_TOP: usize = 8;
const SHADOW: usize = 256;
/// Samples of one instruction, and samples in all.
const EACH_MAX: u32 = 4;
const SAMPLES_MAX: u32 = 20_000;
/// One of so many instructions is sampled besides.
const PERIOD: u64 = 997;
/// General registers, and where SP and PC stand behind them.
const REGISTERS: usize = 33;
const SP: usize = 31;
const PC: usize = 32;

/// QEMU checks it before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub(crate) static qemu_plugin_version: c_int = qemu::VERSION;

struct Plugin {
    stacks: Stacks,
    samples: BufWriter<File>,
    count: u32,
    executed: u64,
    each: BTreeMap<u64, u32>,
    /// Handles of x0 to x30, sp, pc, as numbers; QEMU uses the same for each core.
    registers: [usize; REGISTERS],
    /// GLib's array that values are read into.
    value: usize,
}

static PLUGIN: Mutex<Option<Plugin>> = Mutex::new(None);

fn plugin() -> MutexGuard<'static, Option<Plugin>> {
    PLUGIN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a callback is told of an instruction: its address, and in the low bit whether it is a call.
const IS_CALL: u64 = 1;

const fn is_call(word: u32) -> bool {
    // BL; BLR.
    word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000
}

impl Plugin {
    /// The bytes that QEMU has put into the array.
    fn bytes(&self, read: impl FnOnce(*mut qemu::ByteArray)) -> Vec<u8> {
        let array = std::ptr::with_exposed_provenance_mut::<qemu::ByteArray>(self.value);
        // SAFETY: `array` was made by GLib when the plugin was installed.
        unsafe { qemu::g_byte_array_set_size(array, 0) };
        read(array);
        // SAFETY: as above; nothing else uses it meanwhile.
        let array = unsafe { &*array };
        if array.data.is_null() {
            return Vec::new();
        }
        // SAFETY: GLib's array holds so many bytes.
        unsafe { std::slice::from_raw_parts(array.data, array.length as usize) }.to_vec()
    }

    fn register(&self, index: usize) -> u64 {
        let handle = std::ptr::with_exposed_provenance_mut(self.registers[index]);
        let bytes = self.bytes(|array| {
            // SAFETY: the handle came from QEMU; this runs in a callback that was registered to read registers.
            unsafe { qemu::qemu_plugin_read_register(handle, array) };
        });
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }

    fn memory(&self, at: u64, size: u64) -> Vec<u8> {
        self.bytes(|array| {
            // SAFETY: QEMU reads what is mapped in the address space of the core that runs this callback.
            unsafe { qemu::qemu_plugin_read_memory_vaddr(at, array, usize::try_from(size).unwrap_or(0)) };
        })
    }

    fn executed(&mut self, what: u64) {
        let pc = what & !3;
        let sp = self.register(SP);
        if !THREADS.contains(&sp) && sp != THREADS.end {
            return;
        }
        // The highest stack pointer of a stack is the next stride's first address.
        let thread = (sp - 1) / THREAD_STRIDE * THREAD_STRIDE;
        self.stacks.arrive(thread, pc, sp);
        self.executed += 1;
        let each = self.each.entry(pc).or_default();
        let wanted = *each < EACH_MAX || self.executed.is_multiple_of(PERIOD);
        *each = each.saturating_add(1);
        if wanted && self.count < SAMPLES_MAX {
            self.count += 1;
            self.sample(thread, sp, pc);
        }
        if what & IS_CALL != 0 {
            self.stacks.call(thread, pc + 4, sp);
        }
    }

    fn sample(&mut self, thread: u64, sp: u64, pc: u64) {
        let mut record = vec![b'S'];
        for index in 0..REGISTERS {
            let value = if index == PC { pc } else { self.register(index) };
            record.extend(value.to_le_bytes());
        }
        let calls: Vec<u8> = self.stacks.open(thread, sp).flat_map(u64::to_le_bytes).collect();
        let page = self.memory(thread + THREAD_PAGE, 0x1000);
        let top = page
            .get(SHADOW_TOP..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |top| u64::from_le_bytes(*top));
        let end = usize::try_from(top.saturating_sub(thread + THREAD_PAGE)).unwrap_or(0);
        let shadow = page.get(SHADOW..end).unwrap_or_default();
        let stack = self.memory(sp, thread + THREAD_STRIDE - sp);
        for list in [calls.as_slice(), shadow, &stack] {
            record.extend(u32::try_from(list.len() / 8).unwrap_or(0).to_le_bytes());
            record.extend(&list[..list.len() / 8 * 8]);
        }
        // A file that cannot be written is found too short by whoever reads it.
        let _ = self.samples.write_all(&record);
    }

    /// Tells a word each time: whoever reads the samples may have had a reason to forget it.
    fn translated(&mut self, at: u64, word: u32) {
        let mut record = vec![b'W'];
        record.extend(at.to_le_bytes());
        record.extend(word.to_le_bytes());
        let _ = self.samples.write_all(&record);
    }
}

extern "C" fn on_core(_id: qemu::Id, _core: c_uint) {
    let mut plugin = plugin();
    let Some(plugin) = plugin.as_mut() else { return };
    // SAFETY: QEMU gives the list on a core's own thread.
    let list = unsafe { qemu::qemu_plugin_get_registers() };
    // SAFETY: as above: an array, which QEMU leaves to us.
    let list = unsafe { &*list };
    for index in 0..list.length as usize {
        // SAFETY: the array has `length` elements.
        let element = unsafe { list.data.add(index) };
        // SAFETY: as above.
        let descriptor = unsafe { &*element };
        // SAFETY: a name is a C string that lives as long as QEMU.
        let name = unsafe { CStr::from_ptr(descriptor.name) }.to_string_lossy();
        let place = match name.as_ref() {
            "sp" => Some(SP),
            "pc" => Some(PC),
            other => {
                other.strip_prefix('x').and_then(|number| number.parse().ok()).filter(|number| *number < SP)
            }
        };
        if let Some(place) = place {
            plugin.registers[place] = descriptor.handle.expose_provenance();
        }
    }
}

extern "C" fn on_translation(_id: qemu::Id, block: *mut qemu::Block) {
    // SAFETY: QEMU passes a block that lives as long as this call.
    let count = unsafe { qemu::qemu_plugin_tb_n_insns(block) };
    let mut plugin = plugin();
    let Some(plugin) = plugin.as_mut() else { return };
    for index in 0..count {
        // SAFETY: the block has `count` instructions.
        let instruction = unsafe { qemu::qemu_plugin_tb_get_insn(block, index) };
        // SAFETY: as above.
        let at = unsafe { qemu::qemu_plugin_insn_vaddr(instruction) };
        if !TEXT.contains(&at) {
            return;
        }
        let mut word = [0_u8; 4];
        // SAFETY: `word` has four bytes.
        unsafe { qemu::qemu_plugin_insn_data(instruction, word.as_mut_ptr().cast(), 4) };
        let word = u32::from_le_bytes(word);
        plugin.translated(at, word);
        let what = at | if is_call(word) { IS_CALL } else { 0 };
        let data = std::ptr::without_provenance_mut(usize::try_from(what).unwrap_or(0));
        // SAFETY: the callback lives as long as QEMU.
        unsafe {
            qemu::qemu_plugin_register_vcpu_insn_exec_cb(
                instruction,
                on_execution,
                qemu::READ_REGISTERS,
                data,
            );
        }
    }
}

extern "C" fn on_execution(_core: c_uint, data: *mut c_void) {
    if let Some(plugin) = plugin().as_mut() {
        plugin.executed(data.addr() as u64);
    }
}

extern "C" fn on_end(_id: qemu::Id, _data: *mut c_void) {
    if let Some(plugin) = plugin().as_mut() {
        let _ = plugin.samples.flush();
    }
}

/// QEMU's way in. Not 0: the plugin does not want to run, and QEMU ends.
///
/// # Safety
/// QEMU passes valid pointers, as its interface says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    _info: *const qemu::Info,
    count: c_int,
    arguments: *mut *mut c_char,
) -> c_int {
    let mut path = None;
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's promise: `count` arguments.
        let argument = unsafe { arguments.add(index) };
        // SAFETY: as above.
        let argument = unsafe { argument.read() };
        // SAFETY: as above: a C string.
        let argument = unsafe { CStr::from_ptr(argument) }.to_string_lossy();
        path = path.or(argument.strip_prefix("samples=").map(str::to_owned));
    }
    let Some(file) = path.and_then(|path| File::create(path).ok()) else {
        eprintln!("call-truth: samples=FILE names no file that can be written");
        return 1;
    };
    // SAFETY: makes an empty array.
    let value = unsafe { qemu::g_byte_array_new() }.expose_provenance();
    *plugin() = Some(Plugin {
        stacks: Stacks::default(),
        samples: BufWriter::new(file),
        count: 0,
        executed: 0,
        each: BTreeMap::new(),
        registers: [0; REGISTERS],
        value,
    });
    // SAFETY: `id` is ours; the callbacks live as long as QEMU.
    unsafe { qemu::qemu_plugin_register_vcpu_init_cb(id, on_core) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_atexit_cb(id, on_end, std::ptr::null_mut()) };
    0
}
