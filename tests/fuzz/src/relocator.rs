//! The relocator: random modules, laid out and linked by the linker's core, every bit accounted for.

use kmod::{Object, SectionKind};
use link_tests::judge::judge as independent;
use link_tests::module::{Module, Op, RET};
use link_tests::place::{self, Placement};
use linker_core::layout::Window;
use linker_core::{PlanError, Referent, Va, layout, linked_size, relocate};

use crate::Random;

/// Names that a random module imports.
const IMPORTS: [&str; 4] = ["demo_note", "bus_space_write_4", "bus_space_barrier", "kernel_printf"];

/// A module of random functions, each made of random instructions with relocations.
pub fn module(random: &mut Random) -> Module {
    let mut module = Module::new("random").refine("bus_space_read_4");
    let imports = 1 + random.below(IMPORTS.len());
    for name in &IMPORTS[..imports] {
        module = module.import(name);
    }
    let functions = 1 + random.below(12);
    let function = |random: &mut Random| format!("f{}", random.below(functions));
    let outside = |random: &mut Random| match random.below(5) {
        0 => "super_bus_space_read_4".to_string(),
        _ => IMPORTS[random.below(imports)].to_string(),
    };
    for number in 0..functions {
        let mut body = Vec::new();
        for _ in 0..random.below(12) {
            body.push(match random.below(12) {
                0 | 1 => Op::Call(outside(random)),
                2 => Op::Call(function(random)),
                3 => Op::TailCall(outside(random)),
                4 => Op::TailCall(function(random)),
                5 => Op::Address(outside(random)),
                6 => Op::Address([".rodata", ".data", ".bss"][random.below(3)].into()),
                7 => Op::NearAddress(function(random)),
                8 | 9 => {
                    let log2 = [0, 1, 2, 3, 4][random.below(5)];
                    // Data lies on eight bytes only.
                    let section = if log2 == 4 { ".bss" } else { [".data", ".bss"][random.below(2)] };
                    Op::Load(section.into(), log2)
                }
                10 => Op::IfZero(function(random)),
                _ => Op::IfBitClear(function(random)),
            });
        }
        body.push(Op::Word(RET));
        module = module.function(&format!("f{number}"), &body);
    }
    for _ in 0..random.below(6) {
        let name = if random.below(2) == 0 { function(random) } else { outside(random) };
        module.pointers.push(name);
    }
    module.rodata = (0..random.below(100)).map(|_| random.next().to_le_bytes()[0]).collect();
    module.bss_size = 16 * random.below(300) as u64;
    module
}

/// Eight bytes for the address, then the image.
pub fn generate(random: &mut Random) -> Vec<u8> {
    // Mostly within reach of everything that is granted, now and then far away.
    let page = match random.below(8) {
        0 => random.next() >> 20,
        _ => 0x1_3000 + random.below(0x4000) as u64,
    };
    let mut input = (page << 12).to_le_bytes().to_vec();
    input.extend_from_slice(&module(random).write());
    input
}

/// Links the image with the linker's core and has the result judged.
///
/// # Errors
/// The oracle that does not hold.
pub fn judge(input: &[u8]) -> Result<String, String> {
    let Some((start, image)) = input.split_first_chunk::<8>() else { return Ok("too short".into()) };
    let start = Va(u64::from_le_bytes(*start));
    let object = match Object::open(image) {
        Ok(object) => object,
        Err(error) => return Ok(format!("refused: {}", crate::parser::rule(&error))),
    };
    let window = Window { start, size: 64 << 20, log_index: 1000 };
    let laid_out = match layout(&object, window) {
        Ok(laid_out) => laid_out,
        Err(error) => return Ok(format!("no layout: {}", error.errno().number())),
    };
    let size = usize::try_from(linked_size(&object, &laid_out)).map_err(|error| error.to_string())?;
    // What lies around the linked bytes must stay as it is.
    const MARGIN: usize = 64;
    let mut memory = vec![0xa5; size + 2 * MARGIN];
    let granted = |referent| match referent {
        Referent::Super(index) => place::granted_super(index),
        Referent::Import(index) | Referent::Own(index) => place::granted_import(index),
    };
    let linked = relocate(&object, &laid_out, &mut memory[MARGIN..MARGIN + size], &mut |reference| {
        Ok(Va(granted(reference.referent)))
    });
    let around = memory[..MARGIN].iter().chain(&memory[MARGIN + size..]);
    if around.clone().any(|byte| *byte != 0xa5) {
        return Err("O1: bytes outside of the module have changed".into());
    }
    match linked {
        Ok(()) => {}
        Err(PlanError::Image(error)) => {
            // Whoever reads all relocations before applying any says the same.
            return match Object::parse(image) {
                Err(other) if other == error => Ok(format!("refused: {}", crate::parser::rule(&error))),
                other => Err(format!("linking says {error:?}, parsing {other:?}")),
            };
        }
        Err(PlanError::Field(..)) => return Ok("a value does not fit".into()),
        Err(error) => return Err(format!("an error that cannot be: {error:?}")),
    }
    let rulings = independent(image, &object)?;
    let placement = Placement { addresses: SectionKind::ALL.map(|kind| laid_out.section(kind).0) };
    let bytes_of = |kind: SectionKind| {
        let section = object.section(kind)?;
        let first = usize::try_from(laid_out.section(kind).0 - start.0).ok()?;
        memory[MARGIN..MARGIN + size].get(first..first + section.bytes.len())
    };
    for kind in SectionKind::ALL.into_iter().filter(|kind| kind.is_mapped()) {
        if let Some(bytes) = bytes_of(kind) {
            place::check_section(&object, kind, bytes, &rulings, &placement)?;
        }
    }
    Ok("linked".into())
}
