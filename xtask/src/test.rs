//! `x test`: everything that decides whether a change may land, the quick checks first.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;
use strata_host::model::Model;
use strata_host::serial::{BAUD, Serial};

use crate::area::{AREAS, Area, KERNEL_CORE};
use crate::bench::check_size;
use crate::build::{self, Images, Variant};
use crate::cargo::{self, KERNEL_TARGET, USER_TARGET};
use crate::workspace::{Layer, Package, Role, Workspace};
use crate::{out_dir, progress, run, tidy};

/// The package whose test, of the same name, boots the target: it needs the images and runs last.
const ON_TARGET: &str = "on-target";

/// Cores of the profile for several.
const SMP_CORES: u32 = 4;

/// The plugin package.
const CACHE_LINT: &str = "cache-lint";

/// The plugin that knows true call stacks.
const CALL_TRUTH: &str = "call-truth";

/// The server that runs on-target cases, by its name in the boot archive.
pub(crate) const AGENT: &str = "test-agent";

/// Arguments of `x test`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TestArgs {
    /// Run only the tests whose names contain one of these, and none of the other checks.
    filters: Vec<String>,
    /// Only the tests that run on the host.
    #[arg(long)]
    host: bool,
    /// Only the tests that run on the target.
    #[arg(long, conflicts_with = "host")]
    target: bool,
    /// List the on-target cases.
    #[arg(long)]
    list: bool,
    /// All on-target cases on all boards, on one core and on several: without it there are a few more for the virt machine
    /// with a GICv3 or several cores.
    #[arg(long, conflicts_with_all = ["filters", "host", "list"])]
    all: bool,
    /// Run on-target cases on the board at this serial line, whose card has the chainloader, instead of in QEMU.
    #[arg(long, value_name = "DEV", conflicts_with_all = ["host", "all", "list"])]
    serial: Option<PathBuf>,
    /// Bits per second of that line.
    #[arg(long, default_value_t = BAUD, requires = "serial")]
    baud: u32,
}

/// The machine that everything runs on, by its name in tests.
const DEFAULT_MACHINE: &str = "virt";

/// The other machines: board and GIC.
const OTHER_MACHINES: &[(&str, Option<u32>)] = &[("qemu-virt", Some(3)), ("raspi3", None), ("raspi4", None)];

/// Cases that look at what differs between boards: interrupts, timers, bus errors, how the kernel is entered.
const BOARD_CASES: &[&str] = &["irq_", "fault_hole", "hole_with_xh", "::host::"];

/// `x test`.
pub(crate) fn test(workspace: &Workspace, args: &TestArgs) -> Result<ExitCode> {
    if let Some(line) = &args.serial {
        return on_board(workspace, line, args);
    }
    let (host, target) = (!args.target && !args.list, !args.host);
    if let Some(area) = Area::named(&args.filters) {
        return Ok(one_area(workspace, area, host, target));
    }
    let checks = args.filters.is_empty() && host && target;
    let mut results = Results::default();
    if checks {
        results.add("format", || cargo::run(cargo::cargo(workspace, "fmt").args(["--all", "--check"])));
        results.add("tidy", || tidy::check(workspace));
    }
    if host {
        results.add("host tests", || host_tests(workspace, &args.filters));
        if args.filters.is_empty() {
            results.add("host tests of several cores", || host_tests_of_several_cores(workspace));
        }
    }
    let images = if target { results.add("images", || build::all(workspace)) } else { None };
    if images.is_some() && checks {
        results.add("built modules", || built_modules(workspace));
    }
    if checks {
        results.add("lints of the host", || lint_host(workspace));
        results.add("lints of user-level code", || {
            lint_target(workspace, USER_TARGET, user_packages(workspace), images.as_ref())
        });
        results.add("lints of the kernel", || {
            lint_target(workspace, KERNEL_TARGET, kernel_packages(workspace)?, images.as_ref())
        });
    }
    if checks {
        results.add("size of the kernel", || check_size(&one_core(workspace)));
    }
    if let Some(images) = &images {
        if checks {
            results.add("demos", || run::demos(workspace, images));
        }
        results.add("on-target tests", || on_target_tests(workspace, Some(images), args));
        // Whoever asks for one machine gets that one.
        if checks && workspace.model.name() == DEFAULT_MACHINE {
            other_machines(workspace, args.all, &mut results);
        }
        if args.all {
            whole_on_several_cores(workspace, &mut results);
        } else if checks {
            for area in AREAS {
                on_several_cores(workspace, area, area.cases_of_several, &mut results);
            }
        }
    }
    Ok(results.finish())
}

