//! defmt in modules: the transport is the base image's.
//!
//! The four functions have Rust's ABI, so module and base need the same compiler; their fingerprints carry its release.
//! The loader gives a module's string table an index range of its own and does not load the section.

use crate::fingerprint::{fnv, mix};

/// The fingerprint of the transport function `name`.
#[must_use]
pub const fn fingerprint(name: &str) -> u64 {
    mix(fnv(name.as_bytes()), fnv(concat!("defmt 1, rustc ", env!("CARGO_PKG_RUST_VERSION")).as_bytes()))
}

/// Names of the transport functions.
pub const TRANSPORT: [&str; 4] = ["_defmt_acquire", "_defmt_release", "_defmt_write", "_defmt_timestamp"];

/// Imports the transport functions: needed once in a module that logs.
#[macro_export]
macro_rules! import_log {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".modlink.import")]
            static RECORDS: [$crate::kmod::records::ImportRecord; 4] = [
                $crate::record::import(
                    $crate::log::TRANSPORT[0],
                    $crate::log::fingerprint($crate::log::TRANSPORT[0]),
                ),
                $crate::record::import(
                    $crate::log::TRANSPORT[1],
                    $crate::log::fingerprint($crate::log::TRANSPORT[1]),
                ),
                $crate::record::import(
                    $crate::log::TRANSPORT[2],
                    $crate::log::fingerprint($crate::log::TRANSPORT[2]),
                ),
                $crate::record::import(
                    $crate::log::TRANSPORT[3],
                    $crate::log::fingerprint($crate::log::TRANSPORT[3]),
                ),
            ];
        };
    };
}
