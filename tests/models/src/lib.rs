//! Explicit-state models of what must hold while code is replaced under running threads.
//!
//! QEMU shows neither caches nor most interleavings, and a test sees one run. So each protocol is written down as a
//! small model, every reachable state of it is visited, and so is every state of each **mutant**: the same model with
//! one rule dropped, which must fail, or the model looks at the wrong thing.
//!
//! Reading order: [`explore`] (the checker), [`counted`] and [`direct`] (who is inside), [`cache`] (who sees what was
//! written), [`start`] (going into service and out of it), [`transaction`] (the way back; it drives the machine of the
//! linker's core itself), [`revoke`] (rights), [`mutant`] (what is broken on purpose).

pub mod cache;
pub mod counted;
pub mod direct;
pub mod explore;
pub mod mutant;
pub mod revoke;
pub mod start;
pub mod transaction;

use cache::Cache;
use counted::Counted;
use direct::Direct;
use explore::{Verdict, explore};
use mutant::Mutant;
use revoke::Revocation;
use start::{Start, Way};
use transaction::{Kind, Transacted};

/// A model and the mutants that it must reject.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What is broken, each by itself.
    pub mutants: &'static [Mutant],
    /// Explores it as designed, or one mutant.
    pub run: fn(Option<Mutant>) -> Verdict,
}

/// Every model.
pub const ALL: &[Entry] = &[
    Entry {
        name: "counted",
        mutants: &[
            Mutant::OneCoreNotSynchronised,
            Mutant::LookBeforeRelink,
            Mutant::ListBeforeRelink,
            Mutant::VeneerIsOutside,
            Mutant::GateIsOutside,
            Mutant::CountInsideModule,
            Mutant::GateOnlyAtCatch,
            Mutant::RegistersOnceBefore,
            Mutant::RegistersOnceAfter,
            Mutant::RecordsOnly,
            Mutant::CountForEachCore,
        ],
        run: |mutant| explore(&Counted(mutant)),
    },
    Entry {
        name: "direct",
        mutants: &[
            Mutant::OneCoreNotSynchronised,
            Mutant::LookBeforeRelink,
            Mutant::ListBeforeRelink,
            Mutant::VeneerIsOutside,
            Mutant::LinkRegisterIgnored,
            Mutant::FrameWithoutTablesSkipped,
            Mutant::BlockedIsSkipped,
            Mutant::SuspendAndResume,
            Mutant::TwoMoments,
        ],
        run: |mutant| explore(&Direct(mutant)),
    },
    Entry {
        name: "cache",
        mutants: &[
            Mutant::OneCoreNotSynchronised,
            Mutant::NoClean,
            Mutant::NoBarrierBehindClean,
            Mutant::NoInvalidate,
            Mutant::NoBarrierBehindInvalidate,
            Mutant::InvalidateLocally,
            Mutant::InvalidateByOtherAddress,
            Mutant::VeneerAfterBranch,
            Mutant::VeneerPublishedWithBranch,
            Mutant::NoGraceBehindVeneer,
        ],
        run: |mutant| explore(&Cache(mutant)),
    },
    Entry {
        name: "start",
        mutants: &[Mutant::StartBeforeRelink, Mutant::StartBetweenPatches, Mutant::StartBeforeGrace],
        run: |mutant| explore(&Start(Way::In, mutant)),
    },
    Entry {
        name: "catch",
        mutants: &[Mutant::RelinkBeforeCatch, Mutant::FlagAndFlushApart, Mutant::FiniBeforeDrain],
        run: |mutant| explore(&Start(Way::Out, mutant)),
    },
    Entry {
        name: "load",
        mutants: &[
            Mutant::RefusedPatchIsNotTakenBack,
            Mutant::RevertIsSkipped,
            Mutant::NotKnowingIsNobody,
            Mutant::TicketsAreIgnored,
        ],
        run: |mutant| explore(&Transacted(Kind::Load, mutant)),
    },
    Entry {
        name: "unload",
        mutants: &[
            Mutant::RefusedPatchIsNotTakenBack,
            Mutant::RevertIsSkipped,
            Mutant::NotKnowingIsNobody,
            Mutant::TicketsAreIgnored,
        ],
        run: |mutant| explore(&Transacted(Kind::Unload, mutant)),
    },
    Entry { name: "pop", mutants: &[], run: |mutant| explore(&Transacted(Kind::Pop, mutant)) },
    Entry {
        name: "revoke",
        mutants: &[
            Mutant::AnswerBeforeGrace,
            Mutant::AnswerWithoutRelink,
            Mutant::HandedOnIsForgotten,
            Mutant::NoStub,
            Mutant::NoGenerationCheck,
        ],
        run: |mutant| explore(&Revocation(mutant)),
    },
];
