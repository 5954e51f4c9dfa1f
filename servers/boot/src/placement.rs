//! Which core each thread runs on, as data.
//!
//! Everything that commands (linker server, workers, timer, log, module store, console) stays on the core where the kernel
//! starts the root task: [`CONTROL_CORE`]. Driver servers run on the others, by the table [`PLACES`]. So a driver that
//! never ends keeps its own core and leaves the linker server its own.

use strata_protocol::start::{CONTROL_CORE, PLACES_MAX, Place};

/// Driver servers and the core that each would like to have, on a machine with as many as the kernel can use.
///
/// Devices are spread; the threads without a device, which tests and benchmarks keep busy, are one on each core.
pub const PLACES: &[(&str, u32)] = &[
    ("uart", 1),
    ("mini-uart", 1),
    ("rtc", 2),
    ("gpio", 1),
    ("i2c", 3),
    ("spi", 2),
    ("rng", 3),
    ("systimer", 2),
    ("mailbox", 1),
    ("hole", 3),
    ("demo", 1),
    ("demo2", 2),
    ("bench", 3),
];

const _: () = assert!(PLACES.len() <= PLACES_MAX);

/// The core that stands for `wanted` on a machine with `cores` of them: the control core is shared only if there is no
/// other.
#[must_use]
pub const fn fold(wanted: u32, cores: u32) -> u32 {
    if wanted == CONTROL_CORE || cores <= 1 { CONTROL_CORE } else { 1 + (wanted - 1) % (cores - 1) }
}

/// The table for a machine with so many cores, as it stands in a start page.
#[must_use]
pub fn places(cores: u32) -> [Place; PLACES_MAX] {
    let mut places = [Place::default(); PLACES_MAX];
    for (place, (name, wanted)) in places.iter_mut().zip(PLACES) {
        *place = Place::new(name, fold(*wanted, cores));
    }
    places
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    /// Most cores of the kernel's profile for several.
    const CORES_MAX: u32 = 4;

    #[test]
    fn every_machine_has_the_cores_that_are_named_and_drivers_leave_the_control_core_alone() {
        for cores in 1..=CORES_MAX {
            let used: BTreeSet<u32> = places(cores)[..PLACES.len()].iter().map(|place| place.core).collect();
            let expected: BTreeSet<u32> =
                if cores == 1 { [CONTROL_CORE].into() } else { (1..cores).collect() };
            assert_eq!(used, expected, "{cores} cores");
        }
    }

    #[test]
    fn a_thread_is_found_by_its_name_and_others_are_on_the_control_core() {
        let places = places(CORES_MAX);
        let of = |name| strata_protocol::start::core_of(&places, name);
        assert_eq!((of("uart"), of("demo2"), of("bench")), (1, 2, 3));
        assert_eq!((of("worker0"), of("dem"), of("")), (CONTROL_CORE, CONTROL_CORE, CONTROL_CORE));
        let names: BTreeSet<&str> = PLACES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), PLACES.len(), "a name stands there twice");
    }
}
