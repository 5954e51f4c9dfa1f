//! Between QEMU and the rule: callbacks, and the report.
//!
//! QEMU throws a translation away when a store hits it, so an instruction is judged when it is translated; only words
//! that are not yet coherent for every core are judged again at each execution. Everything else runs without callbacks
//! but for stores and the instructions of `instruction`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::instruction::{self, Instruction, Kind};
use crate::lint::{CORES_MAX, Fetch, Finding, Lint, Missing, Storer};
use crate::ram::{PAGE_BITS, Ram};
use qemu_plugin as qemu;

/// Findings that are written out; further ones are counted.
const FINDINGS_MAX: usize = 20;
/// Guest memory of QEMU's virt machine.
const BASE_DEFAULT: u64 = 0x4000_0000;
const BYTES_DEFAULT: u64 = 512 << 20;
/// Bytes of a block of DC ZVA and of a line, on every core that QEMU knows here.
const LINE_BYTES: u64 = 64;
/// General registers.
const REGISTERS: usize = 31;

/// QEMU checks it before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub(crate) static qemu_plugin_version: c_int = qemu::VERSION;

/// Roots of a core's translation tables.
#[derive(Clone, Copy, Default)]
struct Roots {
    lower: u64,
    upper: u64,
}

struct Plugin {
    lint: Lint,
    report: File,
    base: u64,
    bytes: u64,
    /// Known from the first instruction on, which runs without translation.
    ram: Option<Ram>,
    roots: [Roots; CORES_MAX],
    /// Handles of x0 to x30, as numbers; QEMU uses the same for each core.
    registers: [usize; REGISTERS],
    /// GLib's array that register values are read into.
    value: usize,
    /// Words that are judged at each execution, by physical and virtual address.
    judged: BTreeMap<(u64, u64), &'static Judged>,
    /// What was reported, so that each page is reported once for each storer and each gap.
    seen: BTreeSet<(u64, Storer, Missing)>,
}

/// A word that is judged at each execution: what such a callback is told. QEMU keeps a callback for as long as the
/// translation, and most words are coherent after the first fetch: the flag is read before anything else.
struct Judged {
    physical: u64,
    at: u64,
    /// Coherent for every core; it stays so until a store throws the translation away.
    coherent: AtomicBool,
}

static PLUGIN: Mutex<Option<Plugin>> = Mutex::new(None);

fn plugin() -> MutexGuard<'static, Option<Plugin>> {
    PLUGIN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_plugin(work: impl FnOnce(&mut Plugin)) {
    if let Some(plugin) = plugin().as_mut() {
        work(plugin);
    }
}

/// A small number as QEMU carries it.
fn data(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number)
}

impl Plugin {
    fn say(&mut self, line: &str) {
        // A report that cannot be written is found missing by whoever reads it.
        let _ = writeln!(self.report, "{line}");
    }

    fn find(&mut self, finding: Finding) {
        let page = finding.physical >> PAGE_BITS;
        let is_new = self.seen.insert((page, finding.storer, finding.missing));
        if is_new && self.seen.len() <= FINDINGS_MAX {
            self.say(&finding.to_string());
        }
    }

    fn register(&self, number: u8) -> u64 {
        let Some(&handle) = self.registers.get(usize::from(number)) else { return 0 };
        let array = std::ptr::with_exposed_provenance_mut::<qemu::ByteArray>(self.value);
        // SAFETY: `array` was made by GLib when the plugin was installed.
        unsafe { qemu::g_byte_array_set_size(array, 0) };
        // SAFETY: the handle came from QEMU; this runs in a callback that was registered to read registers.
        let count =
            unsafe { qemu::qemu_plugin_read_register(std::ptr::with_exposed_provenance_mut(handle), array) };
        // SAFETY: as above; nothing else uses it meanwhile.
        let array = unsafe { &*array };
        if count != 8 || array.length != 8 {
            return 0;
        }
        // SAFETY: GLib's array holds eight bytes, as was just checked.
        u64::from_le_bytes(unsafe { array.data.cast::<[u8; 8]>().read() })
    }

    fn storer(&self, core: usize, pc: u64) -> Storer {
        // ASID: bits 63 to 48 of the lower root's register.
        Storer { pc, asid: (self.roots[core].lower >> 48) as u16 }
    }

    /// An instruction of `instruction` is about to run.
    fn executed(&mut self, core: usize, what: Instruction) {
        match what.kind {
            Kind::Barrier => return self.lint.barrier(core),
            Kind::Synchronise => return self.lint.synchronised(core),
            Kind::InvalidateHere => return self.lint.invalidated_all(core, false),
            Kind::InvalidateEverywhere => return self.lint.invalidated_all(core, true),
            _ => {}
        }
        let value = self.register(what.register);
        let roots = &mut self.roots[core];
        match what.kind {
            Kind::LowerRoot => roots.lower = value,
            Kind::UpperRoot => roots.upper = value,
            kind => {
                let roots = *roots;
                let Some(ram) = self.ram else { return };
                // Before the first root is set there is no translation. What has no translation faults on hardware.
                let physical = match roots {
                    Roots { lower: 0, upper: 0 } => Some(value),
                    Roots { lower, upper } => ram.translate(lower, upper, value),
                };
                let Some(physical) = physical else { return };
                match kind {
                    Kind::CleanLine => self.lint.cleaned(core, physical),
                    Kind::InvalidateLine => self.lint.invalidated(core, physical, value),
                    _ => {
                        let storer = self.storer(core, value);
                        self.lint.zeroed(storer, physical & !(LINE_BYTES - 1));
                    }
                }
            }
        }
    }

