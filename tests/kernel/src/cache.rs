//! Instructions that are written: what must come between the store and the execution.
//!
//! QEMU models no caches, so that these cases pass whatever is left out; the cache lint of the host watches them. The
//! ones marked `UNMAINTAINED` leave a step out on purpose and pass only if the lint says so.
use crate::env::{Env, SCRATCH, ok};
use crate::{UNMAINTAINED, case};
use core::arch::asm;
use sel4_sys::{seL4_ARM_VMAttributes, seL4_CapInitThreadVSpace, seL4_CapRights, seL4_Error};

const VSPACE: u64 = seL4_CapInitThreadVSpace;
const WRITE: u64 = SCRATCH + (3 << 39);
const RUN: u64 = WRITE + 0x1_0000;
const RET: u32 = 0xd65f_03c0;

/// A frame that is written at [`WRITE`] and executed at [`RUN`].
struct Text {
    /// The capability that is mapped at [`WRITE`].
    data: u64,
    /// The capability that is mapped at [`RUN`].
    text: u64,
}

fn pointer<T>(address: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("64 bits"))
}

impl Text {
    fn new(env: &mut Env) -> Self {
        let data = env.frame();
        env.map(data, WRITE);
        let text = env.copy(data);
        env.map_in(
            VSPACE,
            text,
            RUN,
            seL4_CapRights::read_only(),
            seL4_ARM_VMAttributes::seL4_ARM_Default_VMAttributes,
        );
        Self { data, text }
    }

    /// Makes the function return `n`.
    fn write(&self, n: u32) {
        // SAFETY: mapped read-write; no Rust object lies there.
        unsafe { pointer::<[u32; 2]>(WRITE).write_volatile([0xd280_0000 | n << 5, RET]) };
    }

    /// Stores one instruction, `place` words on.
    fn patch(&self, place: u64, bits: u32) {
        // SAFETY: as in `write`.
        unsafe { pointer::<u32>(WRITE + place * 4).write_volatile(bits) };
    }

    fn call(&self) -> u64 {
        // SAFETY: instructions with the C calling convention are there, which end with `ret`.
        let function: extern "C" fn() -> u64 = unsafe { core::mem::transmute(pointer::<()>(RUN)) };
        function()
    }
}

/// DC CVAU: the line's stores reach the point of unification.
fn clean(at: u64) {
    // SAFETY: cache maintenance changes no value.
    unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
}

/// IC IVAU: fetches of the line start anew.
fn invalidate(at: u64) {
    // SAFETY: cache maintenance changes no value.
    unsafe { asm!("ic ivau, {}", in(reg) at, options(nostack, preserves_flags)) };
}

/// DSB ISH: the maintenance before it is complete.
fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// ISB: this thread fetches anew.
fn synchronise() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

case! {
    /// Code written through one mapping and executed through another: Unify makes it visible, again and again.
    cache_unify, env => {
        let code = Text::new(env);
        for n in 0..50 {
            code.write(n);
            if n % 2 == 0 {
                ok(env.ipc.seL4_ARM_Page_Unify_Instruction(code.text, 0, 8));
            } else {
                ok(env.ipc.seL4_ARM_VSpace_Unify_Instruction(VSPACE, RUN, RUN + 8));
            }
            assert_eq!(code.call(), u64::from(n));
        }
    }
}

