//! Invocations of kernel objects, one row each.
use super::{Invocation, bench, measure, measure_batches, report};
use crate::env::{Env, SCRATCH, ok};
use sel4_sys::abi::label;
use sel4_sys::{
    api_object, seL4_ARM_VMAttributes, seL4_CapInitThreadASIDPool, seL4_CapInitThreadCNode,
    seL4_CapInitThreadTCB, seL4_CapInitThreadVSpace, seL4_CapRights, seL4_UserContext,
};

const ROOT: u64 = seL4_CapInitThreadCNode;
const VSPACE: u64 = seL4_CapInitThreadVSpace;
const DATA: seL4_ARM_VMAttributes = seL4_ARM_VMAttributes::data();

bench! {
    /// Mapping and unmapping, cache maintenance.
    bench_memory, env => {
        let (frame, neighbour) = (env.frame(), env.frame());
        env.map(neighbour, SCRATCH);
        let va = SCRATCH + 4096;
        let rights = seL4_CapRights::read_write().0.0;
        let map = Invocation::new(env, frame, label::PAGE_MAP, &[va, rights, DATA.0], &[VSPACE]);
        let cost = measure(env, |env| {
            map.call();
            ok(env.ipc.seL4_ARM_Page_Unmap(frame));
        });
        report("kernel.page_map", cost.here);
        let unmap = Invocation::new(env, frame, label::PAGE_UNMAP, &[], &[]);
        let cost = measure(env, |env| {
            ok(env.ipc.seL4_ARM_Page_Map(frame, VSPACE, va, seL4_CapRights::read_write(), DATA));
            unmap.call();
        });
        report("kernel.page_unmap", cost.here);
        ok(env.ipc.seL4_ARM_Page_Map(frame, VSPACE, va, seL4_CapRights::read_write(), DATA));
        let unify = Invocation::new(env, frame, label::PAGE_UNIFY_INSTRUCTION, &[0, 4096], &[]);
        let cost = measure(env, |_| unify.call());
        report("kernel.page_unify", cost.here);

        let table = env.make(api_object::seL4_ARM_PageTableObject, 0);
        let va = SCRATCH + (1 << 21);
        let map = Invocation::new(env, table, label::PAGE_TABLE_MAP, &[va, DATA.0], &[VSPACE]);
        let cost = measure(env, |env| {
            map.call();
            ok(env.ipc.seL4_ARM_PageTable_Unmap(table));
        });
        report("kernel.page_table_map", cost.here);

        // A fresh address space each time; the memory is large enough for a batch.
        let memory = env.make(api_object::seL4_UntypedObject, 21);
        let space = env.slot();
        let pool = seL4_CapInitThreadASIDPool;
        let assign = Invocation::new(env, pool, label::ASID_POOL_ASSIGN, &[], &[space]);
        let retype = |env: &mut Env| {
            ok(env.ipc.seL4_Untyped_Retype(memory, api_object::seL4_ARM_VSpaceObject, 0, ROOT, 0, 0, space, 1));
            env.ipc.set_cap(0, space);
        };
        let keep = env.slot();
        let cost = measure_batches(
            env,
            |env| {
                ok(env.revoke(memory));
                ok(env.ipc.seL4_Untyped_Retype(memory, api_object::seL4_ARM_VSpaceObject, 0, ROOT, 0, 0, keep, 1));
            },
            |env| {
                retype(env);
                assign.call();
                ok(env.delete(space));
            },
        );
        report("kernel.asid_assign", cost.here);
    }
}

bench! {
    /// Making objects out of untyped memory that is not being zeroed.
    bench_retype, env => {
        let memory = env.make(api_object::seL4_UntypedObject, 14);
        let (keep, slot) = (env.slot(), env.slot());
        let kind = api_object::seL4_EndpointObject;
        let words = [kind, 0, 0, 0, slot, 1];
        let retype = Invocation::new(env, memory, label::UNTYPED_RETYPE, &words, &[ROOT]);
        let before = |env: &mut Env| {
            ok(env.revoke(memory));
            ok(env.ipc.seL4_Untyped_Retype(memory, kind, 0, ROOT, 0, 0, keep, 1));
        };
        let cost = measure_batches(env, before, |env| {
            (env.ipc.msg[4], env.ipc.msg[5]) = (slot, 1);
            env.ipc.set_cap(0, ROOT);
            retype.call();
            ok(env.delete(slot));
        });
        report("kernel.retype", cost.here);
    }
}

