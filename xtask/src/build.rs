//! The way from sources to a bootable image.
//!
//! ```text
//! modules, base, servers ─cargo─► ELF ─strip─► .kmod, .elf ─sign, pack─► boot.archive
//!     boot.archive ─include_bytes─► root task ─flatten─┐
//!     kernel ─────────────────────────────── flatten ──┴─assemble─► kernel.bin
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use strata_host::model::Model;
use strata_host::qemu::DEVICE_TREE;
use strata_protocol::archive::{Kind, TEST_KEY, TRUSTED_KEY};

use crate::archive::{self, Member};
use crate::cargo::{self, KERNEL_TARGET, USER_TARGET};
use crate::flatten::{By, flatten};
use crate::kmod::Key;
use crate::workspace::{Layer, Package, Role, Workspace};
use crate::{kernel_image, module, out_dir, progress, tools};

/// The file name of the boot archive.
const ARCHIVE: &str = "boot.archive";

/// The folder of unstripped files.
const TABLES: &str = "tables";

/// The folder of stripped files, as they travel.
pub(crate) const STRIPPED: &str = "stripped";

/// What a build leaves.
#[derive(Debug)]
pub(crate) struct Images {
    /// The boot archive.
    pub(crate) archive: PathBuf,
    /// The machine that the images are for.
    pub(crate) model: Model,
    /// The bootable image with the system's root task; the board's device tree lies beside it.
    pub(crate) kernel_image: PathBuf,
    /// The folder of unstripped files that log tables come from: `NAME`, and `NAME.kmod` for a module.
    pub(crate) tables: PathBuf,
}

/// Something that travels in the boot archive.
struct Part {
    name: String,
    kind: Kind,
    linked: PathBuf,
}

impl Part {
    /// What its stripped file is called.
    fn stripped_name(&self) -> String {
        match self.kind {
            Kind::Module => format!("{}.kmod", self.name),
            Kind::Base => format!("{}.elf", self.name),
            _ => self.name.clone(),
        }
    }

    /// What the file is called that its log table comes from.
    fn file_name(&self) -> String {
        if self.kind == Kind::Module { format!("{}.kmod", self.name) } else { self.name.clone() }
    }
}

/// Builds everything.
pub(crate) fn all(workspace: &Workspace) -> Result<Images> {
    let out = out_dir(workspace);
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let _step = progress::step("building images");
    let tests = Key::of_tests(workspace)?;
    let parts = parts(workspace, &out, &tests)?;
    let archive = out.join(ARCHIVE);
    tools::write_if_changed(&archive, &archive::pack(&members(workspace, &parts, &out, &tests)?)?)?;

    let root = workspace.only(Role::RootTask)?;
    cargo::build(workspace, USER_TARGET, [root.name.as_str()], &[("STRATA_ARCHIVE", &archive)])?;
    let kernel = workspace.only(Role::Kernel)?;
    cargo::build(workspace, KERNEL_TARGET, [kernel.name.as_str()], &[])?;

    let root_elf = product_of(workspace, USER_TARGET, root)?;
    let kernel_image = out.join("kernel.bin");
    image_with_root(workspace, &root_elf, &kernel_image)?;
    let tables = out.join(TABLES);
    for part in &parts {
        publish(&part.linked, &tables.join(part.file_name()))?;
    }
    publish(&root_elf, &tables.join(&root.name))?;
    Ok(Images { model: workspace.model, archive, kernel_image, tables })
}

/// What an earlier build left, without looking at the sources.
pub(crate) fn as_built(workspace: &Workspace) -> Result<Images> {
    let kernel_image = out_dir(workspace).join("kernel.bin");
    if !kernel_image.exists() {
        bail!("nothing is built yet");
    }
    let out = out_dir(workspace);
    let model = workspace.model;
    Ok(Images { model, archive: out.join(ARCHIVE), kernel_image, tables: out.join(TABLES) })
}

/// A build of the kernel besides the development images' own. Its products have a folder of their own, so that no other
/// build has to be done again for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Checks its invariants when it is asked to (feature `check`).
    Checked,
    /// Without the debug system calls and without words.
    Release,
}

impl Variant {
    /// What its files are called.
    const fn name(self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Release => "release",
        }
    }
}

