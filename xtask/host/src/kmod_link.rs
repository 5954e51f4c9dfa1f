//! The linker's core on the host: module images linked at given addresses, as a flat file.
//!
//! The same parser, layout and relocation as on the target, with plain addresses where the target has gates and
//! permanent slots; so for the same addresses the bytes are those of any static linker.

use std::collections::HashMap;

use kmod::{AliasKind, Object, ParseError, SectionKind};
use linker_core::layout::{LOG_INDEX_END, PAGE_SIZE, extent};
use linker_core::{Layout, LayoutError, PlanError, Referent, Va, Window, layout, linked_size, relocate};

/// A file to link: its name, for messages, and its bytes.
pub type File<'a> = (String, &'a [u8]);

/// Why files were not linked: the file's name and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The image breaks a rule.
    Parse(String, ParseError),
    /// The image does not fit at the address.
    Layout(String, LayoutError),
    /// A relocation is refused, or its value does not fit.
    Plan(String, Box<PlanError>),
    /// Nobody defines the symbol: an import, or what a `super_` call goes to.
    Undefined(String, String),
    /// Two files introduce the symbol.
    Defined(String, String),
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parse(file, error) => write!(f, "{file}: the image breaks a rule: {error:?}"),
            Self::Layout(file, error) => write!(f, "{file}: no room: {error:?}"),
            Self::Plan(file, error) => write!(f, "{file}: {error:?}"),
            Self::Undefined(file, symbol) => write!(f, "{file}: nobody defines {symbol}"),
            Self::Defined(file, symbol) => write!(f, "{file}: {symbol} is introduced twice"),
        }
    }
}

impl std::error::Error for LinkError {}

/// Where the sections of one file went.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The file.
    pub name: String,
    /// Where everything is.
    pub layout: Layout,
}

/// Linked files.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// The bytes from the base address on.
    pub bytes: Vec<u8>,
    /// The files, in the order given.
    pub files: Vec<Placed>,
}

/// Who answers to a symbol: the functions by file, in the order of the alias stack.
type Stacks<'a> = HashMap<&'a str, Vec<(usize, u64)>>;

/// Links files one behind the other, each on pages of its own.
///
/// A symbol is answered by the last file that refines it, else by the one that provides it, else by the one that
/// introduces it, else by `defined`. `super_X` is the answer below the file's own.
///
/// # Errors
/// [`LinkError`].
pub fn link(files: &[File<'_>], base: u64, defined: &[(String, u64)]) -> Result<Linked, LinkError> {
    let mut objects = Vec::new();
    let (mut at, mut log_index) = (base, 0);
    for (name, bytes) in files {
        let object = Object::open(bytes).map_err(|error| LinkError::Parse(name.clone(), error))?;
        let window = Window { start: Va(at), size: extent(&object), log_index };
        let placed = layout(&object, window).map_err(|error| LinkError::Layout(name.clone(), error))?;
        at += window.size;
        log_index = (log_index + placed.log_indices).min(LOG_INDEX_END);
        objects.push((name, object, placed));
    }
    let stacks = stacks(&objects, defined)?;
    let size = |address: u64| usize::try_from(address - base).expect("a usize has 64 bits on this host");
    let mut linked = Linked { bytes: vec![0; size(at)], files: Vec::new() };
    for (file, (name, object, placed)) in objects.iter().enumerate() {
        let first = size(placed.text.start.0);
        let count = usize::try_from(linked_size(object, placed)).expect("the parser bounds sections");
        let bytes = &mut linked.bytes[first..first + count];
        let mut missing = None;
        let linked_file = relocate(object, placed, bytes, &mut |reference| {
            let found = match reference.referent {
                Referent::Import(index) | Referent::Own(index) => {
                    let symbol = object.import(index).map_or("", |import| import.name);
                    top(&stacks, symbol).ok_or_else(|| symbol.to_string())
                }
                Referent::Super(index) => {
                    let symbol = object.alias(index).map_or("", |alias| alias.name);
                    below(&stacks, symbol, file).ok_or_else(|| format!("super_{symbol}"))
                }
            };
            found.map(Va).map_err(|symbol| {
                missing = Some(symbol);
                PlanError::UnknownReference(reference.at)
            })
        });
        match (linked_file, missing) {
            (Ok(()), _) => {}
            (Err(_), Some(symbol)) => return Err(LinkError::Undefined((*name).clone(), symbol)),
            (Err(error), None) => return Err(LinkError::Plan((*name).clone(), Box::new(error))),
        }
        linked.files.push(Placed { name: (*name).clone(), layout: *placed });
    }
    // What nothing but zeros follow is not part of a flat file.
    let end = linked
        .files
        .last()
        .zip(objects.last())
        .map(|(file, (_, object, _))| size(file.layout.text.start.0 + linked_size(object, &file.layout)));
    linked.bytes.truncate(end.unwrap_or(0));
    debug_assert!(base.is_multiple_of(PAGE_SIZE), "layout refuses any other base");
    Ok(linked)
}

/// The file that a name in `defined` belongs to: below all files.
const OUTSIDE: usize = usize::MAX;

fn stacks<'a>(
    objects: &[(&String, Object<'a>, Layout)],
    defined: &'a [(String, u64)],
) -> Result<Stacks<'a>, LinkError> {
    let mut stacks: Stacks<'a> = HashMap::new();
    for (name, address) in defined {
        stacks.insert(name, vec![(OUTSIDE, *address)]);
    }
    // Who introduces comes first, then who provides, then the layers in the order of the files.
    let ranks: [fn(AliasKind) -> bool; 3] = [
        |kind| matches!(kind, AliasKind::Weak | AliasKind::Export),
        |kind| kind == AliasKind::Strong,
        |kind| kind == AliasKind::Refine,
    ];
    for of_rank in ranks {
        for (file, (name, object, placed)) in objects.iter().enumerate() {
            for alias in object.aliases().filter(|alias| of_rank(alias.kind)) {
                let text = placed.section(SectionKind::Text);
                let stack = stacks.entry(alias.name).or_default();
                if alias.kind != AliasKind::Refine && alias.kind != AliasKind::Strong && !stack.is_empty() {
                    return Err(LinkError::Defined((*name).clone(), alias.name.to_string()));
                }
                stack.push((file, text.plus(alias.implementation).0));
            }
        }
    }
    Ok(stacks)
}

fn top(stacks: &Stacks<'_>, symbol: &str) -> Option<u64> {
    stacks.get(symbol)?.last().map(|(_, address)| *address)
}

fn below(stacks: &Stacks<'_>, symbol: &str, file: usize) -> Option<u64> {
    let stack = stacks.get(symbol)?;
    let own = stack.iter().position(|(other, _)| *other == file)?;
    stack.get(own.checked_sub(1)?).map(|(_, address)| *address)
}
