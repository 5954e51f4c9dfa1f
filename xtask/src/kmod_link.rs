//! `x kmod link`: module images linked on the host, into one flat file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use kmod::SectionKind;
use strata_host::kmod_link::link;

/// Arguments of `x kmod link`.
#[derive(Args, Debug)]
pub(crate) struct LinkArgs {
    /// The flat file to write: the bytes from the base address on.
    out: PathBuf,
    /// The address of the first byte: a multiple of 4096.
    #[arg(long, value_parser = address)]
    base: u64,
    /// Where a symbol is that no file defines: NAME=ADDRESS.
    #[arg(long, value_parser = definition)]
    define: Vec<(String, u64)>,
    /// Module images, each laid out behind the one before it.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// `x kmod link`.
pub(crate) fn run(args: &LinkArgs) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.files {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push((path.display().to_string(), bytes));
    }
    let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), &**bytes)).collect();
    let linked = link(&borrowed, args.base, &args.define)?;
    std::fs::write(&args.out, &linked.bytes)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    for file in &linked.files {
        let at = |kind| file.layout.section(kind).0;
        let (text, rodata) = (at(SectionKind::Text), at(SectionKind::Rodata));
        println!("{text:#x} text, {rodata:#x} rodata, {:#x} data: {}", file.layout.data.start.0, file.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn address(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16),
        None => text.parse(),
    }
}

fn definition(text: &str) -> Result<(String, u64)> {
    let (name, at) = text.split_once('=').context("a definition is NAME=ADDRESS")?;
    Ok((name.to_string(), address(at)?))
}