    /// A core fetches a word; is it the one that is in memory?
    fn judge(&mut self, core: usize, word: &Judged) {
        let Judged { physical, at, ref coherent } = *word;
        let bits = self.ram.and_then(|ram| ram.word(physical)).unwrap_or(0);
        if let Fetch::Stale(finding) = self.lint.fetched(core, physical, at, bits) {
            self.find(finding);
        }
        coherent.store(!self.lint.is_watched(physical), Ordering::Relaxed);
    }

    /// What stands for a word that is judged at each execution from this translation on.
    fn judged(&mut self, physical: u64, at: u64) -> &'static Judged {
        let made = || &*Box::leak(Box::new(Judged { physical, at, coherent: AtomicBool::new(false) }));
        let judged = *self.judged.entry((physical, at)).or_insert_with(made);
        judged.coherent.store(false, Ordering::Relaxed);
        judged
    }

    fn translated(&mut self, instruction: *mut qemu::Instruction) {
        // SAFETY: QEMU passes instructions of the block under translation.
        let at = unsafe { qemu::qemu_plugin_insn_vaddr(instruction) };
        // SAFETY: as above.
        let host = unsafe { qemu::qemu_plugin_insn_haddr(instruction) }.expose_provenance() as u64;
        let mut bits = 0_u32;
        // SAFETY: as above; `bits` has room for the four bytes.
        unsafe { qemu::qemu_plugin_insn_data(instruction, (&raw mut bits).cast(), size_of::<u32>()) };
        if self.ram.is_none() {
            // SAFETY: the first instruction runs before translation is on: its address is physical. QEMU's virt
            // machine keeps its memory in one piece, of the size that the runner passes to both.
            self.ram = unsafe { Ram::new(self.base, self.bytes, at, host) };
        }
        // SAFETY: as above; the callback and the address are valid for as long as QEMU runs.
        unsafe {
            qemu::qemu_plugin_register_vcpu_mem_cb(
                instruction,
                on_store,
                qemu::NO_REGISTERS,
                qemu::STORES,
                data(usize::try_from(at).unwrap_or(0)),
            );
        };
        if let Some(what) = instruction::decode(bits) {
            // SAFETY: as above.
            unsafe {
                qemu::qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    on_maintenance,
                    qemu::READ_REGISTERS,
                    data(what.packed()),
                );
            };
        }
        let Some(physical) = self.ram.and_then(|ram| ram.physical(host)) else { return };
        // Coherent for everybody now, it stays so until a store throws the translation away.
        let coherent = !self.lint.is_watched(physical) && {
            self.lint.fetched(0, physical, at, bits);
            true
        };
        if !coherent {
            let judged = std::ptr::from_ref(self.judged(physical, at));
            // SAFETY: as above.
            unsafe {
                qemu::qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    on_fetch,
                    qemu::NO_REGISTERS,
                    judged.cast_mut().cast(),
                );
            };
        }
    }
}

extern "C" fn on_translation(_: qemu::Id, block: *mut qemu::Block) {
    with_plugin(|plugin| {
        // SAFETY: QEMU passes a block that is valid during the call.
        let count = unsafe { qemu::qemu_plugin_tb_n_insns(block) };
        for index in 0..count {
            // SAFETY: as above; the index is one of the block's.
            plugin.translated(unsafe { qemu::qemu_plugin_tb_get_insn(block, index) });
        }
    });
}

extern "C" fn on_store(core: c_uint, info: qemu::MemoryInfo, at: u64, pc: *mut c_void) {
    // SAFETY: a callback of a memory access.
    let address = unsafe { qemu::qemu_plugin_get_hwaddr(info, at) };
    // SAFETY: not null in a system emulation, and valid during the callback.
    if address.is_null() || unsafe { qemu::qemu_plugin_hwaddr_is_io(address) } {
        return;
    }
    // SAFETY: as above.
    let physical = unsafe { qemu::qemu_plugin_hwaddr_phys_addr(address) };
    // SAFETY: takes the number apart.
    let bytes = 1 << unsafe { qemu::qemu_plugin_mem_size_shift(info) };
    with_plugin(|plugin| {
        let storer = plugin.storer(core as usize % CORES_MAX, pc.addr() as u64);
        let ram = plugin.ram;
        plugin.lint.stored(storer, physical, bytes, || ram.and_then(|ram| ram.word(physical)).unwrap_or(0));
    });
}

