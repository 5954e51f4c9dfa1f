//! QEMU's plugin interface, as far as our plugins use it: version 4, which QEMU 9.1 and later accept.
//!
//! Declarations only: the functions exist in QEMU alone, so that nothing but a plugin can be linked with a use of them.
//! What each does is told in QEMU's `qemu-plugin.h`.
#![allow(missing_docs, reason = "the documentation is QEMU's own")]

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version that these declarations are of.
pub const VERSION: c_int = 4;

/// What a plugin is known by.
pub type Id = u64;
/// An access, packed.
pub type MemoryInfo = u32;

/// A translation block under translation.
#[repr(C)]
pub struct Block(c_void);
/// One of its instructions.
#[repr(C)]
pub struct Instruction(c_void);
/// The physical side of an access.
#[repr(C)]
pub struct HardwareAddress(c_void);
/// A register.
#[repr(C)]
pub struct Register(c_void);

/// What QEMU says about itself.
#[repr(C)]
pub struct Info {
    pub target: *const c_char,
    version_min: c_int,
    version: c_int,
    is_system: bool,
    pub cores: c_int,
    cores_max: c_int,
}

/// GLib's array of bytes.
#[repr(C)]
pub struct ByteArray {
    pub data: *mut u8,
    pub length: c_uint,
}

/// GLib's array; here of [`RegisterDescriptor`].
#[repr(C)]
pub struct Array {
    pub data: *mut RegisterDescriptor,
    pub length: c_uint,
}

/// A register's name.
#[repr(C)]
pub struct RegisterDescriptor {
    pub handle: *mut Register,
    pub name: *const c_char,
    pub feature: *const c_char,
}

/// A callback reads no registers.
pub const NO_REGISTERS: c_int = 0;
/// A callback reads registers.
pub const READ_REGISTERS: c_int = 1;
/// Callbacks for stores only.
pub const STORES: c_int = 2;

pub type CoreCallback = extern "C" fn(Id, c_uint);
pub type TranslateCallback = extern "C" fn(Id, *mut Block);
pub type ExecuteCallback = extern "C" fn(c_uint, *mut c_void);
pub type MemoryCallback = extern "C" fn(c_uint, MemoryInfo, u64, *mut c_void);
pub type EndCallback = extern "C" fn(Id, *mut c_void);

// The symbols are in QEMU itself, GLib's in the library that QEMU has loaded.
unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: CoreCallback);
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: TranslateCallback);
    pub fn qemu_plugin_register_atexit_cb(id: Id, callback: EndCallback, data: *mut c_void);
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: ExecuteCallback,
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: MemoryCallback,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub fn qemu_plugin_insn_haddr(instruction: *const Instruction) -> *mut c_void;
    pub fn qemu_plugin_insn_data(instruction: *const Instruction, to: *mut c_void, length: usize) -> usize;
    pub fn qemu_plugin_mem_size_shift(info: MemoryInfo) -> c_uint;
    pub fn qemu_plugin_get_hwaddr(info: MemoryInfo, virtual_address: u64) -> *mut HardwareAddress;
    pub fn qemu_plugin_hwaddr_is_io(address: *const HardwareAddress) -> bool;
    pub fn qemu_plugin_hwaddr_phys_addr(address: *const HardwareAddress) -> u64;
    pub fn qemu_plugin_get_registers() -> *mut Array;
    pub fn qemu_plugin_read_register(register: *mut Register, to: *mut ByteArray) -> c_int;
    pub fn qemu_plugin_read_memory_vaddr(address: u64, to: *mut ByteArray, length: usize) -> bool;
    pub fn g_byte_array_new() -> *mut ByteArray;
    pub fn g_byte_array_set_size(array: *mut ByteArray, length: c_uint) -> *mut ByteArray;
}
