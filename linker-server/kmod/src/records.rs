//! The records that a module and a base image carry: what the module side emits and the linker reads.
//!
//! All are `repr(C)`, little endian, with offsets asserted below; `docs/kmod-format.md` is the same in words. The
//! type of a pointer field is a parameter: the module side initialises it with a pointer in a `static` (a
//! relocation makes the address), the linker's side sees the 64 bits that stand in the file. Both have the same
//! layout on every 64-bit target.

use core::mem::{align_of, offset_of, size_of};

/// Bytes of a symbol's name field: the name, then zeros. The last byte is always zero.
pub const SYMBOL_NAME_SIZE: usize = 48;

/// Bytes of a module's name field: the name, then zeros. The last byte is always zero.
pub const MODULE_NAME_SIZE: usize = 32;

/// Bytes of a driver server's name field.
pub const SERVER_NAME_SIZE: usize = 16;

/// The first bytes of [`ModuleInfo`].
pub const MODULE_MAGIC: [u8; 8] = *b"STRATAKM";

/// The first bytes of [`BaseInfo`].
pub const BASE_MAGIC: [u8; 8] = *b"STRATABS";

/// The version of the records' layout. A reader refuses any other.
pub const FORMAT_VERSION: u16 = 1;

/// The version of the calls between a module and its surroundings (commands, thread block, gates).
pub const API_VERSION: u16 = 1;

/// What an undefined symbol begins with that means "the alias below mine".
pub const SUPER_PREFIX: &str = "super_";

/// [`AliasRecord::flags`]: a call of this symbol may block.
pub const ALIAS_MAY_BLOCK: u8 = 1 << 0;

/// [`ModuleInfo::flags`]: while the module is live, bus errors are resumed at their fix-up.
pub const MODULE_FIXUP_POLICY: u8 = 1 << 0;

/// [`AliasRecord::kind`]: the default, slot 0 of the symbol's alias stack. Introduces the symbol.
pub const ALIAS_WEAK: u8 = 1;
/// [`AliasRecord::kind`]: full replacement of a stub, slot 1.
pub const ALIAS_STRONG: u8 = 2;
/// [`AliasRecord::kind`]: a layer that builds on what it overrides.
pub const ALIAS_REFINE: u8 = 3;
/// [`AliasRecord::kind`]: a function offered by name, bound once and never overridden.
pub const ALIAS_EXPORT: u8 = 4;

/// [`ModuleInfo::class`]: neither of the others.
pub const CLASS_MISC: u8 = 1;
/// [`ModuleInfo::class`]: layers of `bus_space`.
pub const CLASS_BUS: u8 = 2;
/// [`ModuleInfo::class`]: drivers.
pub const CLASS_DRIVER: u8 = 3;

/// The number of a module command; [`ModuleInfo::commands`] has bit *n* set where command *n* is implemented.
pub const COMMAND_QUERY: u32 = 1;
/// See [`COMMAND_QUERY`]: allocate, stay in pass-through. Mandatory.
pub const COMMAND_INIT: u32 = 2;
/// See [`COMMAND_QUERY`]: leave pass-through.
pub const COMMAND_START: u32 = 3;
/// See [`COMMAND_QUERY`]: pass through, flush, wake sleepers.
pub const COMMAND_CATCH: u32 = 4;
/// See [`COMMAND_QUERY`]: resume as before CATCH.
pub const COMMAND_UNCATCH: u32 = 5;
/// See [`COMMAND_QUERY`]: release everything. Mandatory.
pub const COMMAND_FINI: u32 = 6;
/// See [`COMMAND_QUERY`]: give the counters.
pub const COMMAND_STAT: u32 = 7;
/// See [`COMMAND_QUERY`]: what the module itself defines.
pub const COMMAND_CONTROL: u32 = 8;

/// Every command that this version knows, as bits of [`ModuleInfo::commands`].
pub const COMMANDS_ALL: u32 = command_bit(COMMAND_QUERY)
    | COMMANDS_MANDATORY
    | command_bit(COMMAND_START)
    | command_bit(COMMAND_CATCH)
    | command_bit(COMMAND_UNCATCH)
    | command_bit(COMMAND_STAT)
    | command_bit(COMMAND_CONTROL);

/// The commands that every module implements.
pub const COMMANDS_MANDATORY: u32 = command_bit(COMMAND_INIT) | command_bit(COMMAND_FINI);

/// The bit of a command in [`ModuleInfo::commands`].
#[must_use]
pub const fn command_bit(command: u32) -> u32 {
    1 << command
}

