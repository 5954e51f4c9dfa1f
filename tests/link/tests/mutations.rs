//! Goal: no image, however damaged, is more than refused: each mutant is an error or a load whose oracles hold.
//!
//! Method: good images with every field truncated, flipped and enlarged, then with several places changed at once
//! (seeded). An accepted mutant is read again by an independent parser (O4) and loaded with every bit accounted for
//! (O1 to O3). A panic anywhere is a failure. The number of cases is printed; `STRATA_MODULES` adds the modules that
//! the build made, `STRATA_SEED` another seed, `STRATA_ROUNDS` more rounds.
#![allow(clippy::unwrap_used)]

use kmod::{BaseObject, Object, SectionKind};
use link_tests::base::BaseImage;
use link_tests::judge::judge;
use link_tests::module::{Module, Op, RET};
use link_tests::mutate::{Share, several, singles};
use link_tests::place::load;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files larger than this take part with seeded mutants only.
const SINGLES_SIZE_MAX: usize = 6 << 10;

/// Random mutants of an image of that size or less, where `STRATA_ROUNDS` does not say otherwise; a larger image gets
/// fewer, in proportion.
const ROUNDS: u64 = 100_000;

#[derive(Default)]
struct Tally {
    refused: AtomicU64,
    misfits: AtomicU64,
    loaded: AtomicU64,
}

impl Tally {
    fn total(&self) -> u64 {
        [&self.refused, &self.misfits, &self.loaded].map(|count| count.load(Ordering::Relaxed)).iter().sum()
    }

    fn try_module(&self, file: &[u8]) {
        let Ok(module) = Object::parse(file) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let fits = judge(file, &module).and_then(|rulings| load(&module, &rulings)).unwrap_or_else(|error| {
            let path = std::env::temp_dir().join("strata-mutant.kmod");
            std::fs::write(&path, file).unwrap();
            panic!("{error}; the mutant is {}", path.display());
        });
        let count = if fits { &self.loaded } else { &self.misfits };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything that an accepted base image hands out can be had, and keeps its promises.
    fn try_base(&self, file: &[u8]) {
        let Ok(base) = BaseObject::parse(file) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for site in base.sites() {
            let alias = base.alias(site.alias).unwrap();
            let word = base.bytes(site.at, 4).unwrap();
            let word = u32::from_le_bytes(word.try_into().unwrap());
            if site.kind.is_call() {
                let branch = aarch64_reloc::Branch::decode(word).unwrap();
                assert_eq!(branch.target(site.at), alias.implementation);
                assert!(base.is_text(site.at));
            }
        }
        assert!(base.aliases().all(|alias| base.is_text(alias.implementation)));
        assert!(base.servers().all(|server| base.is_text(server.entry)));
        assert!(base.fixups().all(|record| base.fixup(record.pc).is_some()));
        let mut free = 0;
        for segment in base.segments() {
            assert!(segment.address >= free && segment.bytes.len() as u64 <= segment.size);
            free = (segment.address + segment.size).next_multiple_of(4096);
        }
        self.loaded.fetch_add(1, Ordering::Relaxed);
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Runs through all mutants of the images on all cores.
fn run(what: &str, images: &[Vec<u8>], try_it: impl Fn(&Tally, &[u8]) + Sync) -> Tally {
    let tally = Tally::default();
    let seed = number("STRATA_SEED", 0x5eed);
    let rounds = number("STRATA_ROUNDS", ROUNDS);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for index in 0..count {
            let (tally, try_it) = (&tally, &try_it);
            scope.spawn(move || {
                for (image, place) in images.iter().zip(0u64..) {
                    if image.len() <= SINGLES_SIZE_MAX {
                        singles(image, Share { index, count }, |mutant| try_it(tally, mutant));
                    }
                    let scale = image.len().div_ceil(SINGLES_SIZE_MAX) as u64;
                    let share = rounds / count as u64 / scale;
                    let seed = seed ^ place << 32 ^ (index as u64) << 16;
                    several(image, seed, share, |mutant| try_it(tally, mutant));
                }
            });
        }
    });
    println!(
        "{what}: {} images, {} mutants (seed {seed:#x}) in {:.1} s: {} refused, {} with a relocation that does not \
         fit, {} loaded",
        images.len(),
        tally.total(),
        start.elapsed().as_secs_f64(),
        tally.refused.load(Ordering::Relaxed),
        tally.misfits.load(Ordering::Relaxed),
        tally.loaded.load(Ordering::Relaxed),
    );
    tally
}

/// A module of the size that people write: one layer, a call below, a constant.
fn small_module() -> Module {
    let body = [Op::Address(".rodata".into()), Op::Call("super_voidop".into()), Op::Word(RET)];
    let mut module = Module::new("small").alias(kmod::records::ALIAS_REFINE, "voidop", &body);
    module.rodata = vec![1, 2, 3, 4];
    module
}

/// Modules that the build made.
fn built_modules() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("STRATA_MODULES") else {
        return Vec::new();
    };
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "kmod")).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn damaged_modules_are_refused_or_sound() {
    let mut images = vec![Module::kitchen_sink().write(), small_module().write()];
    images.extend(built_modules());
    let tally = run("modules", &images, Tally::try_module);
    assert!(tally.total() > 1_000_000, "only {} mutants", tally.total());
    assert!(tally.loaded.into_inner() > 0, "padding and sizes for people may change");
}

#[test]
fn damaged_base_images_are_refused_or_sound() {
    let tally = run("base images", &[BaseImage::small().write()], Tally::try_base);
    assert!(tally.total() > 100_000, "only {} mutants", tally.total());
    assert!(tally.loaded.into_inner() > 0);
}

/// A refused or accepted image leaves the bytes it was read from as they were: the parser borrows them immutably, so
/// the compiler says so. What a load writes is its own copy, and only after every check.
#[test]
fn loading_works_on_copies() {
    let file = Module::kitchen_sink().write();
    let before = file.clone();
    let module = Object::parse(&file).unwrap();
    let rulings = judge(&file, &module).unwrap();
    assert_eq!(load(&module, &rulings), Ok(true));
    assert!(module.section(SectionKind::Text).is_some());
    assert_eq!(file, before);
}
