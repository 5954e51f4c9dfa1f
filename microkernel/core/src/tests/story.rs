//! One life of a system: boot, make, talk, fault, revoke.
use super::world::{ROOT, World};
use crate::cap::View;
use crate::fault::UserFault;
use crate::machine::Machine;
use crate::tcb::State;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, syscall};
use std::vec::Vec;

#[test]
fn boot_tells_the_truth() {
    let world = World::new();
    world.check();
    let info = world.boot_info();
    assert_eq!(info.ipc_buffer, 0x40_2000);
    assert_eq!(info.user_image_frames.end - info.user_image_frames.start, 2);
    // A header of 16 bytes, and the 100 bytes of the tree up to the next word.
    assert_eq!(info.extra_len, 16 + 104);
    let View::Frame { base: extra, .. } = world.view(info.extra_bi_pages.start) else { panic!() };
    let words: Vec<u64> = (0..info.extra_len / 8).map(|i| world.k.m.load(extra + i * 8)).collect();
    // The tree as it is, but for its size, which is big-endian.
    let tree = [u64::from(100_u32.to_be()) << 32 | u64::from(u32::MAX), u64::MAX, u64::from(u32::MAX)];
    assert_eq!((&words[..2], words[2], words[13], words[14]), (&[6, 120][..], tree[0], tree[1], tree[2]));
    assert_eq!(info.init_thread_cnode_size_bits, 13);
    assert_eq!(world.reg(world.root, 0), 0x40_3000);
    // Untypeds are aligned to their size and do not overlap anything; RAM is complete but for the boot's objects.
    let count = (info.untyped.end - info.untyped.start) as usize;
    let mut ram = 0;
    for (i, desc) in info.untyped_list[..count].iter().enumerate() {
        assert!(desc.paddr.is_multiple_of(1 << desc.size_bits));
        let View::Untyped { bits, device, .. } = world.view(info.untyped.start + i as u64) else { panic!() };
        assert_eq!((bits, device), (desc.size_bits.into(), desc.is_device == 1));
        ram += if device { 0 } else { 1_u64 << bits };
    }
    assert!((4 << 20) - ram < 0x2000 + (256 << 10) + (16 << 10) + (64 << 10), "{ram:#x}");
}

#[test]
fn call_reply_signal_fault_revoke() {
    let mut world = World::new();
    let ep = world.make(2, 0);
    let badged = world.next_slot();
    assert_eq!(world.mint(ep, badged, 15, 0x42), 0);
    let (tcb, thread) = world.thread(200);
    assert_eq!(world.invoke(tcb, label::TCB_SET_SPACE, &[badged, 0, 0], &[ROOT, init_cap::VSPACE]), 0);
    assert_eq!(world.invoke(tcb, label::TCB_RESUME, &[], &[]), 0);
    world.check();

    // The root task waits; the thread runs and calls.
    assert_eq!(world.syscall(syscall::RECV, ep, MessageInfo::default()), Some(thread));
    world.write_message(&[1, 2, 3, 4, 5, 6], &[]);
    let next = world.syscall(syscall::CALL, badged, MessageInfo::new(9, 0, 0, 6));
    assert_eq!(next, Some(world.root));
    assert_eq!(world.k.state(thread), State::BlockedOnReply);
    assert_eq!((world.reg(world.root, 0), MessageInfo(world.reg(world.root, 1)).label()), (0x42, 9));
    assert_eq!(world.reg(world.root, 5), 4);
    let buffer = world.k.buffer(world.root, false).unwrap();
    assert_eq!(world.k.m.load(buffer + 8 + 5 * 8), 6);
    world.check();
    world.write_message(&[77], &[]);
    assert_eq!(world.syscall(syscall::REPLY_RECV, ep, MessageInfo::new(1, 0, 0, 1)), Some(thread));
    assert_eq!((world.reg(thread, 0), world.reg(thread, 2)), (0, 77));

    // It faults: the root task gets that as a call.
    world.k.user_fault(UserFault::Memory { address: 0x123, syndrome: 0x9200_0007, fetch: false });
    assert_eq!(world.k.leave(), Some(world.root));
    let info = MessageInfo(world.reg(world.root, 1));
    assert_eq!((info.label(), info.length(), world.reg(world.root, 3)), (5, 4, 0x123));
    world.check();

    // Its memory is taken away; nothing is left of it.
    assert_eq!(world.revoke(world.untyped), 0);
    assert_eq!([world.view(ep), world.view(badged), world.view(tcb)], [View::Null; 3]);
    world.check();
    let bits = world.untyped_bits;
    let whole = world.next_slot();
    assert_eq!(world.retype(world.untyped, 0, bits, whole, 1), 0);
}

#[test]
fn timer_registers_are_open_for_the_bound_thread_only() {
    let mut world = World::new();
    let (ntfn, handler) = (world.make(3, 0), world.next_slot());
    assert_eq!(
        world.invoke(init_cap::IRQ_CONTROL, label::IRQ_ISSUE_IRQ_HANDLER, &[30, handler, 64], &[ROOT]),
        0
    );
    let (tcb, thread) = world.thread(255);
    assert_eq!(world.invoke(tcb, label::TCB_BIND_NOTIFICATION, &[], &[ntfn]), 0);
    assert_eq!(world.invoke(tcb, label::TCB_RESUME, &[], &[]), 0);
    let give_way = |world: &mut World| world.syscall(syscall::YIELD, 0, MessageInfo::default());
    assert_eq!(give_way(&mut world), Some(thread));
    assert!(!world.k.m.cores[0].timer_open, "bound to a notification that no interrupt signals");
    assert_eq!(give_way(&mut world), Some(world.root));
    assert_eq!(world.invoke(handler, label::IRQ_SET_IRQ_HANDLER, &[], &[ntfn]), 0);
    assert!(!world.k.m.cores[0].timer_open);
    assert_eq!(give_way(&mut world), Some(thread));
    assert!(world.k.m.cores[0].timer_open);
    assert_eq!(give_way(&mut world), Some(world.root));
    assert!(!world.k.m.cores[0].timer_open);
    assert_eq!(world.invoke(tcb, label::TCB_UNBIND_NOTIFICATION, &[], &[]), 0);
    assert_eq!(give_way(&mut world), Some(thread));
    assert!(!world.k.m.cores[0].timer_open);
    // The handler dies with its notification.
    assert_eq!(give_way(&mut world), Some(world.root));
    assert_eq!(world.delete(handler), 0);
    assert!(world.k.m.masked[30]);
}
