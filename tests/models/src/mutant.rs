//! What is broken on purpose, so that a checker that finds nothing is known to look.

/// One deviation from the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A core goes on without a context synchronisation.
    OneCoreNotSynchronised,
    /// The linker looks while the entry is still open.
    LookBeforeRelink,
    /// Threads that are created after the linker has taken its list are not looked at.
    ListBeforeRelink,
    /// A program counter in a veneer to the module counts as outside.
    VeneerIsOutside,
    /// A program counter in the module's gate counts as outside.
    GateIsOutside,
    /// The record is made by the module and not by its gate, and only records count.
    CountInsideModule,
    /// The gate is put in when the module leaves, so that earlier callers have no record.
    GateOnlyAtCatch,
    /// Registers are read before the shadow stack only.
    RegistersOnceBefore,
    /// Registers are read after the shadow stack only.
    RegistersOnceAfter,
    /// Registers are not read.
    RecordsOnly,
    /// A count for each core, loaded and stored by a thread that may migrate in between.
    CountForEachCore,
    /// The link register is not looked at.
    LinkRegisterIgnored,
    /// A frame of code without tables ends the unwinding instead of being scanned.
    FrameWithoutTablesSkipped,
    /// A thread that is blocked in a message is not looked at.
    BlockedIsSkipped,
    /// A thread is suspended for the look and resumed.
    SuspendAndResume,
    /// Registers and stack are read while the thread runs.
    TwoMoments,
    /// The data cache is not cleaned.
    NoClean,
    /// Invalidation does not wait for the clean.
    NoBarrierBehindClean,
    /// The instruction cache is not invalidated.
    NoInvalidate,
    /// Synchronisation does not wait for the invalidation.
    NoBarrierBehindInvalidate,
    /// Only the linker's own core invalidates.
    InvalidateLocally,
    /// The line is invalidated by an address that does not execute.
    InvalidateByOtherAddress,
    /// The veneer is written after the branch to it.
    VeneerAfterBranch,
    /// Veneer and branch are made visible together.
    VeneerPublishedWithBranch,
    /// No core synchronises between the veneer and the branch to it.
    NoGraceBehindVeneer,
    /// START comes before the relink.
    StartBeforeRelink,
    /// START comes when half of the sites are patched.
    StartBetweenPatches,
    /// START comes before the grace.
    StartBeforeGrace,
    /// The relink comes before CATCH.
    RelinkBeforeCatch,
    /// CATCH sets its flag and flushes, not under one lock, and nobody flushes again.
    FlagAndFlushApart,
    /// FINI comes without a drain.
    FiniBeforeDrain,
    /// A revoke is answered before the grace.
    AnswerBeforeGrace,
    /// A revoke only takes the right out of the books.
    AnswerWithoutRelink,
    /// Whoever was handed the right keeps it.
    HandedOnIsForgotten,
    /// The sites of a revoked right lead to nothing.
    NoStub,
    /// A plan that was made before the revoke is carried out after it.
    NoGenerationCheck,
    /// A refused patch leaves the ones before it.
    RefusedPatchIsNotTakenBack,
    /// The way back does not re-point the sites.
    RevertIsSkipped,
    /// A look that fails is taken for "nobody".
    NotKnowingIsNobody,
    /// A late answer is taken for the answer that is waited for.
    TicketsAreIgnored,
}
