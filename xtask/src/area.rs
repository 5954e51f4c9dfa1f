//! The parts of the system that can be tried alone: `x test kernel` and `x test linker`.

/// One of them.
#[derive(Debug)]
pub(crate) struct Area {
    /// As the only filter of `x test` it means this area, all of it and nothing else.
    pub(crate) name: &'static str,
    /// What has host tests that hold it, or hold its tests.
    pub(crate) packages: &'static [&'static str],
    /// What the names of its on-target cases contain.
    pub(crate) cases: &'static str,
    /// What those of its cases contain that every complete run has on several cores as well. Who tries the area alone
    /// gets all of them there.
    pub(crate) cases_of_several: &'static [&'static str],
    /// Does it judge modules as they were built?
    pub(crate) modules: bool,
}

impl Area {
    /// The area that somebody means who names these filters.
    pub(crate) fn named(filters: &[String]) -> Option<&'static Self> {
        let [only] = filters else { return None };
        AREAS.iter().find(|area| area.name == only)
    }
}

/// What decides in the kernel: it has a second profile, for several cores.
pub(crate) const KERNEL_CORE: &str = "microkernel-core";

/// All of them.
pub(crate) const AREAS: &[Area] = &[
    Area {
        name: "kernel",
        packages: &["microkernel-abi", KERNEL_CORE, "kernel-calls", "cache-lint"],
        cases: "::kernel::",
        cases_of_several: &["::kernel::"],
        modules: false,
    },
    Area {
        name: "linker",
        packages: &[
            "kmod",
            "aarch64-reloc",
            "kmod-trust",
            "linker-core",
            "linker-books",
            "linker-unwind",
            "strata-protocol",
            "link-tests",
            "strata-fuzz",
            "strata-models",
        ],
        cases: "::agent::",
        cases_of_several: &[
            "::agent::smp_",
            "::agent::soak_",
            "::agent::r10_",
            "::agent::r26_changes",
            "::agent::s15_",
            "::agent::s34_loop",
        ],
        modules: true,
    },
];
