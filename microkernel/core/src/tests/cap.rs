//! Relations of capabilities, decided on their words, against the rules written out by kind.
use crate::cap::{Cap, FrameRights, FrameSize, Mapping, View, ZombieKind};
use crate::handle::{Endpoint, Notification, Tcb};
use microkernel_abi::rights::CapRights;
use std::vec::Vec;

const BASE: u64 = 0xffff_0000_4000_0000;

/// Capabilities of every kind at addresses that are equal, inside one another, and apart.
fn samples() -> Vec<View> {
    let mut views = std::vec![
        View::Null,
        View::IrqControl,
        View::AsidControl,
        View::Domain,
        View::IrqHandler { line: 33 },
        View::IrqHandler { line: 34 },
        View::Sgi { irq: 3, core: 0 },
        View::Sgi { irq: 3, core: 1 },
    ];
    for base in [BASE, BASE + 0x1000, BASE + 0x20_0000, BASE + 0x4000_0000] {
        let (tcb, rights) = (Tcb::at(base), CapRights::ALL);
        for bits in [4, 11, 12, 21, 31] {
            if base.is_multiple_of(1 << bits) {
                views.push(View::Untyped { base, bits, device: false, free: 0 });
                views.push(View::Untyped { base, bits, device: true, free: 16 });
            }
        }
        for badge in [0, 7] {
            views.push(View::Endpoint { ep: Endpoint::at(base), badge, rights });
            views.push(View::Notification { ntfn: Notification::at(base), badge, rights: CapRights(1) });
        }
        views.push(View::Reply { caller: tcb, master: true, grant: true });
        views.push(View::Reply { caller: tcb, master: false, grant: false });
        views.push(View::Thread { tcb });
        for radix in [1, 7] {
            views.push(View::CNode { base, radix, guard: 0, guard_bits: 5 });
            views.push(View::CNode { base, radix, guard: 1, guard_bits: 64 - radix });
            views.push(View::Zombie { base, kind: ZombieKind::CNode { radix }, count: 2 });
        }
        views.push(View::Zombie { base, kind: ZombieKind::Thread, count: 5 });
        let mapping = Some(Mapping { asid: 3, va: 0x1000 });
        for size in [FrameSize::Small, FrameSize::Large, FrameSize::Huge] {
            if base.is_multiple_of(1 << size.bits()) {
                let rights = FrameRights::ReadOnly;
                views.push(View::Frame { base, size, rights, device: true, mapping });
                views.push(View::Frame { base, size, rights, device: false, mapping: None });
            }
        }
        views.push(View::PageTable { base, mapping });
        views.push(View::VSpace { base, asid: None });
        views.push(View::VSpace { base, asid: Some(9) });
        views.push(View::AsidPool { base, first: 512 });
    }
    views
}

/// First and last byte of the object.
fn span(view: View) -> Option<(u64, u64)> {
    let (base, bits) = match view {
        View::Untyped { base, bits, .. } => (base, bits),
        View::Endpoint { ep, .. } => (ep.addr(), 4),
        View::Notification { ntfn, .. } => (ntfn.addr(), 5),
        View::CNode { base, radix, .. } | View::Zombie { base, kind: ZombieKind::CNode { radix }, .. } => {
            (base, radix + 5)
        }
        View::Thread { tcb } => (tcb.addr(), 11),
        View::Zombie { base, kind: ZombieKind::Thread, .. } => (base, 11),
        View::Frame { base, size, .. } => (base, size.bits()),
        View::PageTable { base, .. } | View::VSpace { base, .. } | View::AsidPool { base, .. } => (base, 12),
        _ => return None,
    };
    Some((base, base + (1 << bits) - 1))
}

fn same_object(a: View, b: View) -> bool {
    match (a, b) {
        (View::Endpoint { ep: a, .. }, View::Endpoint { ep: b, .. }) => a == b,
        (View::Notification { ntfn: a, .. }, View::Notification { ntfn: b, .. }) => a == b,
        (View::Reply { caller: a, .. }, View::Reply { caller: b, .. }) => a == b,
        (View::CNode { base: a, radix: ar, .. }, View::CNode { base: b, radix: br, .. }) => {
            (a, ar) == (b, br)
        }
        (View::Thread { tcb: a }, View::Thread { tcb: b }) => a == b,
        (View::IrqControl, View::IrqControl)
        | (View::AsidControl, View::AsidControl)
        | (View::Domain, View::Domain) => true,
        (View::IrqHandler { line: a }, View::IrqHandler { line: b }) => a == b,
        (View::Sgi { irq: a, core: ac }, View::Sgi { irq: b, core: bc }) => (a, ac) == (b, bc),
        (View::Frame { base: a, size: az, .. }, View::Frame { base: b, size: bz, .. }) => (a, az) == (b, bz),
        (View::PageTable { base: a, .. }, View::PageTable { base: b, .. })
        | (View::VSpace { base: a, .. }, View::VSpace { base: b, .. })
        | (View::AsidPool { base: a, .. }, View::AsidPool { base: b, .. }) => a == b,
        _ => false,
    }
}

fn covers(a: View, b: View) -> bool {
    match (a, b) {
        (View::Untyped { .. }, _) => {
            let ((start, end), inner) = (span(a).unwrap(), span(b));
            inner.is_some_and(|(first, last)| start <= first && last <= end)
        }
        (View::IrqControl, View::IrqHandler { .. } | View::Sgi { .. }) => true,
        _ => same_object(a, b),
    }
}

#[test]
fn words_mean_what_views_mean() {
    let views = samples();
    for &a in &views {
        let cap: Cap = a.pack();
        assert_eq!(cap.view(), a);
        let (base, bits) = cap.memory().unzip();
        assert_eq!(span(a), base.zip(bits).map(|(base, bits)| (base, base + (1 << bits) - 1)), "{a:x?}");
        for &b in &views {
            assert_eq!(cap.same_object(b.pack()), same_object(a, b), "{a:x?} {b:x?}");
            assert_eq!(cap.covers(b.pack()), covers(a, b), "{a:x?} {b:x?}");
        }
    }
}
