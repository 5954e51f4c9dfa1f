//! What the kernel answers, held against what seL4 answers: a small world of objects and every call of a list in it.
//!
//! `methods` says for each invocation which objects, words and capabilities are tried; all combinations are made, and
//! for each truncated message its corners. A call that succeeds may have changed the world, which is then made anew. A
//! digest of all answers of an invocation (error, words, and after a success the kinds of all capabilities) is compared
//! with the one that the reference kernel gave to this same program. `trace=1` in the boot arguments prints each
//! answer, and the digests instead of comparing them: the lines of two kernels can then be compared.
mod methods;
mod world;

use crate::env::Env;
use crate::{case, say};
use core::arch::asm;
use kernel_calls::{ANSWERS, answer_name, label_name};
use methods::{METHODS, Method};
use microkernel_abi::error::Error;
use microkernel_abi::label;
use microkernel_abi::syscall::CALL;
use sel4_sys::{seL4_IPCBuffer, seL4_MessageInfo};
use world::World;

/// Words of the longest call: two of `TCB_WriteRegisters`, and all registers.
const WORDS_MAX: usize = 38;
/// Capabilities of the call with the most.
const CAPS_MAX: usize = 3;

/// One call.
#[derive(Clone, Copy)]
struct Call {
    object: u64,
    label: u64,
    length: usize,
    words: [u64; WORDS_MAX],
    extra: usize,
    caps: [u64; CAPS_MAX],
}

/// What came back: the error or 0, and the words of the answer.
struct Answer {
    error: u64,
    length: usize,
    words: [u64; 4],
}

impl Call {
    fn make(&self, ipc: &mut seL4_IPCBuffer) -> Answer {
        ipc.msg[..WORDS_MAX].copy_from_slice(&self.words);
        ipc.caps_or_badges = self.caps;
        let mut info =
            seL4_MessageInfo::new(self.label, 0, self.extra as u64, self.length as u64).into_word();
        let [mut a, mut b, mut c, mut d] = [self.words[0], self.words[1], self.words[2], self.words[3]];
        // SAFETY: a Call to an object of the kernel changes these registers and the IPC buffer, which is handed in; what
        // it does to the world concerns nothing that this program runs on.
        unsafe {
            asm!(
                "svc #0",
                in("x7") CALL,
                in("x6") core::ptr::from_mut(ipc),
                inlateout("x0") self.object => _,
                inlateout("x1") info,
                inlateout("x2") a,
                inlateout("x3") b,
                inlateout("x4") c,
                inlateout("x5") d,
                options(nostack),
            );
        }
        let length = usize::try_from(info & 0x7f).expect("seven bits");
        Answer { error: info >> 12, length, words: [a, b, c, d] }
    }
}

/// FNV-1a over words.
struct Digest(u64);

impl Digest {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// The answers to one method.
struct Run<'a> {
    env: &'a mut Env,
    world: &'a World,
    digest: Digest,
    counts: [u32; ANSWERS],
    trace: bool,
}

impl Run<'_> {
    /// Makes the call and takes down what comes of it.
    fn call(&mut self, call: &Call) {
        let answer = call.make(self.env.ipc);
        // An address of memory is no answer that two kernels share, nor is the number of the machine's interrupts.
        let is_private = match call.label {
            label::PAGE_GET_ADDRESS => answer.error == 0,
            label::IRQ_ISSUE_IRQ_HANDLER | label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER => {
                answer.error == Error::RangeError as u64
            }
            _ => false,
        };
        let words = if is_private { &[][..] } else { &answer.words[..answer.length.min(4)] };
        for word in [answer.error, answer.length as u64].iter().chain(words) {
            self.digest.add(*word);
        }
        if let Some(count) = usize::try_from(answer.error).ok().and_then(|error| self.counts.get_mut(error)) {
            *count += 1;
        }
        if self.trace {
            say!(
                "answer {} on {} {:x?} {:?}: {} {:x?}",
                label_name(usize::try_from(call.label).unwrap_or(0)),
                call.object,
                &call.words[..call.length.min(8)],
                &call.caps[..call.extra],
                answer_name(usize::try_from(answer.error).unwrap_or(0)),
                words,
            );
        }
        if answer.error == 0 {
            self.world.kinds().for_each(|kind| self.digest.add(kind));
            self.world.make_anew(self.env);
        }
    }

    /// Every combination of the method's values.
    fn all(&mut self, method: &Method) {
        for &object in method.on {
            let (length, extra) = (method.words.len(), method.caps.len());
            let mut call = Call {
                object,
                label: method.label,
                length,
                words: [0; WORDS_MAX],
                extra,
                caps: [0; CAPS_MAX],
            };
            // Combinations are numbers whose digits choose the values.
            let values = || method.words.iter().chain(method.caps);
            let total: usize = values().map(|values| values.len()).product();
            for number in 0..total {
                let mut rest = number;
                let mut is_corner = true;
                for (place, values) in values().enumerate() {
                    let (digit, last) = (rest % values.len(), values.len() - 1);
                    rest /= values.len();
                    is_corner &= digit == 0 || digit == last;
                    *match place.checked_sub(length) {
                        None => &mut call.words[place],
                        Some(cap) => &mut call.caps[cap],
                    } = values[digit];
                }
                self.call(&call);
                if is_corner {
                    (0..length).for_each(|length| self.call(&Call { length, ..call }));
                    (0..extra).for_each(|extra| self.call(&Call { extra, ..call }));
                }
            }
        }
    }
}

/// Calls each of `methods`, each in a world of its own.
fn compare(env: &mut Env, methods: &[Method]) {
    let trace = env.boot_argument("trace=").is_some();
    let world = World::new(env);
    let (mut calls, mut different) = (0, 0);
    for method in methods {
        world.make_anew(env);
        let mut run =
            Run { env: &mut *env, world: &world, digest: Digest::new(), counts: [0; ANSWERS], trace };
        run.all(method);
        let (digest, counts) = (run.digest.0, run.counts);
        let name = label_name(usize::try_from(method.label).unwrap_or(0));
        let count: u32 = counts.iter().sum();
        calls += count;
        crate::say_part!("answers: {name}: {count} calls, digest {digest:#018x}");
        for (error, count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            crate::say_part!(", {} {count}", answer_name(error));
        }
        let is_same = digest == method.digest;
        different += u32::from(!is_same);
        say!("{}", if is_same { "" } else { " -- DIFFERENT" });
    }
    world.end(env);
    say!("answers: {calls} calls of {} invocations, {different} different", methods.len());
    assert!(trace || different == 0, "{different} invocations are not answered as seL4 does");
}

case! {
    /// Every invocation, with good and bad words and capabilities, is answered as seL4 answers it.
    answers_are_those_of_sel4, env => {
        compare(env, METHODS);
    }
}
