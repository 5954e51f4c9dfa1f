//! Goal: the modules and base image that the build makes are accepted, judged and loaded like those made here.
//!
//! Method: `STRATA_MODULES` names a folder; every `.kmod` in it, and every `.elf` or `base` as a base image. Without
//! the variable there is nothing to test and the test says so.
#![allow(clippy::unwrap_used)]

use kmod::{BaseObject, Object, SectionKind};
use link_tests::judge::judge;
use link_tests::place::load;
use link_tests::world::{Refusal, World};
use linker_core::PlanError;
use std::path::PathBuf;

/// The files of the folder whose names the predicate likes.
fn files(wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("STRATA_MODULES") else {
        println!("STRATA_MODULES is not set: no built modules to judge");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
        .collect();
    files.sort();
    files
}

#[test]
fn built_modules_are_read_judged_and_loaded() {
    for path in files(|name| name.ends_with(".kmod")) {
        let file = std::fs::read(&path).unwrap();
        let module = Object::parse(&file).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let rulings = judge(&file, &module).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(load(&module, &rulings), Ok(true), "{}", path.display());
        let size = |kind| module.section(kind).map_or(0, |section| section.size);
        println!(
            "{}: {} aliases, {} imports, {} relocations, text {} rodata {} data {} bss {} unwind tables {}",
            module.info().name,
            module.alias_count(),
            module.import_count(),
            rulings.len(),
            size(SectionKind::Text),
            size(SectionKind::Rodata),
            size(SectionKind::Data),
            size(SectionKind::Bss),
            size(SectionKind::EhFrame),
        );
    }
}

#[test]
fn built_base_images_are_read() {
    for path in files(|name| name.ends_with(".elf") || name == "base") {
        let file = std::fs::read(&path).unwrap();
        let base = BaseObject::parse(&file).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let (calls, taken): (Vec<_>, Vec<_>) = base.sites().partition(|site| site.kind.is_call());
        println!(
            "{}: {} aliases, {} call sites, {} address-taken, {} servers, {} fix-ups",
            base.base().name,
            base.alias_count(),
            calls.len(),
            taken.len(),
            base.servers().count(),
            base.fixups().count(),
        );
    }
}

#[test]
fn built_modules_link_over_the_built_base() {
    let modules = files(|name| name.ends_with(".kmod"));
    for base in files(|name| name.ends_with(".elf") || name == "base") {
        let mut world =
            World::new(&std::fs::read(&base).unwrap()).unwrap_or_else(|error| panic!("{error:?}"));
        world.check();
        let empty = world.snapshot();
        // One after the other, each in and out.
        for path in &modules {
            let Ok(id) = world.load(&std::fs::read(path).unwrap()) else { continue };
            world.check();
            world.unload(id).unwrap();
            assert_eq!(world.snapshot(), empty, "{} leaves no trace", path.display());
        }
        // All at once, and out again in the order in which they came: whoever is needed waits.
        let mut loaded = Vec::new();
        for path in modules.iter().chain(&modules) {
            match world.load(&std::fs::read(path).unwrap()) {
                Ok(id) => loaded.push(id),
                Err(Refusal::Plan(PlanError::ModuleExists(_))) => {}
                Err(error) => println!("{}: {error:?}", path.display()),
            }
            world.check();
        }
        println!("{} modules over {}", loaded.len(), base.display());
        while !loaded.is_empty() {
            let before = loaded.len();
            loaded.retain(|id| world.unload(*id).is_err());
            world.check();
            assert!(loaded.len() < before, "somebody can always leave");
        }
        assert_eq!(world.snapshot(), empty);
    }
}
