//! The workspace as cargo knows it: packages, their layers and their parts in the system.
//!
//! Nothing here is a list of names: a package says in its own manifest what it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use strata_host::model::Model;

/// Who may import whom; `docs` and STYLE call them layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layer {
    /// `no_std`, no unsafe code, tested on the host.
    Pure,
    /// Unsafe code with its arguments, for the target.
    Target,
    /// Glue, imported by nobody.
    Image,
    /// A `.kmod`.
    Module,
    /// Tools and tests of the host.
    Host,
}

/// Which part of the system an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// The microkernel.
    Kernel,
    /// The initial task that carries the boot archive.
    RootTask,
    /// Another initial task, for tests of the kernel alone.
    RootTest,
    /// What a link domain starts with.
    Base,
    /// A process that the root task starts.
    Server,
    /// What takes a system over the serial line, in place of one.
    Chainloader,
}

/// A module written in C, declared in the metadata of the package that holds its sources.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CModule {
    /// Its name in the boot archive.
    pub(crate) name: String,
    /// Sources, relative to the package.
    pub(crate) sources: Vec<PathBuf>,
    /// Include folders, relative to the package.
    #[serde(default)]
    pub(crate) include: Vec<PathBuf>,
}

/// One package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its layer.
    pub(crate) layer: Option<Layer>,
    /// Its role, for images.
    pub(crate) role: Option<Role>,
    /// Names of its binaries.
    pub(crate) bins: Vec<String>,
    /// Its dependencies inside the workspace, without those only for tests and build scripts.
    pub(crate) imports: Vec<String>,
    /// Whether it has a library.
    pub(crate) has_lib: bool,
    /// Whether it differs itself in the profile for several cores (feature `smp`).
    pub(crate) has_smp: bool,
    /// Its modules in C.
    pub(crate) c_modules: Vec<CModule>,
}

/// All packages, and the two folders that everything is relative to.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The root of the tree.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// The packages, by name.
    pub(crate) packages: BTreeMap<String, Package>,
    /// The board that images are built for, and the machine that they run on.
    pub(crate) model: Model,
}

#[derive(Deserialize)]
struct RawMetadata {
    packages: Vec<RawPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<RawTarget>,
    dependencies: Vec<RawDependency>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    metadata: Option<RawTable>,
}

#[derive(Deserialize)]
struct RawTarget {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct RawTable {
    strata: Option<Strata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Strata {
    layer: Layer,
    role: Option<Role>,
    #[serde(default)]
    c_modules: Vec<CModule>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read(model: Model) -> Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self::parse(&output.stdout, model)
    }

    fn parse(json: &[u8], model: Model) -> Result<Self> {
        let raw: RawMetadata =
            serde_json::from_slice(json).context("cargo metadata is not what was expected")?;
        let packages =
            raw.packages.into_iter().map(|package| (package.name.clone(), Package::from(package))).collect();
        Ok(Self { root: raw.workspace_root, target: raw.target_directory, packages, model })
    }

    /// Packages of a role, by name.
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(move |package| package.role == Some(role))
    }

    /// Packages of a layer, by name.
    pub(crate) fn with_layer(&self, layer: Layer) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(move |package| package.layer == Some(layer))
    }

    /// The one package that has this role.
    pub(crate) fn only(&self, role: Role) -> Result<&Package> {
        let mut found = self.with_role(role);
        let package = found.next().with_context(|| format!("no package has the role {role:?}"))?;
        if let Some(second) = found.next() {
            bail!("{} and {} both have the role {role:?}", package.name, second.name);
        }
        Ok(package)
    }

    /// A path as the reader of a message wants it: relative to the root.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Package {
    /// Whether it runs on the target as a process, module or kernel.
    pub(crate) fn is_for_target(&self) -> bool {
        matches!(self.layer, Some(Layer::Target | Layer::Image | Layer::Module))
    }
}

impl From<RawPackage> for Package {
    fn from(raw: RawPackage) -> Self {
        let strata = raw.metadata.and_then(|table| table.strata);
        let folder = raw.manifest_path.parent().map(Path::to_path_buf).unwrap_or_default();
        let of_kind = |kind: &str| {
            let has = |target: &&RawTarget| target.kind.iter().any(|found| found == kind);
            raw.targets.iter().filter(has).map(|target| target.name.clone()).collect::<Vec<_>>()
        };
        let imports = raw
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some() && dependency.kind.is_none());
        Self {
            bins: of_kind("bin"),
            has_lib: !of_kind("lib").is_empty(),
            has_smp: raw.features.contains_key("smp"),
            imports: imports.map(|dependency| dependency.name.clone()).collect(),
            layer: strata.as_ref().map(|strata| strata.layer),
            role: strata.as_ref().and_then(|strata| strata.role),
            c_modules: strata.map(|strata| strata.c_modules).unwrap_or_default(),
            folder,
            name: raw.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virt() -> Model {
        Model::new("qemu-virt", None, 1).unwrap()
    }

    #[test]
    fn a_package_says_what_it_is() {
        let json = br#"{"workspace_root":"/w","target_directory":"/w/target","packages":[
            {"name":"hello","manifest_path":"/w/hello/Cargo.toml","metadata":{"strata":{"layer":"module"}},
             "targets":[{"name":"hello","kind":["bin"]}],
             "dependencies":[{"name":"kmod-api","kind":null,"path":"/w/api"},{"name":"proptest","kind":"dev","path":null}]},
            {"name":"kernel","manifest_path":"/w/k/Cargo.toml","metadata":{"strata":{"layer":"image","role":"kernel"}},
             "targets":[{"name":"kernel","kind":["bin"]}],"dependencies":[]}]}"#;
        let workspace = Workspace::parse(json, virt()).unwrap();
        let hello = &workspace.packages["hello"];
        assert_eq!((hello.layer, hello.role), (Some(Layer::Module), None));
        assert_eq!(hello.imports, ["kmod-api"]);
        assert_eq!(hello.folder, Path::new("/w/hello"));
        assert_eq!(workspace.only(Role::Kernel).unwrap().name, "kernel");
        assert!(workspace.only(Role::Base).is_err());
        assert!(hello.is_for_target() && !hello.has_lib);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let json = br#"{"workspace_root":"/w","target_directory":"/t","packages":[
            {"name":"a","manifest_path":"/w/a/Cargo.toml","metadata":{"strata":{"layer":"image","roll":"kernel"}},
             "targets":[],"dependencies":[]}]}"#;
        assert!(Workspace::parse(json, virt()).is_err());
    }
}
