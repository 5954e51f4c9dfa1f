//! The one door: build, image, run, test, trace, bench, tidy.
fn main() {}
