//! Goal: each behaviour of the linker, told in a text file, happens with real bytes.
//!
//! Method: `fixtures/*.story`, one test each, named for the file. Modules are written, parsed, laid out, planned,
//! relocated and linked, and calls run on a small machine.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are beside the tests")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "story"))
        .collect();
    paths.sort();
    let trials = paths.into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
        Trial::test(name, move || {
            let story = std::fs::read_to_string(&path)?;
            link_tests::behaviour::tell(&story).map_err(Failed::from)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