/// Section of the [`AliasRecord`]s.
pub const ALIAS_SECTION: &str = ".modlink.alias";
/// Section of the [`ImportRecord`]s.
pub const IMPORT_SECTION: &str = ".modlink.import";
/// Section of the one [`ModuleInfo`].
pub const INFO_SECTION: &str = ".modlink.info";
/// Section of the one [`BaseInfo`] of a base image.
pub const BASE_SECTION: &str = ".modlink.base";
/// Section of the [`ServerRecord`]s of a base image.
pub const SERVER_SECTION: &str = ".modlink.server";

/// What a module (or base image) answers for under a symbol's name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AliasRecord<P = u64> {
    /// One of the `ALIAS_*` kinds.
    pub kind: u8,
    /// Bits `ALIAS_MAY_BLOCK`; others zero.
    pub flags: u8,
    /// Zero.
    pub reserved: u16,
    /// Zero: the place in the stack follows load order.
    pub position: u32,
    /// [`fnv1a`] of the name.
    pub name_hash: u64,
    /// What identifies the signature of the function.
    pub fingerprint: u64,
    /// What a call returns that faulted inside this implementation.
    pub fault_value: u64,
    /// The function.
    pub implementation: P,
    /// The symbol's name, see [`padded`].
    pub name: [u8; SYMBOL_NAME_SIZE],
}

/// A symbol that a module calls (or takes the address of) and does not define.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ImportRecord {
    /// [`fnv1a`] of the name.
    pub name_hash: u64,
    /// What identifies the signature that the module calls with.
    pub fingerprint: u64,
    /// The symbol's name, see [`padded`].
    pub name: [u8; SYMBOL_NAME_SIZE],
}

/// What a module is: exactly one in each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ModuleInfo<P = u64> {
    /// [`MODULE_MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub format: u16,
    /// [`API_VERSION`].
    pub api: u16,
    /// One of the `CLASS_*` numbers.
    pub class: u8,
    /// Bits `MODULE_FIXUP_POLICY`; others zero.
    pub flags: u8,
    /// How many shared 4 KiB pages the module wants.
    pub shared_pages: u16,
    /// The module's own version.
    pub version: u32,
    /// Which commands the entry implements, see [`COMMAND_QUERY`].
    pub commands: u32,
    /// `extern "C" fn(command: u32, args: *mut CommandArgs) -> i32`.
    pub entry: P,
    /// Zero.
    pub reserved: u64,
    /// Identifies this build, for logs.
    pub build_id: u64,
    /// The module's name, see [`padded`].
    pub name: [u8; MODULE_NAME_SIZE],
    /// Zero.
    pub reserved_tail: [u8; 16],
}

/// What a base image is: exactly one in each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BaseInfo<P = u64> {
    /// [`BASE_MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub format: u16,
    /// [`API_VERSION`].
    pub api: u16,
    /// Zero.
    pub flags: u32,
    /// The base image's own version.
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// Identifies this build, for logs.
    pub build_id: u64,
    /// Where a worker thread starts: `extern "C" fn(*const …) -> !`.
    pub worker_entry: P,
    /// First [`FixupRecord`].
    pub fixup_begin: P,
    /// One past the last [`FixupRecord`].
    pub fixup_end: P,
    /// The base image's name, see [`padded`].
    pub name: [u8; MODULE_NAME_SIZE],
    /// Zero.
    pub reserved_tail: [u8; 8],
}

/// Flag of a server: it is given a page of memory that its device reads and writes by itself.
pub const SERVER_MEMORY: u32 = 1;

/// A driver server of the base image: a thread that the linker starts.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ServerRecord<P = u64> {
    /// The server's name, see [`padded`].
    pub name: [u8; SERVER_NAME_SIZE],
    /// `extern "C" fn(arg: *const ServerStart) -> !`.
    pub entry: P,
    /// Physical address of its device, page-aligned; 0 where it has none.
    pub device_paddr: u64,
    /// Size of the device's region in bytes, a multiple of the page; 0 where it has none.
    pub device_size: u64,
    /// Interrupt number (INTID) of its device; 0 where it has none.
    pub irq: u32,
    /// [`SERVER_MEMORY`], or zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u8; 16],
}

/// Where to go on when the access at an address faults.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixupRecord<P = u64> {
    /// Address of the load or store.
    pub pc: P,
    /// Where the thread resumes.
    pub fixup: P,
}