case! {
    /// The data operations and their errors.
    cache_data, env => {
        let code = Text::new(env);
        let (illegal, invalid) = (seL4_Error::seL4_IllegalOperation, seL4_Error::seL4_InvalidArgument);
        let ipc = &mut *env.ipc;
        ok(ipc.seL4_ARM_Page_Clean_Data(code.data, 0, 4096));
        ok(ipc.seL4_ARM_Page_CleanInvalidate_Data(code.data, 64, 65));
        assert_eq!(ipc.seL4_ARM_Page_Invalidate_Data(code.text, 0, 4096), illegal);
        assert_eq!(ipc.seL4_ARM_VSpace_Invalidate_Data(VSPACE, RUN, RUN + 8), illegal);
        ok(ipc.seL4_ARM_Page_Invalidate_Data(code.data, 0, 4096));
        ok(ipc.seL4_ARM_VSpace_Clean_Data(VSPACE, WRITE, WRITE + 4096));
        ok(ipc.seL4_ARM_VSpace_Invalidate_Data(VSPACE, WRITE, WRITE + 64));
        assert_eq!(ipc.seL4_ARM_Page_Clean_Data(code.data, 8, 8), invalid);
        assert_eq!(ipc.seL4_ARM_Page_Clean_Data(code.data, 0, 4097), invalid);
        assert_eq!(ipc.seL4_ARM_VSpace_Clean_Data(VSPACE, WRITE, WRITE + 4097), seL4_Error::seL4_RangeError);
        assert_eq!(ipc.seL4_ARM_VSpace_Clean_Data(VSPACE, WRITE, 1 << 60), illegal);
        let unmapped = env.frame();
        assert_eq!(env.ipc.seL4_ARM_Page_Clean_Data(unmapped, 0, 8), illegal);
    }
}

case! {
    /// A thread does the maintenance itself: the kernel opens the instructions to user level (SCTLR_EL1.UCI).
    cache_user, env => {
        let code = Text::new(env);
        for n in 0..10 {
            code.write(n);
            clean(WRITE);
            barrier();
            invalidate(RUN);
            barrier();
            synchronise();
            assert_eq!(code.call(), u64::from(n));
        }
    }
}

case! {
    /// A branch replaces a branch while it is in use, which needs no maintenance before the next call, but some.
    cache_branch, env => {
        let code = Text::new(env);
        // b +1 or +3: mov x0, #1; ret; mov x0, #2; ret.
        for (place, bits) in [(0, 0x1400_0001), (1, 0xd280_0020), (2, RET), (3, 0xd280_0040), (4, RET)] {
            code.patch(place, bits);
        }
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(code.text, 0, 20));
        assert_eq!(code.call(), 1);
        code.patch(0, 0x1400_0003);
        // Old or new: both are allowed here.
        assert!([1, 2].contains(&code.call()));
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(code.text, 0, 4));
        assert_eq!(code.call(), 2);
    }
}

case! {
    /// No maintenance at all.
    control_none, env, UNMAINTAINED => {
        let code = Text::new(env);
        code.write(1);
        code.call();
    }
}

case! {
    /// The data is cleaned, the instruction cache is not told.
    control_no_invalidate, env, UNMAINTAINED => {
        let code = Text::new(env);
        code.write(1);
        ok(env.ipc.seL4_ARM_Page_Clean_Data(code.data, 0, 8));
        code.call();
    }
}

case! {
    /// The invalidation does not wait for the clean.
    control_no_barrier, env, UNMAINTAINED => {
        let code = Text::new(env);
        code.write(1);
        clean(WRITE);
        invalidate(RUN);
        barrier();
        synchronise();
        code.call();
    }
}

case! {
    /// Invalidated at the address that writes, which a virtually indexed cache does not find it by.
    control_other_address, env, UNMAINTAINED => {
        let code = Text::new(env);
        code.write(1);
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(code.data, 0, 8));
        code.call();
    }
}

case! {
    /// The core that executes has not synchronised.
    control_no_synchronisation, env, UNMAINTAINED => {
        let code = Text::new(env);
        code.write(1);
        clean(WRITE);
        barrier();
        invalidate(RUN);
        barrier();
        code.call();
    }
}

case! {
    /// A branch replaced a branch, was used, and nothing ever followed.
    control_branch, env, UNMAINTAINED => {
        let code = Text::new(env);
        for (place, bits) in [(0, 0x1400_0001), (1, RET), (2, RET)] {
            code.patch(place, bits);
        }
        ok(env.ipc.seL4_ARM_Page_Unify_Instruction(code.text, 0, 12));
        code.call();
        code.patch(0, 0x1400_0002);
        code.call();
    }
}
