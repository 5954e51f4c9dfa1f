//! Rough costs. Under `-icount shift=0` one nanosecond of the virtual counter is one instruction.
use crate::case;
use crate::env::{Env, ok};
use crate::ipc::echo;
use crate::say;
use core::arch::asm;
use sel4_sys::{
    seL4_ARM_VMAttributes, seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace, seL4_CapRights,
    seL4_MessageInfo, seL4_Signal, seL4_Yield,
};

/// Repetitions of what is measured.
const ROUNDS: u64 = 1000;

/// Nanoseconds.
fn now() -> u64 {
    let (count, frequency): (u64, u64);
    // SAFETY: reads a counter.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) count) };
    // SAFETY: reads the counter's frequency.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) frequency) };
    count * (1_000_000_000 / frequency)
}

fn measure(env: &mut Env, name: &str, mut work: impl FnMut(&mut Env)) {
    let start = now();
    for _ in 0..ROUNDS {
        work(env);
    }
    say!("bench {name}: {} instructions", (now() - start) / ROUNDS);
}

case! {
    /// Costs of the common calls, the user's share included.
    bench_calls, env => {
        let ep = env.endpoint();
        env.spawn(200, echo, ep, 0);
        for length in [0, 1, 3, 10] {
            let name = ["call.0", "call.1", "call.3", "call.10"][[0, 1, 3, 10].iter().position(|&l| l == length).expect("listed")];
            measure(env, name, |env| {
                env.ipc.seL4_Call(ep, seL4_MessageInfo::new(0, 0, 0, length));
            });
        }
        measure(env, "yield", |_| seL4_Yield());
        let ntfn = env.notification();
        measure(env, "signal.wait", |env| {
            seL4_Signal(ntfn);
            env.ipc.seL4_Wait(ntfn);
        });
        let slot = env.slot();
        let root = seL4_CapInitThreadCNode;
        measure(env, "cnode.copy.delete", |env| {
            ok(env.ipc.seL4_CNode_Copy(root, slot, 64, root, ep, 64, seL4_CapRights::all()));
            ok(env.ipc.seL4_CNode_Delete(root, slot, 64));
        });
        let frame = env.frame();
        env.map(frame, crate::env::SCRATCH);
        measure(env, "page.unmap.map", |env| {
            ok(env.ipc.seL4_ARM_Page_Unmap(frame));
            let (rw, data) = (seL4_CapRights::read_write(), seL4_ARM_VMAttributes::data());
            ok(env.ipc.seL4_ARM_Page_Map(frame, seL4_CapInitThreadVSpace, crate::env::SCRATCH, rw, data));
        });
        measure(env, "page.unify.64", |env| {
            ok(env.ipc.seL4_ARM_Page_Unify_Instruction(frame, 0, 64));
        });
    }
}