/// Builds a kernel; its ELF file.
pub(crate) fn kernel_variant(workspace: &Workspace, variant: Variant) -> Result<PathBuf> {
    let _step = progress::step(format!("building the {} kernel", variant.name()));
    let kernel = workspace.only(Role::Kernel)?;
    let is_smp = workspace.model.is_smp();
    let smp = if is_smp { "-smp" } else { "" };
    let folder = workspace.target.join(format!("kernel-{}{smp}", variant.name()));
    let mut command = cargo::cargo(workspace, "build");
    command.args(["--release", "--quiet", "--target", KERNEL_TARGET, "-p", &kernel.name]);
    command.arg("--target-dir").arg(&folder);
    match variant {
        Variant::Checked => command.args(["--features", &format!("{}/check", kernel.name)]),
        Variant::Release => command.arg("--no-default-features"),
    };
    if is_smp {
        command.args(["--features", &format!("{}/smp", kernel.name)]);
    }
    cargo::run(&mut command)?;
    let bin = kernel.bins.first().with_context(|| format!("{} has no binary", kernel.name))?;
    Ok(folder.join(KERNEL_TARGET).join("release").join(bin))
}

/// The kernel with another root task: an ELF file, or the name of a package that is one.
pub(crate) fn with_root(workspace: &Workspace, root: &str) -> Result<Images> {
    let kernel = workspace.only(Role::Kernel)?;
    {
        let _step = progress::step("building the kernel");
        cargo::build(workspace, KERNEL_TARGET, [kernel.name.as_str()], &[])?;
    }
    on_kernel(workspace, &product_of(workspace, KERNEL_TARGET, kernel)?, root, "")
}

/// As [`with_root`], on another build of the kernel.
pub(crate) fn with_root_on(workspace: &Workspace, variant: Variant, root: &str) -> Result<Images> {
    let kernel = kernel_variant(workspace, variant)?;
    on_kernel(workspace, &kernel, root, &format!("-{}", variant.name()))
}

/// An image of a kernel and a root task; `suffix` tells images of several kernels apart.
fn on_kernel(workspace: &Workspace, kernel: &Path, root: &str, suffix: &str) -> Result<Images> {
    let out = out_dir(workspace);
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let _step = progress::step(format!("building {root}"));
    let elf = match workspace.packages.get(root) {
        Some(package) => {
            cargo::build(workspace, USER_TARGET, [root], &[])?;
            product_of(workspace, USER_TARGET, package)?
        }
        None => PathBuf::from(root),
    };
    if !elf.is_file() {
        bail!("{root} is neither a package nor a file");
    }
    let stem = elf.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let kernel_image = out.join(format!("kernel-{stem}{suffix}.bin"));
    assemble(workspace, kernel, &elf, &kernel_image)?;
    // Whatever runs as root task writes on the root task's stream.
    let tables = out.join(format!("{TABLES}-{stem}"));
    publish(&elf, &tables.join(&workspace.only(Role::RootTask)?.name))?;
    Ok(Images { model: workspace.model, archive: out.join(ARCHIVE), kernel_image, tables })
}

/// The chainloader, in place of a system.
pub(crate) fn chainloader(workspace: &Workspace) -> Result<Images> {
    let out = out_dir(workspace);
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let _step = progress::step("building the chainloader");
    let package = workspace.only(Role::Chainloader)?;
    cargo::build(workspace, KERNEL_TARGET, [package.name.as_str()], &[])?;
    let elf = product_of(workspace, KERNEL_TARGET, package)?;
    // Linked for where it copies itself to, so it may be put anywhere below.
    let image = flatten(&read(&elf)?, By::Virtual).with_context(|| elf.display().to_string())?;
    let kernel_image = out.join("chainloader.bin");
    tools::write_if_changed(&kernel_image, &image.bytes)?;
    let device_tree = kernel_image.with_file_name(DEVICE_TREE);
    tools::write_if_changed(&device_tree, &strata_host::device_tree::make(&workspace.model, "", &[]))?;
    Ok(Images { model: workspace.model, archive: out.join(ARCHIVE), kernel_image, tables: out.join(TABLES) })
}

fn image_with_root(workspace: &Workspace, root_elf: &Path, image: &Path) -> Result<()> {
    let kernel_elf = product_of(workspace, KERNEL_TARGET, workspace.only(Role::Kernel)?)?;
    assemble(workspace, &kernel_elf, root_elf, image)
}

fn assemble(workspace: &Workspace, kernel_elf: &Path, root_elf: &Path, image: &Path) -> Result<()> {
    let kernel =
        flatten(&read(kernel_elf)?, By::Physical).with_context(|| kernel_elf.display().to_string())?;
    let user = flatten(&read(root_elf)?, By::Virtual).with_context(|| root_elf.display().to_string())?;
    let board = workspace.model.board;
    let device_tree = image.with_file_name(DEVICE_TREE);
    tools::write_if_changed(&device_tree, &strata_host::device_tree::make(&workspace.model, "", &[]))?;
    let bytes = kernel_image::assemble(&kernel, &user, board.load_address)?;
    kernel_image::check_fit(board, bytes.len()).with_context(|| root_elf.display().to_string())?;
    tools::write_if_changed(image, &bytes)
}

