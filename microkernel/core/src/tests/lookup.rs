//! Capability addresses against a naive reading of them, bit by bit.
use super::world::World;
use crate::cap::{Cap, View};
use crate::handle::Slot;
use microkernel_abi::error::LookupFailure;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use std::vec::Vec;

/// The bits of an address, first to last.
fn bits(address: u64, count: u64) -> Vec<bool> {
    (0..count).rev().map(|i| address >> i & 1 != 0).collect()
}

fn number(bits: &[bool]) -> u64 {
    bits.iter().fold(0, |sum, &bit| sum << 1 | u64::from(bit))
}

/// Eats guard and index from the front.
fn naive(world: &World, root: Cap, address: &[bool]) -> Result<(Slot, u64), LookupFailure> {
    let View::CNode { base, radix, guard, guard_bits } = root.view() else {
        return Err(LookupFailure::InvalidRoot);
    };
    let left = address.len() as u64;
    let (g, r) = (guard_bits as usize, radix as usize);
    if g > address.len() || number(&address[..g]) != guard {
        return Err(LookupFailure::GuardMismatch {
            bits_left: left as u16,
            guard_found: guard,
            bits_found: guard_bits as u16,
        });
    }
    if g + r > address.len() {
        return Err(LookupFailure::DepthMismatch {
            bits_left: left as u16,
            bits_found: (radix + guard_bits) as u16,
        });
    }
    let slot = Slot::at(base).offset(number(&address[g..g + r]));
    let rest = &address[g + r..];
    let cap = world.k.cap(slot);
    if rest.is_empty() || !matches!(cap.view(), View::CNode { .. }) {
        return Ok((slot, rest.len() as u64));
    }
    naive(world, cap, rest)
}

fn guard() -> impl Strategy<Value = (u64, u64)> {
    (0..64_u64, any::<u64>()).prop_map(|(bits, value)| (bits, Cap::guard_masked(value & 3, bits)))
}

proptest! {
    #[test]
    fn resolve_agrees(outer in guard(), inner in guard(), address: u64, depth in 0..=64_u64, low in any::<bool>()) {
        let mut world = World::new();
        let (a, b) = (world.make(4, 2), world.make(4, 3));
        let with_guard = |cap: Cap, (bits, value): (u64, u64)| match cap.view() {
            View::CNode { base, radix, .. } => {
                View::CNode { base, radix, guard: value, guard_bits: bits.min(64 - radix) }.pack()
            }
            _ => Cap::NULL,
        };
        let root = with_guard(world.k.cap(world.slot(a)), outer);
        let second = with_guard(world.k.cap(world.slot(b)), inner);
        let View::CNode { base, .. } = root.view() else { panic!() };
        // The second level is behind index 1.
        world.k.plant(Slot::at(base).offset(1), second);
        // Small numbers hit guards and slots more often.
        let address = if low { address & 0x3f } else { address };
        prop_assert_eq!(world.k.resolve(root, address, depth), naive(&world, root, &bits(address, depth)));
    }
}
