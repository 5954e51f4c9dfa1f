//! Links the image with the layout of servers, and the list of cases behind its constants.

fn main() {
    let cases = concat!("-T", env!("CARGO_MANIFEST_DIR"), "/cases.ld");
    println!("cargo:rerun-if-changed=cases.ld");
    for argument in ["-Timage.ld", cases, "-Tdefmt.x", "-zmax-page-size=4096", "--no-eh-frame-hdr"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
