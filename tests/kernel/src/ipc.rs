//! Meeting: messages, calls, capabilities, notifications.
use crate::case;
use crate::env::{COUNTER, Env, ok, park};
use core::sync::atomic::Ordering;
use sel4_sys::{
    api_object, seL4_CNode_CapData, seL4_CapInitThreadCNode, seL4_CapInitThreadTCB, seL4_CapRights,
    seL4_DebugCapIdentify, seL4_Error, seL4_IPCBuffer, seL4_MessageInfo, seL4_Signal,
};

/// Answers each call with the label and words of the message, each plus one, and the badge as last word.
pub(crate) extern "C" fn echo(ipc: &mut seL4_IPCBuffer, ep: u64, _: u64) -> ! {
    let (mut info, mut badge) = ipc.seL4_Recv(ep, ());
    loop {
        let length = usize::try_from(info.get_length()).expect("at most 120");
        ipc.msg[..length].iter_mut().for_each(|word| *word += 1);
        ipc.msg[length.min(119)] = badge;
        let reply = seL4_MessageInfo::new(info.get_label() + 1, 0, 0, (length as u64 + 1).min(120));
        (info, badge) = ipc.seL4_ReplyRecv(ep, reply, ());
    }
}

case! {
    /// A call arrives with its words and badge, the reply comes back; short and long messages.
    ipc_call_reply, env => {
        let ep = env.endpoint();
        let badged = env.mint(ep, seL4_CapRights::all(), 0x77);
        env.spawn(200, echo, ep, 0);
        for length in [0, 1, 3, 4, 5, 10, 119] {
            for i in 0..length {
                env.ipc.msg[i] = 100 + i as u64;
            }
            let reply = env.ipc.seL4_Call(badged, seL4_MessageInfo::new(7, 0, 0, length as u64));
            assert_eq!(reply.get_label(), 8);
            assert_eq!(reply.get_length(), length as u64 + 1);
            for i in 0..length {
                assert_eq!(env.ipc.msg[i], 101 + i as u64);
            }
            assert_eq!(env.ipc.msg[length], 0x77);
        }
    }
}

extern "C" fn sender(ipc: &mut seL4_IPCBuffer, ep: u64, word: u64) -> ! {
    loop {
        ipc.msg[0] = word;
        ipc.seL4_Send(ep, seL4_MessageInfo::new(word, 0, 0, 1));
        COUNTER.fetch_add(1, Ordering::SeqCst);
    }
}

case! {
    /// Blocked senders are served in the order in which they came; a non-blocking receive finds nothing or one.
    ipc_senders_queue, env => {
        let ep = env.endpoint();
        let (_, badge) = env.ipc.seL4_NBRecv(ep, ());
        assert_eq!(badge, 0);
        let (one, two) = (env.mint(ep, seL4_CapRights::all(), 1), env.mint(ep, seL4_CapRights::all(), 2));
        env.spawn(100, sender, one, 11);
        env.spawn(100, sender, two, 22);
        env.set_priority(50);
        let seen: [u64; 4] = core::array::from_fn(|_| {
            let (info, badge) = env.ipc.seL4_Recv(ep, ());
            assert_eq!(info.get_label(), badge * 11);
            assert_eq!(env.ipc.msg[0], badge * 11);
            badge
        });
        // Of two ready threads the one that became ready last is at the front of the ready queue.
        assert_eq!(seen, [2, 1, 2, 1]);
        assert_eq!(env.ipc.seL4_NBRecv(ep, ()).1, 2);
        env.ipc.seL4_NBSend(ep, seL4_MessageInfo::new(0, 0, 0, 0));
    }
}

extern "C" fn receiver(ipc: &mut seL4_IPCBuffer, ep: u64, slot: u64) -> ! {
    ipc.set_recv_slot(seL4_CapInitThreadCNode, slot, 64);
    loop {
        let (info, badge) = ipc.seL4_Recv(ep, ());
        COUNTER.store(info.into_word() << 8 | badge, Ordering::SeqCst);
        ipc.msg[0] = ipc.caps_or_badges[0];
        ipc.seL4_Reply(seL4_MessageInfo::new(0, 0, 0, 1));
    }
}

