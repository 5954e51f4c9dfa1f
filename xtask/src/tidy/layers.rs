//! Who may import whom, from the `layer` key in each package's metadata.
//!
//! | layer | may import |
//! |---|---|
//! | pure | pure |
//! | target | pure, target |
//! | image | pure, target |
//! | module | `kmod-api` and pure, but no protocol |
//! | host | pure, and libraries of the host |
//!
//! Images, modules and programs of the host are imported by nobody; boards by images, boards and host tools only; the kernel
//! imports nothing of the servers, and they nothing of its core.

use std::path::Path;

use crate::workspace::{Layer, Package, Workspace};

use super::{Finding, Source};

/// The one package of the target layer that modules import.
const MODULE_API: &str = "kmod-api";
/// What servers say to each other; modules have no part in it.
const PROTOCOL: &str = "strata-protocol";
/// Code lines of an image: more than this is no glue.
const IMAGE_LINES_MAX: usize = 300;

/// All findings about layers.
pub(crate) fn check(workspace: &Workspace, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in workspace.packages.values() {
        findings.extend(check_package(workspace, package));
        let folder = workspace.relative(&package.folder);
        match package.layer {
            Some(Layer::Pure) => findings.extend(check_pure(folder, sources)),
            Some(Layer::Image) => findings.extend(check_image(package, folder, sources)),
            _ => {}
        }
    }
    findings
}

fn check_package(workspace: &Workspace, package: &Package) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |what: String| findings.push(Finding::new(&package.name, what));
    let Some(layer) = package.layer else {
        add("no layer in [package.metadata.strata]".into());
        return findings;
    };
    match (layer, package.role) {
        (Layer::Image, None) => add("an image without a role in [package.metadata.strata]".into()),
        (Layer::Image, Some(_)) | (_, None) => {}
        (_, Some(_)) => add("only images have a role".into()),
    }
    for name in &package.imports {
        let Some(import) = workspace.packages.get(name) else { continue };
        if let Some(reason) = refusal(workspace, package, layer, import) {
            add(format!("imports {name}: {reason}"));
        }
    }
    findings
}

/// Why `package` may not import `import`, if it may not.
fn refusal(workspace: &Workspace, package: &Package, layer: Layer, import: &Package) -> Option<String> {
    let of = import.layer?;
    let allowed = match layer {
        Layer::Pure => of == Layer::Pure,
        Layer::Host => of == Layer::Pure || (of == Layer::Host && import.bins.is_empty()),
        Layer::Target | Layer::Image => matches!(of, Layer::Pure | Layer::Target),
        Layer::Module => of == Layer::Pure || import.name == MODULE_API,
    };
    if !allowed {
        return Some(format!("{layer:?} code may not import {of:?} code"));
    }
    if layer == Layer::Module && import.name == PROTOCOL {
        return Some("a module knows no protocol".into());
    }
    let is_in = |package: &Package, folder: &str| workspace.relative(&package.folder).starts_with(folder);
    if is_in(import, "boards") && !is_in(package, "boards") && !matches!(layer, Layer::Image | Layer::Host) {
        return Some("boards are for images; a driver gets addresses as arguments".into());
    }
    if is_in(package, "microkernel") && is_in(import, "servers") {
        return Some("the kernel imports nothing of the servers".into());
    }
    if is_in(import, "microkernel/core") && !is_in(package, "microkernel") && layer != Layer::Host {
        return Some("only the kernel imports its core".into());
    }
    None
}

fn check_pure(folder: &Path, sources: &[Source]) -> Option<Finding> {
    let lib = folder.join("src/lib.rs");
    let source = sources.iter().find(|source| source.path == lib)?;
    let missing: Vec<_> = ["#![no_std]", "#![forbid(unsafe_code)]"]
        .into_iter()
        .filter(|word| !source.text.contains(word))
        .collect();
    (!missing.is_empty())
        .then(|| Finding::new(lib.display().to_string(), format!("pure code says {}", missing.join(" and "))))
}

