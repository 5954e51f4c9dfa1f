//! Links the image with the layout of servers.

fn main() {
    for argument in ["-Timage.ld", "-Tdefmt.x", "-zmax-page-size=4096", "-znorelro", "--no-eh-frame-hdr"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
