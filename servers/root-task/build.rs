//! Links the image with the layout of servers, and makes sure that there is a boot archive to include.

use std::path::PathBuf;

fn main() {
    for argument in ["-Timage.ld", "-Tdefmt.x", "-zmax-page-size=4096", "--no-eh-frame-hdr"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-env-changed=STRATA_ARCHIVE");
    if std::env::var_os("STRATA_ARCHIVE").is_none() {
        // Checked on its own, without the tool that packs: the archive is empty.
        let mut empty = [0; 4096];
        empty[..8].copy_from_slice(b"STRATAAR");
        empty[8] = 1;
        empty[16..24].copy_from_slice(&4096_u64.to_le_bytes());
        let file = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("empty.archive");
        std::fs::write(&file, empty).expect("the build's own folder is writable");
        println!("cargo:rustc-env=STRATA_ARCHIVE={}", file.display());
    }
}
