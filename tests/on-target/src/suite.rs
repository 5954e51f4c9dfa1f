//! Which images there are and which cases they hold, found without a boot.
//!
//! `./x test` builds the images and says in the environment where they are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use strata_host::cases::{self, Case, flag};
use strata_host::fitting::Fitting;
use strata_host::model::Model;
use strata_host::patience::patience;
use strata_host::serial::BAUD;

use crate::board::Bench;

/// The bootable image of the whole system, whose test agent runs cases.
pub const IMAGE: &str = "STRATA_IMAGE";
/// The ELF file of the test agent.
pub const AGENT_ELF: &str = "STRATA_AGENT_ELF";
/// The bootable image of the kernel with the kernel's cases as root task.
pub const KERNEL_IMAGE: &str = "STRATA_KERNEL_TESTS_IMAGE";
/// As [`KERNEL_IMAGE`], with a kernel that checks its invariants.
pub const KERNEL_CHECKED_IMAGE: &str = "STRATA_KERNEL_CHECKED_IMAGE";
/// The ELF file of the kernel's cases.
pub const KERNEL_ELF: &str = "STRATA_KERNEL_TESTS_ELF";
/// Folders with the files that log tables come from, separated by colons: `NAME` for images, `NAME.kmod` for modules.
pub const IMAGES_DIR: &str = "STRATA_IMAGES_DIR";
/// The cache lint's plugin; without it nothing watches for missing maintenance.
pub const CACHE_LINT: &str = "STRATA_CACHE_LINT";
/// The plugin that knows true call stacks, and the folder of stripped images; without them nothing holds the unwinder
/// against the truth.
pub const CALL_TRUTH: &str = "STRATA_CALL_TRUTH";
/// See [`CALL_TRUTH`].
pub const MODULES: &str = "STRATA_MODULES";
/// The seed of all runs; [`SEED_DEFAULT`] without it.
pub const SEED: &str = "STRATA_SEED";
/// Time limits are multiplied by this where nobody has given a number ([`PATIENCE`](strata_host::patience::PATIENCE)).
/// The limits that cases state are those of a board. QEMU with a plugin, on a host that has other work, takes longer.
pub const PATIENCE_USUAL: u16 = 10;

/// The seed of a run that nobody gave one.
pub const SEED_DEFAULT: u64 = 1;
/// The board, by name; QEMU's virt machine without it.
pub const BOARD: &str = "STRATA_BOARD";
/// Cores of the machine.
pub const CORES: &str = "STRATA_CORES";
/// The serial line of the board that the cases run on, and its speed; without it they run in QEMU.
pub const SERIAL: &str = "STRATA_SERIAL";
/// See [`SERIAL`].
pub const SPEED: &str = "STRATA_BAUD";
/// The version of the GIC, where the board has a choice.
pub const GIC: &str = "STRATA_GIC";

/// One case and what it boots.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `board::area::case`.
    pub name: String,
    /// The machine.
    pub model: Model,
    /// The case itself.
    pub case: Case,
    /// The image to boot.
    pub image: PathBuf,
    /// What must be connected to the board.
    pub fitting: Option<Fitting>,
    /// Where log tables are.
    pub tables: Vec<PathBuf>,
    /// The cache lint's plugin.
    pub lint: Option<PathBuf>,
    /// The plugin that knows true call stacks, and the images; for cases with a link domain.
    pub truth: Option<(PathBuf, PathBuf)>,
    /// The seed for this run.
    pub seed: u64,
    /// Factor of all time limits.
    pub patience: u32,
}

impl Entry {
    /// Whether the board has no place for what the case wants connected.
    #[must_use]
    pub fn does_not_fit(&self) -> bool {
        self.fitting.is_some_and(|fitting| !fitting.fits(self.model.board))
    }

    /// Whether the case is there to be flagged by the cache lint, so that it means nothing without it.
    #[must_use]
    pub fn is_for_lint(&self) -> bool {
        self.case.flags & flag::UNMAINTAINED != 0
    }
}

/// All cases that `./x test` runs.
pub fn entries() -> Result<Vec<Entry>> {
    let tables: Vec<PathBuf> = std::env::split_paths(&required(IMAGES_DIR)?).collect();
    let seed = number(SEED, SEED_DEFAULT)?;
    let patience = patience(PATIENCE_USUAL)?;
    let model = model()?;
    // The plugins know the virt machine only, and report when the machine ends its emulator itself.
    let lint = std::env::var_os(CACHE_LINT).map(PathBuf::from).filter(|_| model.gic.is_some());
    let checked = PathBuf::from(required(KERNEL_CHECKED_IMAGE)?);
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let truth = path(CALL_TRUTH).zip(path(MODULES)).filter(|_| model.gic.is_some());
    let mut entries = Vec::new();
    for (area, elf, image) in [("agent", AGENT_ELF, IMAGE), ("kernel", KERNEL_ELF, KERNEL_IMAGE)] {
        // Whoever is after the kernel alone builds nothing else.
        if area == "agent" && std::env::var_os(image).is_none() {
            continue;
        }
        let image = PathBuf::from(required(image)?);
        let elf = PathBuf::from(required(elf)?);
        let found = cases::read(Path::new(&elf))?;
        let runs = |case: &Case| {
            case.flags & (flag::BENCH | flag::SOAK) == 0 && (model.is_smp() || case.flags & flag::CORES == 0)
        };
        for case in found.into_iter().filter(runs) {
            entries.push(Entry {
                name: format!("{}::{area}::{}", model.name(), case.name),
                model,
                image: if case.flags & flag::CHECKED != 0 { checked.clone() } else { image.clone() },
                tables: tables.clone(),
                // With one host thread QEMU gives a plugin's callback the number of the core that translated the
                // instruction, not of the one that executes it: cores cannot be told apart.
                lint: lint.clone().filter(|_| case.flags & flag::SPINS == 0 && !model.is_smp()),
                truth: truth.clone().filter(|_| area == "agent" && case.flags & flag::SPINS == 0),
                fitting: Fitting::of(&case)?,
                case,
                seed,
                patience,
            });
        }
    }
    Ok(entries)
}

/// The board that the cases run on, if it is not to be QEMU.
pub fn bench() -> Result<Option<Bench>> {
    let Some(path) = std::env::var_os(SERIAL) else { return Ok(None) };
    let baud = u32::try_from(number(SPEED, BAUD.into())?).context("too fast")?;
    Bench::open(Path::new(&path), baud, &model()?).map(Some)
}

/// The image of the whole system and the machine that it is for, where there is one.
pub fn system() -> Result<Option<(PathBuf, Model)>> {
    let Some(image) = std::env::var_os(IMAGE) else { return Ok(None) };
    Ok(Some((PathBuf::from(image), model()?)))
}

fn model() -> Result<Model> {
    let board = std::env::var(BOARD).unwrap_or_else(|_| "qemu-virt".into());
    let gic = std::env::var(GIC)
        .ok()
        .map(|text| text.parse().with_context(|| format!("{GIC} is no number: {text}")));
    let cores = u32::try_from(number(CORES, 1)?).context("too many cores")?;
    Model::new(&board, gic.transpose()?, cores)
}

fn required(name: &str) -> Result<std::ffi::OsString> {
    std::env::var_os(name)
        .with_context(|| format!("{name} is not set: run `./x test`, which builds the images and sets it"))
}

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text}")),
        Err(_) => Ok(default),
    }
}