bench! {
    /// Capabilities: copied, minted, moved, deleted, revoked.
    bench_cnode, env => {
        let ep = env.endpoint();
        let (slot, other) = (env.slot(), env.slot());
        let all = seL4_CapRights::all().0.0;
        for (name, label, words) in [
            ("kernel.cnode.copy", label::CNODE_COPY, &[slot, 64, ep, 64, all][..]),
            ("kernel.cnode.mint", label::CNODE_MINT, &[slot, 64, ep, 64, all, 5]),
        ] {
            let make = Invocation::new(env, ROOT, label, words, &[ROOT]);
            let cost = measure(env, |env| {
                // The buffer holds the other invocation's words in between.
                (env.ipc.msg[4], env.ipc.msg[5]) = (all, 5);
                env.ipc.set_cap(0, ROOT);
                make.call();
                ok(env.delete(slot));
            });
            report(name, cost.here);
        }
        let delete = Invocation::new(env, ROOT, label::CNODE_DELETE, &[slot, 64], &[]);
        let cost = measure(env, |env| {
            ok(env.ipc.seL4_CNode_Copy(ROOT, slot, 64, ROOT, ep, 64, seL4_CapRights::all()));
            delete.call();
        });
        report("kernel.cnode.delete", cost.here);
        let revoke = Invocation::new(env, ROOT, label::CNODE_REVOKE, &[ep, 64], &[]);
        let badge = 5;
        let cost = measure(env, |env| {
            ok(env.ipc.seL4_CNode_Mint(ROOT, slot, 64, ROOT, ep, 64, seL4_CapRights::all(), badge));
            revoke.call();
        });
        report("kernel.cnode.revoke", cost.here);
        ok(env.ipc.seL4_CNode_Copy(ROOT, slot, 64, ROOT, ep, 64, seL4_CapRights::all()));
        let there = Invocation::new(env, ROOT, label::CNODE_MOVE, &[other, 64, slot, 64], &[ROOT]);
        let back = Invocation::new(env, ROOT, label::CNODE_MOVE, &[slot, 64, other, 64], &[ROOT]);
        let cost = measure(env, |_| {
            there.call();
            back.call();
        });
        // Two of them in a round; the readings of one were taken away.
        report("kernel.cnode.move", (cost.here - super::READINGS) / 2);
    }
}

bench! {
    /// Threads: configured, started, stopped.
    bench_tcb, env => {
        let thread = env.thread(1, 0);
        let (tcb, frame) = (thread.tcb, env.frame());
        let configure = Invocation::new(
            env,
            tcb,
            label::TCB_CONFIGURE,
            &[0, 0, 0, thread.buffer],
            &[ROOT, VSPACE, frame],
        );
        let cost = measure(env, |_| configure.call());
        report("kernel.tcb.configure", cost.here);
        let priority =
            Invocation::new(env, tcb, label::TCB_SET_PRIORITY, &[2], &[seL4_CapInitThreadTCB]);
        let cost = measure(env, |_| priority.call());
        report("kernel.tcb.set_priority", cost.here);
        let mut words = [0; 38];
        words[1] = (size_of::<seL4_UserContext>() / 8) as u64;
        let write = Invocation::new(env, tcb, label::TCB_WRITE_REGISTERS, &words, &[]);
        let cost = measure(env, |_| write.call());
        report("kernel.tcb.write_registers", cost.here);
        let resume = Invocation::new(env, tcb, label::TCB_RESUME, &[], &[]);
        let suspend = Invocation::new(env, tcb, label::TCB_SUSPEND, &[], &[]);
        let cost = measure(env, |env| {
            resume.call();
            ok(env.ipc.seL4_TCB_Suspend(tcb));
        });
        report("kernel.tcb.resume", cost.here);
        let cost = measure(env, |env| {
            ok(env.ipc.seL4_TCB_Resume(tcb));
            suspend.call();
        });
        report("kernel.tcb.suspend", cost.here);
    }
}
