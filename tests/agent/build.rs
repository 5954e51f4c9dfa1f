//! Links the image with the layout of servers, and the list of cases behind its constants; makes sure that there is a
//! test key to include.

use std::path::PathBuf;

fn main() {
    let cases = concat!("-T", env!("CARGO_MANIFEST_DIR"), "/cases.ld");
    println!("cargo:rerun-if-changed=cases.ld");
    println!("cargo:rerun-if-env-changed=STRATA_TEST_KEY");
    if std::env::var_os("STRATA_TEST_KEY").is_none() {
        // Checked on its own, without the tool that makes keys: cases that sign say that there is none.
        let file = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("no.key");
        std::fs::write(&file, "").expect("the build's own folder is writable");
        println!("cargo:rustc-env=STRATA_TEST_KEY={}", file.display());
    }
    for argument in
        ["-Timage.ld", cases, "-Tdefmt.x", "-zmax-page-size=4096", "-znorelro", "--no-eh-frame-hdr"]
    {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
