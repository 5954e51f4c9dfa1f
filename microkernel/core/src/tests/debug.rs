//! Goal: the debug system calls are there in debug builds, and unknown system calls in all others.
//!
//! Method: one story, told by whichever build runs it. `./x test` runs it in both: the profile for one core as a release
//! build, the one for several as a debug build.
use super::world::{ROOT, World};
use crate::DEBUG;
use crate::tcb::State;
use microkernel_abi::fault::UNKNOWN_SYSCALL;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::syscall::{
    DEBUG_CAP_IDENTIFY, DEBUG_DUMP_SCHEDULER, DEBUG_NAME_THREAD, DEBUG_PUT_CHAR, DEBUG_SNAPSHOT,
};
use microkernel_abi::{init_cap, label, syscall};

/// What `seL4_DebugCapIdentify` says of a CNode.
const CNODE: u64 = 10;

#[test]
fn debug_calls_are_of_debug_builds() {
    let mut world = World::new();
    let root = world.root;
    let (handlers, fault_ep) = (world.thread(200), world.make(2, 0));
    for number in
        [DEBUG_PUT_CHAR, DEBUG_DUMP_SCHEDULER, DEBUG_CAP_IDENTIFY, DEBUG_SNAPSHOT, DEBUG_NAME_THREAD]
    {
        let words = [fault_ep, 0, 0];
        assert_eq!(world.invoke(init_cap::TCB, label::TCB_SET_SPACE, &words, &[ROOT, init_cap::VSPACE]), 0);
        world.k.m.output.clear();
        world.syscall(number, ROOT, MessageInfo::default());
        if DEBUG {
            assert_eq!(world.k.current(), Some(root), "{number} is done");
            assert_eq!(world.k.m.output.is_empty(), [-12, -14].contains(&number), "{number}");
            if number == DEBUG_CAP_IDENTIFY {
                assert_eq!(world.reg(root, 0), CNODE);
            }
            continue;
        }
        // The fault waits for a handler; somebody answers, and lets the thread go on.
        assert_eq!((world.k.current(), world.k.state(root)), (None, State::BlockedOnSend), "{number}");
        assert!(world.k.m.output.is_empty(), "{number} said something");
        world.k.resume(handlers.1);
        world.k.leave();
        world.syscall(syscall::RECV, fault_ep, MessageInfo::default());
        assert_eq!(MessageInfo(world.reg(handlers.1, 1)).label(), UNKNOWN_SYSCALL);
        world.k.suspend(handlers.1);
        world.k.resume(root);
        world.k.leave();
        world.check();
    }
}

#[test]
fn a_fault_without_a_handler_is_told_of_in_debug_builds() {
    let mut world = World::new();
    world.syscall(-100, 0, MessageInfo::default());
    assert_eq!(world.k.state(world.root), State::Inactive);
    assert_eq!(world.k.m.output.contains("no handler"), DEBUG);
    world.check();
}
