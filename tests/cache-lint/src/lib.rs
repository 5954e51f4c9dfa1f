//! A QEMU plugin that flags instructions executed without the cache maintenance that hardware needs.
//!
//! QEMU models no caches: a store to code is visible to the next fetch there, whatever the program forgot. This plugin
//! watches every store, every maintenance instruction and every fetch, and says where a real core could have executed
//! something old. It demands, for each word that is stored and later executed, in this order (Arm ARM DDI 0487, B2.2.5
//! and D7.5.9):
//!
//! ```text
//!  store ─ DC CVAU ─ DSB ─ IC IVAU (or IALLU, IALLUIS) ─ DSB ─ context synchronisation of the executing core ─ fetch
//! ```
//!
//! `lint` is the rule, pure and tested on the host; `instruction` recognises what matters; the crate
//! `qemu-plugin` declares QEMU's plugin interface; `plugin` connects them; `ram` reaches guest memory.
//!
//! Arguments: `report=FILE` (required; one line for each finding), `ram=BYTES` and `base=ADDRESS` of guest memory.

mod instruction;
mod lint;
// The symbols of QEMU exist in QEMU only.
#[cfg(not(test))]
mod plugin;
#[cfg(not(test))]
mod ram;
