//! The planner: a list of loads, unloads, refused writes and ways back, in a link domain of real bytes.
//!
//! Each byte of the input is an action. Behind each, the link domain's invariants hold, in its books and in its text;
//! what was refused has changed nothing (O7); and when everything is unloaded, everything is as at first (O5).

use link_tests::base::BaseImage;
use link_tests::module::{Module, Op, RET};
use link_tests::world::World;
use linker_core::ModuleId;

use crate::Random;

/// Actions in one input.
const ACTIONS_MAX: usize = 24;
/// Modules to choose from.
const MODULES: usize = 8;

/// The modules: layers, a replacement, introducers and those that depend on them, holders of addresses.
fn module(index: usize) -> Module {
    let call = |name: &str| Op::Call(name.into());
    match index {
        0 => Module::new("debug").refine("bus_space_read_4").refine("bus_space_write_4"),
        1 => Module::new("xh").refine("bus_space_read_4"),
        2 => Module::new("reorder")
            .refine("bus_space_write_4")
            .import("bus_space_read_4")
            .function("looks", &[call("bus_space_read_4"), Op::Word(RET)]),
        3 => Module::new("provider").strong("voidop"),
        4 => Module::new("rival").strong("voidop").import("demo_note"),
        5 => Module::new("introducer").weak("fresh").export("made"),
        6 => Module::new("dependent")
            .refine("fresh")
            .import("made")
            .function("uses", &[call("made"), Op::Address("made".into()), Op::Word(RET)]),
        _ => {
            let mut holder = Module::new("holder").import("bus_space_read_4").import("voidop");
            holder.pointers = vec!["bus_space_read_4".into(), "voidop".into()];
            holder
        }
    }
}

/// Makes a list of actions.
pub fn generate(random: &mut Random) -> Vec<u8> {
    (0..1 + random.below(ACTIONS_MAX)).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// The base image: the symbols that the modules layer.
fn base() -> BaseImage {
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    BaseImage {
        weak: strings(&["bus_space_read_4", "bus_space_write_4", "voidop", "demo_note"]),
        exports: Vec::new(),
        servers: Vec::new(),
        pointers: strings(&["bus_space_read_4"]),
    }
}

/// The link domain, and what is loaded in it.
struct Domain {
    world: World,
    loaded: Vec<(usize, ModuleId)>,
    images: Vec<Vec<u8>>,
}

impl Domain {
    fn load(&mut self, index: usize, refuse_after: Option<usize>) -> Result<bool, String> {
        let before = self.world.snapshot();
        self.world.memory.refuse_after = refuse_after;
        let loaded = self.world.load(&self.images[index]);
        self.world.memory.refuse_after = None;
        match loaded {
            Ok(id) => self.loaded.push((index, id)),
            Err(error) if self.world.snapshot() != before => {
                return Err(format!("O7: {error:?} has changed something"));
            }
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    fn unload(&mut self, place: usize, refuse_after: Option<usize>) -> Result<bool, String> {
        let before = self.world.snapshot();
        let (_, id) = self.loaded[place];
        self.world.memory.refuse_after = refuse_after;
        let unloaded = self.world.unload(id);
        self.world.memory.refuse_after = None;
        match unloaded {
            Ok(()) => {
                self.loaded.remove(place);
            }
            Err(error) if self.world.snapshot() != before => {
                return Err(format!("O7: {error:?} has changed something"));
            }
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Unlinks and links again.
    fn there_and_back(&mut self, place: usize) -> Result<(), String> {
        let before = self.world.snapshot();
        if self.world.unlink(self.loaded[place].1).is_ok() {
            self.world.check();
            self.world.relink();
        }
        let same = self.world.snapshot() == before;
        if same { Ok(()) } else { Err("O7: the way back does not end where it began".into()) }
    }
}

/// Carries out a list of actions.
///
/// # Errors
/// The oracle that does not hold.
pub fn judge(actions: &[u8]) -> Result<String, String> {
    let world = World::new(&base().write()).map_err(|error| format!("the base: {error:?}"))?;
    let images = (0..MODULES).map(|index| module(index).write()).collect();
    let mut domain = Domain { world, loaded: Vec::new(), images };
    let first = domain.world.snapshot();
    let (mut done, mut refused) = (0_u32, 0_u32);
    for action in actions.iter().take(ACTIONS_MAX) {
        let (verb, which) = (action & 7, usize::from(action >> 3));
        let place = (!domain.loaded.is_empty()).then(|| which % domain.loaded.len().max(1));
        let ok = match (verb, place) {
            (0..=2, _) | (_, None) => domain.load(which % MODULES, None)?,
            (3, _) => domain.load(which % MODULES, Some(which / MODULES * 5))?,
            (4 | 5, Some(place)) => domain.unload(place, None)?,
            (6, Some(place)) => domain.unload(place, Some(which / 8))?,
            (_, Some(place)) => {
                domain.there_and_back(place)?;
                true
            }
        };
        domain.world.check();
        if ok {
            done += 1;
        } else {
            refused += 1;
        }
    }
    while !domain.loaded.is_empty() {
        // Whoever others depend on goes after them.
        let left = domain.loaded.len();
        for place in (0..left).rev() {
            domain.unload(place, None)?;
        }
        if domain.loaded.len() == left {
            return Err("nobody can be unloaded".into());
        }
    }
    domain.world.check();
    if domain.world.snapshot() != first {
        return Err("O5: unloading everything does not give what was there at first".into());
    }
    Ok(format!("{} done, {} refused", band(done), band(refused)))
}

/// Numbers in bands, so that outcomes stay few.
const fn band(count: u32) -> &'static str {
    match count {
        0 => "none",
        1..=4 => "1 to 4",
        5..=12 => "5 to 12",
        _ => "13 or more",
    }
}