fn check_image(package: &Package, folder: &Path, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if package.has_lib {
        findings.push(Finding::new(&package.name, "an image is imported by nobody and has no library"));
    }
    // On-target cases are stories, not glue: there is nothing in them to move elsewhere.
    if folder.starts_with("tests") {
        return findings;
    }
    let source = folder.join("src");
    for file in sources
        .iter()
        .filter(|file| file.path.starts_with(&source) && file.path.extension().is_some_and(|e| e == "rs"))
    {
        let lines = code_lines(&file.text);
        if lines > IMAGE_LINES_MAX {
            findings.push(Finding::new(
                file.path.display().to_string(),
                format!("{lines} lines of code in an image; glue has at most {IMAGE_LINES_MAX}: move logic to a pure crate"),
            ));
        }
    }
    findings
}

/// Lines that are neither blank nor comment, up to the tests.
fn code_lines(text: &str) -> usize {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Role;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn package(name: &str, folder: &str, layer: Layer, imports: &[&str]) -> Package {
        Package {
            name: name.into(),
            folder: PathBuf::from("/w").join(folder),
            layer: Some(layer),
            role: (layer == Layer::Image).then_some(Role::Server),
            bins: vec![],
            imports: imports.iter().map(|import| (*import).to_owned()).collect(),
            has_lib: layer != Layer::Image,
            c_modules: vec![],
            has_smp: false,
        }
    }

    fn workspace(packages: Vec<Package>) -> Workspace {
        let packages: BTreeMap<_, _> =
            packages.into_iter().map(|package| (package.name.clone(), package)).collect();
        let model = strata_host::model::Model::new("qemu-virt", None, 1).unwrap();
        Workspace { root: "/w".into(), target: "/w/target".into(), packages, model }
    }

    fn base() -> Vec<Package> {
        vec![
            package("strata-protocol", "servers/protocol", Layer::Pure, &[]),
            package("sel4-sys", "servers/sel4-sys", Layer::Target, &[]),
            package("kmod-api", "drivers/kmod-api", Layer::Target, &["strata-protocol"]),
            package("qemu-virt", "boards/qemu-virt", Layer::Pure, &[]),
            package("microkernel-core", "microkernel/core", Layer::Pure, &[]),
            package(
                "console",
                "servers/console",
                Layer::Image,
                &["sel4-sys", "strata-protocol", "qemu-virt"],
            ),
        ]
    }

    #[test]
    fn the_allowed_imports_pass() {
        assert_eq!(check(&workspace(base()), &[]), []);
    }

    #[test]
    fn every_forbidden_import_is_found() {
        let cases = [
            (package("a", "a", Layer::Pure, &["sel4-sys"]), "Pure code may not import Target code"),
            (package("a", "a", Layer::Target, &["console"]), "Target code may not import Image code"),
            (package("a", "a", Layer::Host, &["sel4-sys"]), "Host code may not import Target code"),
            (package("a", "a", Layer::Module, &["sel4-sys"]), "Module code may not import Target code"),
            (package("a", "a", Layer::Module, &["strata-protocol"]), "no protocol"),
            (package("a", "drivers/a", Layer::Pure, &["qemu-virt"]), "boards are for images"),
            (package("a", "microkernel/a", Layer::Target, &["strata-protocol"]), "nothing of the servers"),
            (package("a", "servers/a", Layer::Image, &["microkernel-core"]), "only the kernel"),
        ];
        for (wrong, reason) in cases {
            let mut packages = base();
            packages.push(wrong);
            let findings = check(&workspace(packages), &[]);
            assert_eq!(findings.len(), 1, "{reason}");
            assert!(findings[0].what.contains(reason), "{}", findings[0].what);
        }
    }

    #[test]
    fn an_image_that_is_no_glue_and_pure_code_without_its_oath_are_found() {
        let mut packages = base();
        packages.retain(|package| package.name == "console" || package.name == "strata-protocol");
        let source = |path: &str, text: String| Source { path: path.into(), text };
        let long = "// comment\n\nlet a = 1;\n".repeat(IMAGE_LINES_MAX + 1);
        let sources = [
            source("servers/console/src/main.rs", long),
            source("servers/protocol/src/lib.rs", "#![no_std]".into()),
        ];
        let findings = check(&workspace(packages), &sources);
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().any(|finding| finding.what.starts_with("301 lines")));
        assert!(findings.iter().any(|finding| finding.what.contains("forbid(unsafe_code)")));
    }
}