/// `x test --serial DEV`: the on-target cases, all or some, on a board.
fn on_board(workspace: &Workspace, line: &Path, args: &TestArgs) -> Result<ExitCode> {
    // What is wrong with the cable is said before anything is built. Closed again: the runner opens it.
    drop(Serial::open(line, args.baud)?);
    let mut results = Results::default();
    let area = Area::named(&args.filters);
    let needs_system = area.is_none_or(|area| area.modules);
    let images = if needs_system { results.add("images", || build::all(workspace)) } else { None };
    if images.is_some() == needs_system {
        let filters = area.map_or_else(|| args.filters.clone(), |area| vec![area.cases.to_owned()]);
        let args = TestArgs { filters, ..args.clone() };
        results.add("on-target tests", || on_target_tests(workspace, images.as_ref(), &args));
    }
    Ok(results.finish())
}

/// `x test kernel`, `x test linker`: what holds this area, on the host and on the target.
fn one_area(workspace: &Workspace, area: &Area, host: bool, target: bool) -> ExitCode {
    let mut results = Results::default();
    if host {
        results.add("host tests", || {
            let mut command = cargo::cargo(workspace, "test");
            cargo::run(command.args(area.packages.iter().flat_map(|name| ["-p", name])))
        });
        if area.packages.contains(&KERNEL_CORE) {
            results.add("host tests of several cores", || host_tests_of_several_cores(workspace));
            results.add("size of the kernel", || check_size(&one_core(workspace)));
        }
    }
    if target {
        // The kernel's cases need no images but their own.
        let images = if area.modules { results.add("images", || build::all(workspace)) } else { None };
        if images.is_some() && host {
            results.add("built modules", || built_modules(workspace));
        }
        if images.is_some() == area.modules {
            let cases = cases(&[area.cases]);
            results.add("on-target tests", || on_target_tests(workspace, images.as_ref(), &cases));
        }
        on_several_cores(workspace, area, &[area.cases], &mut results);
    }
    results.finish()
}

/// On-target cases by a part of their names.
fn cases(filters: &[&str]) -> TestArgs {
    let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
    TestArgs { filters, target: true, ..TestArgs::default() }
}

/// Some of an area's cases on the same machine with several cores.
fn on_several_cores(workspace: &Workspace, area: &Area, filters: &[&str], results: &mut Results) {
    if workspace.model.is_smp() {
        return;
    }
    let several = several_cores(workspace);
    results.add("on-target tests on several cores", || {
        let images = area.modules.then(|| build::all(&several)).transpose()?;
        on_target_tests(&several, images.as_ref(), &cases(filters))
    });
}

/// The same machine with several cores.
fn several_cores(workspace: &Workspace) -> Workspace {
    Workspace { model: Model { cores: SMP_CORES, ..workspace.model }, ..workspace.clone() }
}

/// The same machine with one core, whose kernel has a goal for its size.
fn one_core(workspace: &Workspace) -> Workspace {
    Workspace { model: Model { cores: 1, ..workspace.model }, ..workspace.clone() }
}

/// What passed and what did not; a failure does not hide the next one.
#[derive(Default)]
struct Results {
    passed: usize,
    failed: Vec<String>,
}

impl Results {
    fn add<T>(&mut self, what: &str, check: impl FnOnce() -> Result<T>) -> Option<T> {
        let step = progress::step(what);
        let result = check();
        drop(step);
        match result {
            Ok(value) => {
                self.passed += 1;
                Some(value)
            }
            Err(error) => {
                progress::say(&format!("{what}: {error:#}"));
                self.failed.push(what.to_owned());
                None
            }
        }
    }