/// FNV-1a, 64 bits: the hash of names.
#[must_use]
pub const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// A name in its field: the bytes, then zeros, at least one.
///
/// # Panics
/// When the name is empty, does not fit or holds a zero byte; in a `static` that is an error of the build.
#[must_use]
pub const fn padded<const SIZE: usize>(name: &str) -> [u8; SIZE] {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty(), "a name has at least one byte");
    assert!(bytes.len() < SIZE, "the name does not fit its field");
    let mut field = [0; SIZE];
    let mut index = 0;
    while index < bytes.len() {
        assert!(bytes[index] != 0, "a name holds no zero byte");
        field[index] = bytes[index];
        index += 1;
    }
    field
}

/// The name in a field as [`padded`] writes it: 1 to `SIZE - 1` bytes of printable ASCII without space, then zeros
/// only. `None` for anything else.
#[must_use]
pub fn unpadded(field: &[u8]) -> Option<&str> {
    let size = field.iter().position(|&byte| byte == 0)?;
    let (name, tail) = field.split_at(size);
    let sound =
        !name.is_empty() && name.iter().all(u8::is_ascii_graphic) && tail.iter().all(|&byte| byte == 0);
    if sound { core::str::from_utf8(name).ok() } else { None }
}

/// Size of an [`AliasRecord`] in the file.
pub const ALIAS_SIZE: usize = size_of::<AliasRecord>();
/// Size of an [`ImportRecord`] in the file.
pub const IMPORT_SIZE: usize = size_of::<ImportRecord>();
/// Size of a [`ModuleInfo`] in the file.
pub const INFO_SIZE: usize = size_of::<ModuleInfo>();
/// Size of a [`BaseInfo`] in the file.
pub const BASE_SIZE: usize = size_of::<BaseInfo>();
/// Size of a [`ServerRecord`] in the file.
pub const SERVER_SIZE: usize = size_of::<ServerRecord>();
/// Size of a [`FixupRecord`] in the file.
pub const FIXUP_SIZE: usize = size_of::<FixupRecord>();

/// The layout is a contract with modules that were built elsewhere.
macro_rules! assert_layout {
    ($record:ident, $size:expr, $($field:ident: $offset:expr),+ $(,)?) => {
        const _: () = {
            assert!(size_of::<$record>() == $size && align_of::<$record>() == 8);
            $(assert!(offset_of!($record, $field) == $offset);)+
        };
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            assert!(size_of::<$record<*const ()>>() == $size && align_of::<$record<*const ()>>() == 8);
            $(assert!(offset_of!($record<*const ()>, $field) == $offset);)+
        };
    };
}

assert_layout!(AliasRecord, 88, kind: 0, flags: 1, reserved: 2, position: 4, name_hash: 8, fingerprint: 16,
    fault_value: 24, implementation: 32, name: 40);
assert_layout!(ModuleInfo, 96, magic: 0, format: 8, api: 10, class: 12, flags: 13, shared_pages: 14, version: 16,
    commands: 20, entry: 24, reserved: 32, build_id: 40, name: 48, reserved_tail: 80);
assert_layout!(BaseInfo, 96, magic: 0, format: 8, api: 10, flags: 12, version: 16, reserved: 20, build_id: 24,
    worker_entry: 32, fixup_begin: 40, fixup_end: 48, name: 56, reserved_tail: 88);
assert_layout!(ServerRecord, 64, name: 0, entry: 16, device_paddr: 24, device_size: 32, irq: 40, flags: 44,
    reserved: 48);
assert_layout!(FixupRecord, 16, pc: 0, fixup: 8);
const _: () = {
    assert!(size_of::<ImportRecord>() == 64 && align_of::<ImportRecord>() == 8);
    assert!(offset_of!(ImportRecord, name_hash) == 0 && offset_of!(ImportRecord, fingerprint) == 8);
    assert!(offset_of!(ImportRecord, name) == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        // Vectors of the FNV reference code.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_go_in_and_come_out() {
        let field: [u8; SYMBOL_NAME_SIZE] = padded("bus_space_read_4");
        assert_eq!(unpadded(&field), Some("bus_space_read_4"));
        let longest: [u8; 8] = padded("1234567");
        assert_eq!(unpadded(&longest), Some("1234567"));
    }

    #[test]
    fn a_field_that_padded_cannot_make_has_no_name() {
        assert_eq!(unpadded(b"12345678"), None, "no zero at the end");
        assert_eq!(unpadded(b"\0\0\0\0"), None, "empty");
        assert_eq!(unpadded(b"a\0b\0"), None, "bytes behind the name");
        assert_eq!(unpadded(b"a b\0"), None, "space");
        assert_eq!(unpadded(b"\xc3\xa4\0"), None, "not ASCII");
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_name_that_does_not_fit_stops_the_build() {
        let _: [u8; 4] = padded("four");
    }
}
