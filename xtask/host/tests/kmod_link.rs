//! Goal: the linker's core makes the same bytes as the linkers that everybody uses.
//!
//! Method: modules with every relocation type, and seeded random ones, are linked by us and by GNU ld and LLD at the
//! same addresses; every section must be the same byte for byte. GNU ld for AArch64 comes with Debian's package
//! `binutils-aarch64-linux-gnu` (`gcc-aarch64-linux-gnu`, which builds the C modules, needs it), LLD with `lld-22`.
//! Where a linker is missing the test says so and compares with the others.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use kmod::{Object, SectionKind};
use link_tests::module::{Module, Op, RET};
use object::{Object as _, ObjectSection as _};
use strata_host::kmod_link::{LinkError, Linked, link};

const BASE: u64 = 0x1300_0000;
/// What the modules need from outside, within reach of a branch.
const DEFINED: [(&str, u64); 6] = [
    ("demo_note", 0x1000_0100),
    ("bus_space_write_4", 0x1000_0204),
    ("bus_space_read_4", 0x1000_0300),
    ("bus_space_barrier", 0x1600_0408),
    ("kernel_printf", 0x1700_000c),
    ("voidop", 0x1000_0500),
];

fn defined() -> Vec<(String, u64)> {
    DEFINED.iter().map(|(name, address)| ((*name).to_string(), *address)).collect()
}

/// The linkers that are here.
fn linkers() -> Vec<&'static str> {
    let here = |program: &&str| {
        Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success())
    };
    let (here, missing): (Vec<_>, Vec<_>) =
        ["aarch64-linux-gnu-ld", "ld.lld-22", "ld.lld"].into_iter().partition(here);
    println!("compared with {here:?}; not installed: {missing:?}");
    here
}

/// A linker script that puts each section of each file where we have put it.
fn script(linked: &Linked, names: &[String]) -> String {
    let mut lines = Vec::new();
    for (number, (file, name)) in linked.files.iter().zip(names).enumerate() {
        for kind in SectionKind::ALL.into_iter().filter(|kind| *kind != SectionKind::EhFrame) {
            let (section, at) = (kind.name(), file.layout.section(kind).0);
            lines.push(format!("  {section}.{number} {at:#x} : {{ \"{name}\"({section}) }}"));
        }
    }
    format!(
        "SECTIONS {{\n{}\n  /DISCARD/ : {{ *(.modlink.*) *(.eh_frame) *(.comment) }}\n}}\n",
        lines.join("\n")
    )
}

/// Links with another linker and compares every section that has bytes in memory.
fn compare(folder: &Path, files: &[(String, Vec<u8>)], linker: &str, ours: &Linked) {
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("script.ld"), script(ours, &names)).unwrap();
    let mut command = Command::new(linker);
    command.current_dir(folder).args(["-T", "script.ld", "-e", "0", "--no-relax", "-o", "out"]).args(&names);
    for (name, address) in DEFINED {
        command.arg(format!("--defsym={name}={address:#x}"));
        command.arg(format!("--defsym=super_{name}={address:#x}"));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{linker}: {}", String::from_utf8_lossy(&output.stderr));
    let theirs = std::fs::read(folder.join("out")).unwrap();
    let theirs = object::File::parse(&*theirs).unwrap();
    let mut compared = 0;
    for (number, placed) in ours.files.iter().enumerate() {
        let file = Object::open(&files[number].1).unwrap();
        for section in file.sections().filter(|section| section.kind.is_mapped() && !section.bytes.is_empty())
        {
            let name = format!("{}.{number}", section.kind.name());
            let other = theirs.section_by_name(&name).unwrap();
            let at = placed.layout.section(section.kind).0;
            assert_eq!(other.address(), at, "{linker}: {name}");
            let first = usize::try_from(at - BASE).unwrap();
            let mine = &ours.bytes[first..first + section.bytes.len()];
            let differs = mine.iter().zip(other.data().unwrap()).position(|(a, b)| a != b);
            assert_eq!(differs, None, "{linker}: {name} of {}", placed.name);
            compared += section.bytes.len();
        }
    }
    assert!(compared > 0);
}

fn compare_all(name: &str, modules: &[Module]) {
    let folder = folder(name);
    let files: Vec<(String, Vec<u8>)> =
        modules.iter().enumerate().map(|(number, module)| (format!("m{number}.o"), module.write())).collect();
    let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), &**bytes)).collect();
    let ours = link(&borrowed, BASE, &defined()).unwrap();
    for linker in linkers() {
        compare(&folder, &files, linker, &ours);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("strata-kmod-link-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn every_relocation_type_is_as_other_linkers_make_it() {
    compare_all("sink", &[Module::kitchen_sink()]);
}

#[test]
fn random_modules_are_as_other_linkers_make_them() {
    let mut random = strata_fuzz::Random(7);
    for round in 0..12 {
        let count = 1 + random.below(4);
        let modules: Vec<Module> = (0..count).map(|_| layerless(&mut random)).collect();
        compare_all(&format!("random{round}"), &modules);
    }
}

/// A random module that refines nothing: `super_` means another function in each file, which no other linker knows.
fn layerless(random: &mut strata_fuzz::Random) -> Module {
    let mut module = strata_fuzz::relocator::module(random);
    module.aliases.clear();
    let is_super = |name: &String| name.starts_with("super_");
    module.pointers.retain(|name| !is_super(name));
    for function in &mut module.functions {
        for op in &mut function.body {
            if let Op::Call(name) | Op::TailCall(name) | Op::Address(name) = op
                && is_super(name)
            {
                *op = Op::Word(RET);
            }
        }
    }
    module.functions.retain(|function| !function.name.ends_with("bus_space_read_4"));
    module
}

#[test]
fn a_file_calls_what_another_introduces_and_a_layer_what_is_below() {
    let introducer = Module::new("introducer").weak("fresh").write();
    let call = Op::Call("fresh".into());
    let user = Module::new("user").import("fresh").function("uses", &[call, Op::Word(RET)]).write();
    let layer = Module::new("layer").refine("fresh").write();
    let files = [("a".to_string(), &*introducer), ("b".to_string(), &*user), ("c".to_string(), &*layer)];
    let linked = link(&files, BASE, &[]).unwrap();
    let address = |file: usize| {
        let alias = Object::open(files[file].1).unwrap().alias(0).unwrap();
        linked.files[file].layout.section(SectionKind::Text).plus(alias.implementation).0
    };
    let branches = |file: usize| -> Vec<u64> {
        let object = Object::open(files[file].1).unwrap();
        let text = linked.files[file].layout.section(SectionKind::Text).0;
        let sites = object.relocations(SectionKind::Text).map(|site| text + site.unwrap().offset);
        let target = |at: u64| {
            let first = usize::try_from(at - BASE).unwrap();
            let word = u32::from_le_bytes(linked.bytes[first..first + 4].try_into().unwrap());
            aarch64_reloc::Branch::decode(word).unwrap().target(at)
        };
        sites.map(target).collect()
    };
    assert_eq!(branches(1), [address(2)], "the user calls the layer");
    assert_eq!(branches(2), [address(0)], "the layer calls the default");
    let alone = link(&files[1..2], BASE, &[]).err();
    assert_eq!(alone, Some(LinkError::Undefined("b".into(), "fresh".into())));
    let twice = link(&[files[0].clone(), files[0].clone()], BASE, &[]).err();
    assert_eq!(twice, Some(LinkError::Defined("a".into(), "fresh".into())));
}
