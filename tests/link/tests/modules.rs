//! Goal: a module image is read as it was meant, and an independent parser agrees.
//!
//! Method: one image with everything in it, told as a story; then every image of a small world, judged.
#![allow(clippy::unwrap_used)]

use kmod::records::{ALIAS_REFINE, COMMAND_CATCH, COMMAND_QUERY};
use kmod::{AliasKind, ModuleClass, Object, ParseError, SectionKind, Target};
use link_tests::judge::judge;
use link_tests::module::{FINGERPRINT, Module, Op, RET};
use link_tests::place::load;

/// A module over `bus_space_read_4` as a person would describe it.
#[test]
fn seed_story() {
    let mut debug = Module::new("bus_space_debug").refine("bus_space_read_4").import("voidop");
    debug.class = 2;
    debug.shared_pages = 3;
    let file = debug.write();
    let module = Object::parse(&file).unwrap();

    let info = module.info();
    assert_eq!((info.name, info.class, info.shared_pages), ("bus_space_debug", ModuleClass::Bus, 3));
    assert!(info.implements(COMMAND_QUERY) && info.implements(COMMAND_CATCH) && !info.implements(31));
    assert!(!info.has_fixup_policy());

    let alias = module.alias(0).unwrap();
    assert_eq!((alias.name, alias.kind, alias.may_block), ("bus_space_read_4", AliasKind::Refine, false));
    assert_eq!((alias.fingerprint, alias.fault_value), (FINGERPRINT, u64::MAX));
    assert_eq!(module.function_at(alias.implementation), Some(("bus_space_debug_bus_space_read_4", 0)));
    assert_eq!(module.import(0).unwrap().name, "voidop");

    // Its one call goes to whatever lies below it.
    let calls: Vec<_> = module.relocations(SectionKind::Text).map(Result::unwrap).collect();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].kind.is_call());
    assert_eq!((calls[0].offset, calls[0].target), (alias.implementation + 4, Target::Super(0)));
}

#[test]
fn everything_at_once_is_read_judged_and_loaded() {
    let file = Module::kitchen_sink().write();
    let module = Object::parse(&file).unwrap();
    let kinds: Vec<_> = module.aliases().map(|alias| (alias.name, alias.kind, alias.may_block)).collect();
    let expected = [
        ("bus_space_read_4", AliasKind::Refine, false),
        ("voidop", AliasKind::Strong, false),
        ("sink_new", AliasKind::Weak, true),
    ];
    assert_eq!(kinds, expected);
    let used: std::collections::BTreeSet<_> = SectionKind::ALL
        .into_iter()
        .flat_map(|kind| module.relocations(kind).map(Result::unwrap))
        .map(|relocation| relocation.kind.elf())
        .collect();
    assert_eq!(used.len(), 15, "every kind but ABS32 and PREL64: {used:?}");
    let rulings = judge(&file, &module).unwrap();
    assert_eq!(load(&module, &rulings), Ok(true));
}

/// A small world: every set of alias kinds for two symbols, with and without imports, super calls and tail calls.
#[test]
fn every_small_module_is_judged() {
    let mut loaded = 0;
    for kinds in 0..25 {
        for shape in 0..8 {
            let mut module = Module::new("small");
            for (symbol, kind) in [("first", kinds % 5), ("second", kinds / 5)] {
                let below = format!("super_{symbol}");
                let body = match shape % 2 {
                    0 if kind == ALIAS_REFINE => vec![Op::Call(below), Op::Word(RET)],
                    1 if kind == ALIAS_REFINE => vec![Op::TailCall(below)],
                    _ => vec![Op::Word(RET)],
                };
                if kind != 0 {
                    module = module.alias(kind, symbol, &body);
                }
            }
            if shape & 2 != 0 {
                module = module.import("third").function("user", &[Op::Call("third".into())]);
            }
            if shape & 4 != 0 {
                module.pointers = vec!["entry".into()];
                module.bss_size = 8;
            }
            let file = module.write();
            let object = Object::parse(&file).unwrap();
            let rulings = judge(&file, &object).unwrap();
            assert_eq!(load(&object, &rulings), Ok(true));
            loaded += 1;
        }
    }
    assert_eq!(loaded, 200);
}

#[test]
fn nothing_and_noise_are_no_modules() {
    assert_eq!(Object::parse(&[]).err(), Some(ParseError::Elf(kmod::ElfError::Truncated)));
    assert_eq!(Object::parse(&[0; 64]).err(), Some(ParseError::Elf(kmod::ElfError::NotElf)));
    let huge = vec![0; kmod::FILE_SIZE_MAX + 1];
    assert_eq!(Object::parse(&huge).err(), Some(ParseError::Elf(kmod::ElfError::TooLarge)));
}
