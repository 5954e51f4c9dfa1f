//! Fingerprints: a number for a function's type that both sides of a call compute alone.
//!
//! The linker server compares fingerprints and never types. A fingerprint depends neither on the compiler's version nor
//! on the path of a type: it is made of the names that the C side knows. `TypeId` and `type_name` would differ between
//! compilers.

use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags};

pub use kmod::records::fnv1a as fnv;

/// `hash` with the eight bytes of `id` mixed in.
#[must_use]
pub const fn mix(hash: u64, id: u64) -> u64 {
    let (a, b) = (hash.to_le_bytes(), id.to_le_bytes());
    fnv(&[a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

/// A type that may cross a call between a module and what it was not linked with.
pub trait Fingerprint {
    /// The number that stands for this type.
    const ID: u64;
}

macro_rules! named {
    ($($type:ty = $name:literal),+ $(,)?) => {
        $(impl Fingerprint for $type { const ID: u64 = fnv($name.as_bytes()); })+
    };
}

named! {
    () = "void", bool = "bool",
    u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64", usize = "usize",
    i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64", isize = "isize",
    f32 = "f32", f64 = "f64", core::ffi::c_void = "opaque",
    BusTag = "bus_space_tag_t", BusHandle = "bus_space_handle_t",
    MapFlags = "bus_space_map_flags_t", BarrierFlags = "bus_space_barrier_flags_t",
}

impl<T: Fingerprint> Fingerprint for *const T {
    const ID: u64 = mix(fnv(b"*const"), T::ID);
}

impl<T: Fingerprint> Fingerprint for *mut T {
    const ID: u64 = mix(fnv(b"*mut"), T::ID);
}

impl<T: Fingerprint, const N: usize> Fingerprint for [T; N] {
    const ID: u64 = mix(mix(fnv(b"array"), T::ID), N as u64);
}

macro_rules! functions {
    ($($abi:literal: ($($arg:ident)*);)+) => {
        $(impl<R: Fingerprint, $($arg: Fingerprint),*> Fingerprint for unsafe extern $abi fn($($arg),*) -> R {
            const ID: u64 = {
                let hash = mix(fnv(concat!("fn ", $abi).as_bytes()), R::ID);
                $(let hash = mix(hash, $arg::ID);)*
                hash
            };
        })+
    };
}

functions! {
    "C": (); "C": (A); "C": (A B); "C": (A B C); "C": (A B C D); "C": (A B C D E); "C": (A B C D E F);
    "C": (A B C D E F G); "C": (A B C D E F G H);
    "Rust": (); "Rust": (A);
}

/// Declares a `#[repr(C)]` struct and gives it a fingerprint of its name, size, alignment and fields.
#[macro_export]
macro_rules! shared_struct {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[$field_doc:meta])* $field_vis:vis $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        $vis struct $name { $($(#[$field_doc])* $field_vis $field: $type),+ }

        impl $crate::fingerprint::Fingerprint for $name {
            const ID: u64 = {
                use $crate::fingerprint::{Fingerprint, fnv, mix};
                let hash = fnv(stringify!($name).as_bytes());
                let hash = mix(hash, core::mem::size_of::<$name>() as u64);
                let hash = mix(hash, core::mem::align_of::<$name>() as u64);
                $(let hash = mix(mix(hash, core::mem::offset_of!($name, $field) as u64), <$type as Fingerprint>::ID);)+
                hash
            };
        }
    };
}

/// Two pairs of types that a careless scheme would confuse have different fingerprints.
#[cfg(test)]
mod tests {
    use super::Fingerprint;

    shared_struct! {
        /// A pair.
        struct Pair { a: u32, b: u64 }
    }

    type F1 = unsafe extern "C" fn(u32, u64) -> u32;
    type F2 = unsafe extern "C" fn(u64, u32) -> u32;
    type F3 = unsafe extern "C" fn(u32, u64);

    #[test]
    fn types_that_differ_have_fingerprints_that_differ() {
        let ids = [
            F1::ID,
            F2::ID,
            F3::ID,
            <*const u8>::ID,
            <*mut u8>::ID,
            <[u8; 2]>::ID,
            <[u8; 3]>::ID,
            Pair::ID,
            <unsafe extern "C" fn(u64) -> u32>::ID,
            <unsafe fn(u64) -> u32>::ID,
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b));
        }
    }
}
