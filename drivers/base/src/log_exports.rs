//! The defmt transport, offered to modules. Its functions have Rust's ABI; the fingerprints carry the compiler's release.

use kmod_api::kmod::records::AliasRecord;
use kmod_api::log::{TRANSPORT, fingerprint};
use kmod_api::record::{AliasKind, alias};

/// Emits the record of one function. Its type does not matter here: only its address is taken.
macro_rules! export_log {
    ($($name:ident = $index:literal),+ $(,)?) => {
        unsafe extern "Rust" {
            $(safe fn $name();)+
        }
        $(const _: () = {
            #[used]
            #[unsafe(link_section = ".modlink.alias")]
            static RECORD: AliasRecord<fn()> =
                alias(AliasKind::Export, 0, TRANSPORT[$index], fingerprint(TRANSPORT[$index]), 0, $name as fn());
        };)+
    };
}

export_log! { _defmt_acquire = 0, _defmt_release = 1, _defmt_write = 2, _defmt_timestamp = 3 }
