//! The linker server: the only holder of writable mappings of executable frames.
//!
//! Glue: the big tables, and the way from the start page into the loop.
#![no_std]
#![no_main]

use linker_books::buddy::Buddy;
use linker_books::window::Window;
use linker_core::{LinkDomain, LinkPlan, MODULES_MAX};
use linker_service::linker::Functions;
use linker_service::start::{Tables, start};
use linker_space::objects::Objects;
use linker_space::room::Room;
use linker_unwind::Scratch;
use strata_protocol::caps;
use strata_protocol::start::StartInfo;
use strata_runtime::{Ipc, debug_println};

static LINK: Room<LinkDomain> = Room::new(LinkDomain::EMPTY);
static PLAN: Room<LinkPlan> = Room::new(LinkPlan::EMPTY);
static BUDDY: Room<Buddy> = Room::new(Buddy::new());
static FUNCTIONS: Room<Functions> = Room::new([const { heapless::Vec::new() }; MODULES_MAX]);

static WINDOW: Room<Window> = Room::new(Window::EMPTY);
static SCRATCH: Room<Scratch> = Room::new(Scratch::EMPTY);

strata_runtime::entry!(main);

fn main(info: &'static StartInfo, ipc: &'static mut Ipc) -> ! {
    let once = "main runs once";
    let tables = Tables {
        link: LINK.take().expect(once),
        plan: PLAN.take().expect(once),
        functions: FUNCTIONS.take().expect(once),
        window: WINDOW.take().expect(once),
        scratch: SCRATCH.take().expect(once),
    };
    let first = usize::try_from(info.slots_start).expect("a usize has 64 bits on AArch64");
    let mut objects = Objects::new(ipc, caps::slot::CNODE, first, BUDDY.take().expect(once));
    match start(&mut objects, tables, info) {
        Ok(mut linker) => linker.serve(),
        Err(error) => {
            debug_println!("linker-server: cannot start: {:?}", error);
            panic!("the linker server cannot start");
        }
    }
}