/// Builds what the boot archive holds, all Rust parts with one call of cargo.
fn parts(workspace: &Workspace, out: &Path, tests: &Key) -> Result<Vec<Part>> {
    let base = workspace.only(Role::Base)?;
    let servers: Vec<_> = workspace.with_role(Role::Server).collect();
    let modules: Vec<_> =
        workspace.with_layer(Layer::Module).filter(|package| !package.bins.is_empty()).collect();
    let packages = servers.iter().chain(&modules).map(|package| package.name.as_str());
    let envs = [("STRATA_TEST_KEY", tests.file.as_path())];
    cargo::build(workspace, USER_TARGET, packages.chain([base.name.as_str()]), &envs)?;

    let rust = [(Kind::Server, servers), (Kind::Base, vec![base]), (Kind::Module, modules)];
    let mut parts = Vec::new();
    for (kind, packages) in rust {
        for bin in packages.iter().flat_map(|package| &package.bins) {
            let name = if kind == Kind::Module { module::name_of(bin) } else { bin.clone() };
            parts.push(Part { name, kind, linked: cargo::product(workspace, USER_TARGET, bin) });
        }
    }
    for package in workspace.packages.values() {
        for c_module in &package.c_modules {
            let linked = module::build_c(workspace, package, c_module, out)
                .with_context(|| format!("C module {} of {}", c_module.name, package.name))?;
            parts.push(Part { name: c_module.name.clone(), kind: Kind::Module, linked });
        }
    }
    Ok(parts)
}

/// Strips each part into the folder of stripped files and reads it. What no package makes any more is removed: the
/// tests of built modules read the folder. Modules are packed with their signature, and the keys that count with them.
fn members(workspace: &Workspace, parts: &[Part], out: &Path, tests: &Key) -> Result<Vec<Member>> {
    let key = Key::of_build(workspace)?;
    let modules = out.join(STRIPPED);
    std::fs::create_dir_all(&modules).with_context(|| modules.display().to_string())?;
    for entry in std::fs::read_dir(&modules)? {
        let path = entry?.path();
        if !parts.iter().any(|part| path.ends_with(part.stripped_name())) {
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    let mut members = Vec::new();
    for part in parts {
        let stripped = modules.join(part.stripped_name());
        if is_older(&stripped, &part.linked) {
            match part.kind {
                Kind::Module => module::strip(&part.linked, &stripped)?,
                // The linker reads the symbols and the relocations of the base; a server needs neither.
                Kind::Base => objcopy(&["--strip-debug"], &part.linked, &stripped)?,
                _ => objcopy(&["--strip-all"], &part.linked, &stripped)?,
            }
        }
        let mut bytes = read(&stripped)?;
        if part.kind == Kind::Module {
            bytes = key.signed(&bytes).with_context(|| part.name.clone())?;
        }
        members.push(Member { name: part.name.clone(), kind: part.kind, bytes });
    }
    for (name, key) in [(TRUSTED_KEY, &key), (TEST_KEY, tests)] {
        members.push(Member { name: name.into(), kind: Kind::Other, bytes: key.public.clone().into_bytes() });
    }
    Ok(members)
}

fn objcopy(flags: &[&str], from: &Path, to: &Path) -> Result<()> {
    tools::quietly(Command::new(tools::of_toolchain("llvm-objcopy")?).args(flags).args([from, to]))
}

fn product_of(workspace: &Workspace, target: &str, package: &Package) -> Result<PathBuf> {
    let bin = package.bins.first().with_context(|| format!("{} has no binary", package.name))?;
    Ok(cargo::product(workspace, target, bin))
}

/// Whether `product` is missing or older than `source`.
fn is_older(product: &Path, source: &Path) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    match (time(product), time(source)) {
        (Some(product), Some(source)) => product < source,
        _ => true,
    }
}

/// Puts an unstripped file where log tables are looked for: a link, because these files are large.
fn publish(file: &Path, at: &Path) -> Result<()> {
    let folder = at.parent().context("a path without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    // It may not be there yet; if it cannot be removed, linking says why.
    let _ = std::fs::remove_file(at);
    std::fs::hard_link(file, at)
        .or_else(|_| std::fs::copy(file, at).map(drop))
        .with_context(|| at.display().to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
