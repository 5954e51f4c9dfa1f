//! The C header's prototypes, hashes and fingerprints are those of the Rust declarations.
//!
//! With `KMOD_HEADER_UPDATE=1` in the environment the test writes the file instead of comparing it.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use kmod_api::fingerprint::fnv;
use kmod_api::symbols::{LISTS, Symbol};

/// The C type that a Rust type of an interface stands for.
fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(target) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(target));
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("const {} *", c_type(target));
    }
    match rust {
        "" => "void",
        "u8" => "uint8_t",
        "u16" => "uint16_t",
        "u32" | "MapFlags" | "BarrierFlags" => "uint32_t",
        "u64" => "uint64_t",
        "i32" => "int32_t",
        "BusTag" => "bus_space_tag_t",
        "BusHandle" => "bus_space_handle_t",
        other => panic!("no C type for {other}"),
    }
    .into()
}

fn declare(out: &mut String, symbol: &Symbol) {
    let arguments: Vec<_> = symbol
        .arguments
        .iter()
        .map(|(name, rust)| {
            let c = c_type(rust);
            if c.ends_with('*') { format!("{c}{name}") } else { format!("{c} {name}") }
        })
        .collect();
    let name = symbol.name;
    writeln!(out, "extern {} {name}({});", c_type(symbol.result), arguments.join(", ")).unwrap();
    writeln!(out, "#define KMOD_HASH_{name} {:#018x}u", fnv(name.as_bytes())).unwrap();
    writeln!(out, "#define KMOD_FINGERPRINT_{name} {:#018x}u", symbol.fingerprint).unwrap();
}

fn header() -> String {
    let mut out = String::from(
        "/* Generated from drivers/kmod-api/src/symbols.rs; do not edit.\n * KMOD_HEADER_UPDATE=1 cargo test -p kmod-api \
         writes it anew. */\n#ifndef KMOD_SYMBOLS_H\n#define KMOD_SYMBOLS_H\n",
    );
    for (title, symbols) in LISTS {
        writeln!(out, "\n/* {title} */").unwrap();
        symbols.iter().for_each(|symbol| declare(&mut out, symbol));
    }
    out.push_str("\n#endif\n");
    out
}

#[test]
fn the_c_header_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/kmod_symbols.h");
    let wanted = header();
    if std::env::var_os("KMOD_HEADER_UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == wanted,
        "kmod_symbols.h is stale: KMOD_HEADER_UPDATE=1 cargo test -p kmod-api"
    );
}

/// A fingerprint is a contract with modules that were built elsewhere: it must not move by accident.
#[test]
fn fingerprints_stay_what_they_are() {
    let all: Vec<_> = LISTS.iter().flat_map(|(_, symbols)| symbols.iter()).collect();
    let of = |name: &str| all.iter().find(|symbol| symbol.name == name).unwrap().fingerprint;
    assert_ne!(of("bus_space_read_4"), of("bus_space_read_8"));
    assert_eq!((of("bus_space_read_4"), of("bus_space_write_multi_4")), (READ_4, WRITE_MULTI_4));
}

const READ_4: u64 = 0xcc9b_de08_8150_1c67;
const WRITE_MULTI_4: u64 = 0x2505_7079_e4a6_37eb;
