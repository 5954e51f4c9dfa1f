//! Goal: it is known of every built image where its unwind tables are right, and they are right wherever the linker
//! server relies on them alone: at every instruction after a call.
//!
//! Method: the lint. Every function of every image in `STRATA_MODULES` is followed instruction by instruction and
//! held against its table. What is not exact is listed: there the linker server scans instead (it finds these places in
//! the same way, with the same function).
#![allow(clippy::unwrap_used)]

use linker_unwind::Scratch;
use linker_unwind::exact::inexact;
use linker_unwind::tables::Function;
use std::path::PathBuf;
use strata_host::built::Built;

/// What the lint finds in one image.
#[derive(Default)]
struct Findings {
    functions: usize,
    /// Name, instructions that are not exact.
    conservative: Vec<(String, usize)>,
    /// Functions of the symbol table that no table describes.
    bare: Vec<String>,
    /// Addresses after calls where the table is wrong.
    wrong_after_calls: Vec<u64>,
}

fn lint(image: &Built, scratch: &mut Scratch) -> Findings {
    let mut findings = Findings::default();
    let functions: Vec<Function<'_>> = image.tables().functions().collect();
    for function in &functions {
        findings.functions += 1;
        let (mut count, mut wrong) = (0, Vec::new());
        let followed = inexact(image, function, scratch, |at, after_call| {
            count += 1;
            if after_call {
                wrong.push(at);
            }
        });
        let name = image.function_name(function.start);
        if followed.is_none() {
            findings.conservative.push((format!("{name} (not followed)"), usize::MAX));
        } else if count != 0 {
            findings.conservative.push((name.to_owned(), count));
        }
        findings.wrong_after_calls.extend(wrong);
    }
    let described = |at: u64| functions.iter().any(|function| (function.start..function.end).contains(&at));
    findings.bare =
        image.functions().filter(|(at, _)| !described(*at)).map(|(_, name)| name.to_owned()).collect();
    findings
}

#[test]
fn tables_of_built_images_are_right_after_every_call() {
    let Some(folder) = std::env::var_os("STRATA_MODULES") else {
        println!("STRATA_MODULES is not set: no built images to look at");
        return;
    };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "kmod") || path.ends_with("base-image.elf")
    });
    paths.sort();
    let mut scratch = Box::new(Scratch::EMPTY);
    let (mut functions, mut inexact_functions) = (0, 0);
    for path in &paths {
        let image = Built::read(path, 0x1300_0000).unwrap();
        let findings = lint(&image, &mut scratch);
        functions += findings.functions;
        inexact_functions += findings.conservative.len();
        for (name, count) in &findings.conservative {
            println!("conservative: {}: {name}: {count} instructions", image.name);
        }
        for name in &findings.bare {
            println!("conservative: {}: {name}: no table", image.name);
        }
        assert!(findings.functions > 0, "{} has no tables", image.name);
        assert_eq!(
            findings.wrong_after_calls,
            Vec::<u64>::new(),
            "{}: tables are wrong after calls",
            image.name
        );
    }
    assert!(paths.len() > 20, "the build makes more than {} images", paths.len());
    println!(
        "{functions} functions in {} images, {inexact_functions} of them conservative somewhere",
        paths.len()
    );
}