case! {
    /// A capability is handed over with grant, not without; one to the endpoint itself arrives as its badge.
    ipc_cap_transfer, env => {
        let (ep, ntfn) = (env.endpoint(), env.notification());
        let slot = env.slot();
        let badged = env.mint(ep, seL4_CapRights::all(), 5);
        let reply_only = env.mint(ep, seL4_CapRights::new(1, 0, 0, 1), 6);
        env.spawn(200, receiver, ep, slot);
        env.ipc.set_cap(0, ntfn);
        env.ipc.seL4_Call(reply_only, seL4_MessageInfo::new(1, 0, 1, 0));
        assert_eq!(COUNTER.load(Ordering::SeqCst), seL4_MessageInfo::new(1, 0, 0, 0).into_word() << 8 | 6);
        assert_eq!(seL4_DebugCapIdentify(slot), 0);
        env.ipc.set_cap(0, ntfn);
        env.ipc.seL4_Call(badged, seL4_MessageInfo::new(2, 0, 1, 0));
        assert_eq!(COUNTER.load(Ordering::SeqCst), seL4_MessageInfo::new(2, 0, 1, 0).into_word() << 8 | 5);
        assert_eq!(seL4_DebugCapIdentify(slot), 6);
        // The slot is taken now: the next capability does not arrive, the message does.
        env.ipc.set_cap(0, ntfn);
        env.ipc.seL4_Call(badged, seL4_MessageInfo::new(3, 0, 1, 0));
        assert_eq!(COUNTER.load(Ordering::SeqCst), seL4_MessageInfo::new(3, 0, 0, 0).into_word() << 8 | 5);
        env.ipc.set_cap(0, badged);
        env.ipc.seL4_Call(badged, seL4_MessageInfo::new(4, 0, 1, 0));
        assert_eq!(COUNTER.load(Ordering::SeqCst), seL4_MessageInfo::new(4, 1, 1, 0).into_word() << 8 | 5);
        assert_eq!(env.ipc.msg[0], 5);
        // What was handed over works.
        seL4_Signal(slot);
        assert_eq!(env.ipc.seL4_Poll(ntfn).1, 0);
        let signed = env.mint(ntfn, seL4_CapRights::all(), 8);
        seL4_Signal(signed);
        assert_eq!(env.ipc.seL4_Wait(slot).1, 8);
    }
}

case! {
    /// Signals are gathered; a bound notification interrupts a receive.
    ipc_notification, env => {
        let (ep, ntfn) = (env.endpoint(), env.notification());
        let (one, two) = (env.mint(ntfn, seL4_CapRights::all(), 1), env.mint(ntfn, seL4_CapRights::all(), 2));
        seL4_Signal(one);
        seL4_Signal(two);
        assert_eq!(env.ipc.seL4_Wait(ntfn).1, 3);
        assert_eq!(env.ipc.seL4_Poll(ntfn).1, 0);
        ok(env.ipc.seL4_TCB_BindNotification(seL4_CapInitThreadTCB, ntfn));
        seL4_Signal(two);
        assert_eq!(env.ipc.seL4_Recv(ep, ()).1, 2);
        env.spawn(100, late_signal, one, 0);
        env.set_priority(50);
        assert_eq!(env.ipc.seL4_Recv(ep, ()).1, 1);
        assert_eq!(
            env.ipc.seL4_TCB_BindNotification(seL4_CapInitThreadTCB, ntfn),
            seL4_Error::seL4_IllegalOperation
        );
        ok(env.ipc.seL4_TCB_UnbindNotification(seL4_CapInitThreadTCB));
        assert_eq!(env.ipc.seL4_TCB_UnbindNotification(seL4_CapInitThreadTCB), seL4_Error::seL4_IllegalOperation);
    }
}

extern "C" fn late_signal(ipc: &mut seL4_IPCBuffer, ntfn: u64, _: u64) -> ! {
    seL4_Signal(ntfn);
    park(ipc)
}

