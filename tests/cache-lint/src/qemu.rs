//! QEMU's plugin interface, as far as it is used: version 4, which QEMU 9.1 and later accept.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version that these declarations are of.
pub(crate) const VERSION: c_int = 4;

/// What a plugin is known by.
pub(crate) type Id = u64;
/// An access, packed.
pub(crate) type MemoryInfo = u32;

/// A translation block under translation.
#[repr(C)]
pub(crate) struct Block(c_void);
/// One of its instructions.
#[repr(C)]
pub(crate) struct Instruction(c_void);
/// The physical side of an access.
#[repr(C)]
pub(crate) struct HardwareAddress(c_void);
/// A register.
#[repr(C)]
pub(crate) struct Register(c_void);

/// What QEMU says about itself.
#[repr(C)]
pub(crate) struct Info {
    pub(crate) target: *const c_char,
    version_min: c_int,
    version: c_int,
    is_system: bool,
    pub(crate) cores: c_int,
    cores_max: c_int,
}

/// GLib's array of bytes.
#[repr(C)]
pub(crate) struct ByteArray {
    pub(crate) data: *mut u8,
    pub(crate) length: c_uint,
}

/// GLib's array; here of [`RegisterDescriptor`].
#[repr(C)]
pub(crate) struct Array {
    pub(crate) data: *mut RegisterDescriptor,
    pub(crate) length: c_uint,
}

/// A register's name.
#[repr(C)]
pub(crate) struct RegisterDescriptor {
    pub(crate) handle: *mut Register,
    pub(crate) name: *const c_char,
    pub(crate) feature: *const c_char,
}

/// A callback reads no registers.
pub(crate) const NO_REGISTERS: c_int = 0;
/// A callback reads registers.
pub(crate) const READ_REGISTERS: c_int = 1;
/// Callbacks for stores only.
pub(crate) const STORES: c_int = 2;

pub(crate) type CoreCallback = extern "C" fn(Id, c_uint);
pub(crate) type TranslateCallback = extern "C" fn(Id, *mut Block);
pub(crate) type ExecuteCallback = extern "C" fn(c_uint, *mut c_void);
pub(crate) type MemoryCallback = extern "C" fn(c_uint, MemoryInfo, u64, *mut c_void);
pub(crate) type EndCallback = extern "C" fn(Id, *mut c_void);

// The symbols are in QEMU itself, GLib's in the library that QEMU has loaded.
unsafe extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: CoreCallback);
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: TranslateCallback);
    pub(crate) fn qemu_plugin_register_atexit_cb(id: Id, callback: EndCallback, data: *mut c_void);
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: ExecuteCallback,
        flags: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: MemoryCallback,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub(crate) fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub(crate) fn qemu_plugin_insn_haddr(instruction: *const Instruction) -> *mut c_void;
    pub(crate) fn qemu_plugin_insn_data(
        instruction: *const Instruction,
        to: *mut c_void,
        length: usize,
    ) -> usize;
    pub(crate) fn qemu_plugin_mem_size_shift(info: MemoryInfo) -> c_uint;
    pub(crate) fn qemu_plugin_get_hwaddr(info: MemoryInfo, virtual_address: u64) -> *mut HardwareAddress;
    pub(crate) fn qemu_plugin_hwaddr_is_io(address: *const HardwareAddress) -> bool;
    pub(crate) fn qemu_plugin_hwaddr_phys_addr(address: *const HardwareAddress) -> u64;
    pub(crate) fn qemu_plugin_get_registers() -> *mut Array;
    pub(crate) fn qemu_plugin_read_register(register: *mut Register, to: *mut ByteArray) -> c_int;
    pub(crate) fn g_byte_array_new() -> *mut ByteArray;
    pub(crate) fn g_byte_array_set_size(array: *mut ByteArray, length: c_uint) -> *mut ByteArray;
}