    fn finish(&self) -> ExitCode {
        for what in &self.failed {
            println!("FAILED: {what}");
        }
        println!("steps: {} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// What modules are written with has host tests, too: they hold its C header to its declarations.
const MODULE_API: &str = "kmod-api";

fn host_packages(workspace: &Workspace) -> impl Iterator<Item = &str> {
    let packages = workspace.with_layer(Layer::Pure).chain(workspace.with_layer(Layer::Host));
    packages
        .chain(workspace.packages.get(MODULE_API))
        .map(|package| package.name.as_str())
        .filter(|name| *name != ON_TARGET)
}

fn host_tests(workspace: &Workspace, filters: &[String]) -> Result<()> {
    let mut command = cargo::cargo(workspace, "test");
    command.args(host_packages(workspace).flat_map(|name| ["-p", name]));
    cargo::run(command.arg("--").args(filters))
}

/// The kernel's logic in its other profile, as a debug build: the plain tests are those of the release kernel. A build
/// of its own, because features would be everybody's otherwise.
fn host_tests_of_several_cores(workspace: &Workspace) -> Result<()> {
    let mut command = cargo::cargo(workspace, "test");
    cargo::run(command.args(["-p", KERNEL_CORE, "--features", "smp,debug"]))
}

/// What the build has just made is read, judged and loaded on the host.
fn built_modules(workspace: &Workspace) -> Result<()> {
    let mut command = integration_tests(workspace, &["real_modules", "unwind_tables"]);
    cargo::run(command.env("STRATA_MODULES", out_dir(workspace).join(build::STRIPPED)))
}

/// Tests that want something built first, by their names. All packages of the host are selected, and nothing of them
/// but these files: whoever selects others gets other features of what they share, and has that compiled once more.
fn integration_tests(workspace: &Workspace, names: &[&str]) -> Command {
    let mut command = cargo::cargo(workspace, "test");
    command.args(host_packages(workspace).chain([ON_TARGET]).flat_map(|name| ["-p", name]));
    command.args(names.iter().flat_map(|name| ["--test", name]));
    command
}

/// The runner is told where the images are.
fn on_target_tests(workspace: &Workspace, images: Option<&Images>, args: &TestArgs) -> Result<()> {
    let kernel_tests = workspace.only(Role::RootTest)?;
    let kernel_images = build::with_root(workspace, &kernel_tests.name)?;
    let folders = images.iter().map(|images| &images.tables).chain([&kernel_images.tables]);
    let tables = std::env::join_paths(folders)?;
    let checked = build::with_root_on(workspace, Variant::Checked, &kernel_tests.name)?.kernel_image;
    let plugins = plugins(workspace)?;
    if images.is_some() {
        // Stories of the host have it beside the system's image.
        build::chainloader(workspace)?;
    }
    let run = |filter: Option<&String>| -> Result<()> {
        let mut command = integration_tests(workspace, &[ON_TARGET]);
        command.arg("--").args(filter);
        if args.list {
            command.arg("--list");
        }
        if let Some(images) = images {
            command.env("STRATA_IMAGE", &images.kernel_image);
            command.env("STRATA_AGENT_ELF", images.tables.join(AGENT));
        }
        command.env("STRATA_IMAGES_DIR", &tables);
        if let Some(line) = &args.serial {
            command.env("STRATA_SERIAL", line).env("STRATA_BAUD", args.baud.to_string());
        }
        for (variable, plugin) in plugins.iter().flatten() {
            command.env(variable, plugin);
        }
        command.env("STRATA_MODULES", out_dir(workspace).join(build::STRIPPED));
        command.env("STRATA_CORES", kernel_images.model.cores.to_string());
        command.envs(kernel_images.model.gic.map(|gic| ("STRATA_GIC", gic.to_string())));
        command.env("STRATA_KERNEL_CHECKED_IMAGE", &checked);
        command.env("STRATA_KERNEL_TESTS_IMAGE", &kernel_images.kernel_image);
        command.env("STRATA_KERNEL_TESTS_ELF", cargo::product(workspace, USER_TARGET, &kernel_tests.name));
        cargo::run(&mut command)
    };
    if args.filters.is_empty() {
        return run(None);
    }
    args.filters.iter().try_for_each(|filter| run(Some(filter)))
}

/// The plugins that watch on-target runs, by the variables that the runner takes them from: one looks for missing cache
/// maintenance, one holds the unwinder against the true call stacks. They are optimised in every profile, so that those of the
/// host tests serve. `None` where QEMU takes no plugins.
fn plugins(workspace: &Workspace) -> Result<Option<[(&'static str, PathBuf); 2]>> {
    let help = Command::new("qemu-system-aarch64").args(["-plugin", "help"]).output();
    if !help.is_ok_and(|output| output.status.success()) {
        progress::say("nothing watches caches and call stacks: this QEMU was built without plugins");
        return Ok(None);
    }
    let mut command = cargo::cargo(workspace, "build");
    cargo::run(command.args(["--quiet", "-p", CACHE_LINT, "-p", CALL_TRUTH]))?;
    let built = |name: &str| workspace.target.join("debug").join(format!("lib{}.so", name.replace('-', "_")));
    Ok(Some([("STRATA_CACHE_LINT", built(CACHE_LINT)), ("STRATA_CALL_TRUTH", built(CALL_TRUTH))]))
}

/// The demos and some cases, or all of them, on the machines that have not had them yet.
fn other_machines(workspace: &Workspace, all: bool, results: &mut Results) {
    for &(board, gic) in OTHER_MACHINES {
        // Another board's images are another build.
        if !all && board != workspace.model.board.name {
            continue;
        }
        let model = Model::new(board, gic, 1).expect("a machine of the list above");
        let workspace = Workspace { model, ..workspace.clone() };
        let cases = if all { &[][..] } else { BOARD_CASES };
        results.add(&model.name(), || demos_and_cases(&workspace, cases));
        if all {
            whole_on_several_cores(&workspace, results);
        }
    }
}

/// The demos, and every case, on the same machine with several cores.
fn whole_on_several_cores(workspace: &Workspace, results: &mut Results) {
    if !workspace.model.is_smp() {
        let several = several_cores(workspace);
        results.add(&several.model.name(), || demos_and_cases(&several, &[]));
    }
}

fn demos_and_cases(workspace: &Workspace, filters: &[&str]) -> Result<()> {
    let images = build::all(workspace)?;
    run::demos(workspace, &images)?;
    on_target_tests(workspace, Some(&images), &cases(filters))
}

fn lint_host(workspace: &Workspace) -> Result<()> {
    let mut command = cargo::cargo(workspace, "clippy");
    command
        .arg("--all-targets")
        .args(host_packages(workspace).chain([ON_TARGET]).flat_map(|name| ["-p", name]));
    cargo::run(deny_warnings(&mut command))
}

fn lint_target<'a>(
    workspace: &Workspace,
    target: &str,
    packages: impl IntoIterator<Item = &'a Package>,
    images: Option<&Images>,
) -> Result<()> {
    let Some(images) = images else { bail!("there are no images to lint against") };
    let mut command = cargo::clippy_for(workspace, target)?;
    command.arg("--release").args(packages.into_iter().flat_map(|package| ["-p", package.name.as_str()]));
    command.env("STRATA_ARCHIVE", &images.archive);
    cargo::run(deny_warnings(&mut command))
}

fn deny_warnings(command: &mut Command) -> &mut Command {
    command.args(["--", "-D", "warnings"])
}

/// The kernel image and the target crates that it imports itself.
fn kernel_packages(workspace: &Workspace) -> Result<Vec<&Package>> {
    let kernel = workspace.only(Role::Kernel)?;
    let imports = kernel.imports.iter().filter_map(|name| workspace.packages.get(name));
    Ok(imports.filter(|package| package.is_for_target()).chain([kernel]).collect())
}

fn user_packages(workspace: &Workspace) -> Vec<&Package> {
    let kernel: Vec<&str> =
        kernel_packages(workspace).unwrap_or_default().iter().map(|package| package.name.as_str()).collect();
    let target = workspace.packages.values().filter(|package| package.is_for_target());
    target.filter(|package| !kernel.contains(&package.name.as_str())).collect()
}