extern "C" fn on_maintenance(core: c_uint, what: *mut c_void) {
    if let Some(what) = Instruction::unpacked(what.addr()) {
        with_plugin(|plugin| plugin.executed(core as usize % CORES_MAX, what));
    }
}

extern "C" fn on_fetch(core: c_uint, word: *mut c_void) {
    // SAFETY: what `translated` registered: a `Judged` that lives as long as QEMU, and is only ever shared.
    let word = unsafe { &*word.cast::<Judged>().cast_const() };
    if !word.coherent.load(Ordering::Relaxed) {
        with_plugin(|plugin| plugin.judge(core as usize % CORES_MAX, word));
    }
}

extern "C" fn on_core(_: qemu::Id, core: c_uint) {
    if core != 0 {
        return;
    }
    // SAFETY: a callback of a core's start, where QEMU gives the list; it belongs to us and is never freed.
    let list = unsafe { qemu::qemu_plugin_get_registers() };
    // SAFETY: as above.
    let list = unsafe { &*list };
    with_plugin(|plugin| {
        for index in 0..list.length as usize {
            // SAFETY: inside the array.
            let entry = unsafe { list.data.add(index) };
            // SAFETY: as above.
            let entry = unsafe { &*entry };
            // SAFETY: QEMU's names are strings that live as long as QEMU.
            let name = unsafe { CStr::from_ptr(entry.name) };
            let number = name.to_str().ok().and_then(|name| name.strip_prefix('x')?.parse::<usize>().ok());
            if let Some(place) = number.and_then(|number| plugin.registers.get_mut(number)) {
                *place = entry.handle.expose_provenance();
            }
        }
    });
}

extern "C" fn on_end(_: qemu::Id, _: *mut c_void) {
    with_plugin(|plugin| {
        for finding in plugin.lint.unfinished() {
            plugin.find(finding);
        }
        let counts = plugin.lint.counts;
        let further = plugin.seen.len().saturating_sub(FINDINGS_MAX);
        plugin.say(&format!(
            "end: {} stores, {} lines maintained, {} words coherent behind a store, {} fetches in a window, {} stale ({further} pages not listed)",
            counts.stores, counts.maintained, counts.coherent, counts.windows, counts.stale
        ));
    });
}

/// The value of `key=value` among the arguments.
fn argument<'a>(arguments: &'a [String], key: &str) -> Option<&'a str> {
    arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn make(arguments: &[String], cores: usize) -> Result<Plugin, String> {
    let value = |key, default| match argument(arguments, key) {
        None => Ok(default),
        Some(text) => number(text).ok_or(format!("{key}={text} is no number")),
    };
    let (base, bytes) = (value("base", BASE_DEFAULT)?, value("ram", BYTES_DEFAULT)?);
    let path = argument(arguments, "report").ok_or("no report=FILE")?;
    let mut report = File::create(path).map_err(|error| format!("{path}: {error}"))?;
    writeln!(report, "watching: {cores} cores, {bytes} bytes from {base:#x}")
        .map_err(|error| format!("{path}: {error}"))?;
    // SAFETY: makes an empty array.
    let value = unsafe { qemu::g_byte_array_new() }.expose_provenance();
    Ok(Plugin {
        lint: Lint::new(base, bytes, cores),
        report,
        base,
        bytes,
        ram: None,
        roots: [Roots::default(); CORES_MAX],
        registers: [0; REGISTERS],
        value,
        judged: BTreeMap::new(),
        seen: BTreeSet::new(),
    })
}

/// QEMU's way in. Not 0: the plugin does not want to run, and QEMU ends.
///
/// # Safety
/// QEMU passes valid pointers, as its interface says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    info: *const qemu::Info,
    count: c_int,
    arguments: *mut *mut c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    let info = unsafe { &*info };
    // SAFETY: as above.
    let target = unsafe { CStr::from_ptr(info.target) };
    if target.to_bytes() != b"aarch64" {
        eprintln!("cache-lint: knows AArch64 only");
        return 1;
    }
    let mut texts = Vec::new();
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: as above: `count` arguments.
        let argument = unsafe { arguments.add(index) };
        // SAFETY: as above.
        let argument = unsafe { argument.read() };
        // SAFETY: as above.
        texts.push(unsafe { CStr::from_ptr(argument) }.to_string_lossy().into_owned());
    }
    let cores = usize::try_from(info.cores).unwrap_or(1);
    if cores > CORES_MAX {
        eprintln!("cache-lint: watches at most {CORES_MAX} cores");
        return 1;
    }
    match make(&texts, cores) {
        Ok(made) => *plugin() = Some(made),
        Err(why) => {
            eprintln!("cache-lint: {why}");
            return 1;
        }
    }
    // SAFETY: `id` is ours; the callbacks live as long as QEMU.
    unsafe { qemu::qemu_plugin_register_vcpu_init_cb(id, on_core) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_atexit_cb(id, on_end, std::ptr::null_mut()) };
    0
}