extern "C" fn caller(ipc: &mut seL4_IPCBuffer, ep: u64, word: u64) -> ! {
    ipc.msg[0] = word;
    ipc.seL4_Call(ep, seL4_MessageInfo::new(0, 0, 0, 1));
    COUNTER.store(ipc.msg[0], Ordering::SeqCst);
    loop {
        ipc.seL4_Call(ep, seL4_MessageInfo::new(0, 0, 0, 1));
    }
}

case! {
    /// A saved reply capability answers later, once.
    ipc_saved_reply, env => {
        let ep = env.endpoint();
        let saved = env.slot();
        env.spawn(100, caller, ep, 41);
        env.set_priority(50);
        let (_, _) = env.ipc.seL4_Recv(ep, ());
        let word = env.ipc.msg[0];
        ok(env.ipc.seL4_CNode_SaveCaller(seL4_CapInitThreadCNode, saved, 64));
        assert_eq!(seL4_DebugCapIdentify(saved), 8);
        env.ipc.msg[0] = word + 1;
        env.ipc.seL4_Send(saved, seL4_MessageInfo::new(0, 0, 0, 1));
        assert_eq!(COUNTER.load(Ordering::SeqCst), 42);
        assert_eq!(seL4_DebugCapIdentify(saved), 0);
    }
}

case! {
    /// Senders with a badge are sent away; those with another stay. Deleting the endpoint faults the rest.
    ipc_cancel_badged_sends, env => {
        let ep = env.endpoint();
        let (one, two) = (env.mint(ep, seL4_CapRights::all(), 1), env.mint(ep, seL4_CapRights::all(), 2));
        let first = env.spawn(100, sender, one, 11);
        env.spawn(100, sender, two, 22);
        env.set_priority(50);
        ok(env.ipc.seL4_TCB_SetPriority(first.tcb, seL4_CapInitThreadTCB, 10));
        ok(env.ipc.seL4_CNode_CancelBadgedSends(seL4_CapInitThreadCNode, one, 64));
        assert_eq!(env.ipc.seL4_NBRecv(ep, ()).1, 2);
        let receive_only = env.mint(ep, seL4_CapRights::read_only(), 0);
        assert_eq!(
            env.ipc.seL4_CNode_CancelBadgedSends(seL4_CapInitThreadCNode, receive_only, 64),
            seL4_Error::seL4_IllegalOperation
        );
    }
}

case! {
    /// A thread with a capability space of two levels reaches what it was given, and nothing else.
    ipc_other_cspace, env => {
        let ep = env.endpoint();
        let root = seL4_CapInitThreadCNode;
        let (outer, inner) = (env.make(api_object::seL4_CapTableObject, 2), env.make(api_object::seL4_CapTableObject, 4));
        // Two bits in the outer table, a guard of 58 bits and four bits in the inner one.
        let data = seL4_CNode_CapData::new(0, 58).into_word();
        ok(env.ipc.seL4_CNode_Mint(outer, 1, 2, root, inner, 64, seL4_CapRights::all(), data));
        ok(env.ipc.seL4_CNode_Mint(inner, 9, 4, root, ep, 64, seL4_CapRights::all(), 0x33));
        let thread = env.thread(200, 0);
        ok(env.ipc.seL4_TCB_SetSpace(thread.tcb, 0, outer, 0, sel4_sys::seL4_CapInitThreadVSpace, 0));
        env.start(thread, caller, 1 << 62 | 9, 5);
        let (_, badge) = env.ipc.seL4_Recv(ep, ());
        assert_eq!((badge, env.ipc.msg[0]), (0x33, 5));
    }
}

/// Two threads call each other often; used by the benchmark as well.
pub(crate) fn call_often(env: &mut Env, ep: u64, count: u64) {
    for i in 0..count {
        env.ipc.msg[0] = i;
        env.ipc.seL4_Call(ep, seL4_MessageInfo::new(0, 0, 0, 1));
        assert_eq!(env.ipc.msg[0], i + 1);
    }
}

case! {
    /// Many calls, so that ticks fall everywhere.
    ipc_many_calls, env => {
        let ep = env.endpoint();
        env.spawn(200, echo, ep, 0);
        call_often(env, ep, 20_000);
    }
}
