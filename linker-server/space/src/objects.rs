//! Kernel objects: the only place that takes untyped memory, slots and capabilities, and charges them.
//!
//! **Invariant:** every capability in the linker server's CNode from `first_free` on was put there by
//! this file and stands in the ledger. [`Objects::walk`] proves it by asking the kernel.

use crate::error::{ObjectError, Operation, check};
use linker_books::buddy::{Block, Buddy, Next};
use linker_books::ledger::{Account, Charge, Ledger};
use linker_books::slots::{OutOfSlots, Slots};
use linker_books::{BLOCK_BITS_MIN, SLOTS_MAX};
use sel4_sys::api_object::{seL4_ARM_SmallPageObject, seL4_UntypedObject};
use sel4_sys::{seL4_CPtr, seL4_CapRights, seL4_Error, seL4_IPCBuffer, seL4_Word, seL4_WordBits};
use strata_protocol::caps;

/// All CPtrs of the linker server resolve at this depth: its CNode's guard fills the word.
pub const DEPTH: u8 = {
    assert!(seL4_WordBits == 64, "CPtrs are 64 bits");
    64
};

/// Size in bits of a page.
pub const PAGE_BITS: u8 = 12;
/// Size of a page in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;

/// Frames that one Retype makes (`RetypeFanOutLimit` of the ABI profile).
const FAN_OUT_MAX: u64 = 256;

/// An untyped object that is set aside for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untyped {
    block: Block,
    /// Its capability.
    pub cap: seL4_CPtr,
    /// Its size in bits.
    pub bits: u8,
    account: Account,
}

/// What one walk of the capability space found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Non-empty slots in all.
    pub filled: u32,
    /// Slots that hold a capability though the book says free.
    pub unknown: u32,
    /// Filled slots of the part that the linker server manages.
    pub managed: u32,
}

/// The linker server's kernel objects.
pub struct Objects {
    /// The IPC buffer, through which every invocation goes.
    pub ipc: &'static mut seL4_IPCBuffer,
    root: seL4_CPtr,
    first_free: usize,
    slots: Slots,
    buddy: &'static mut Buddy,
    ledger: Ledger,
    trial: Trial,
    rest: seL4_Word,
}

/// Whether a step is to fail, so that a case can see every way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// Never: a boot that runs no case.
    Forbidden,
    /// None.
    Off,
    /// The one after so many.
    After(u32),
}

impl Objects {
    /// Empty books over a CNode whose slots from `first_free` on are empty.
    #[must_use]
    pub const fn new(
        ipc: &'static mut seL4_IPCBuffer,
        root: seL4_CPtr,
        first_free: usize,
        buddy: &'static mut Buddy,
    ) -> Self {
        Self {
            ipc,
            root,
            first_free,
            slots: Slots::new(first_free),
            buddy,
            ledger: Ledger::new(),
            trial: Trial::Forbidden,
            rest: caps::priority::LINKER,
        }
    }

    /// Sets the priority at which the linker server waits and works.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn rest_at(&mut self, priority: seL4_Word) -> Result<(), ObjectError> {
        let own = caps::slot::TCB;
        check(Operation::Priority, self.ipc.seL4_TCB_SetPriority(own, own, priority))?;
        self.rest = priority;
        Ok(())
    }

    /// The priority that was set last.
    #[must_use]
    pub const fn resting_priority(&self) -> seL4_Word {
        self.rest
    }

    /// Takes the untyped object that everything is carved from.
    ///
    /// # Errors
    /// [`ObjectError::Memory`] when its size is none the book can manage.
    pub fn adopt(&mut self, cap: seL4_CPtr, bits: u8) -> Result<(), ObjectError> {
        let slot = u16::try_from(cap).map_err(|_| ObjectError::Slots(OutOfSlots(0)))?;
        Ok(self.buddy.adopt(slot, bits)?)
    }

    /// Lets cases have steps fail: in boots that run one.
    pub const fn allow_trials(&mut self) {
        self.trial = Trial::Off;
    }

    /// Has one step fail: that after `steps` more of them, or none. False where trials are not allowed.
    pub fn fail_after(&mut self, steps: Option<u32>) -> bool {
        let allowed = self.trial != Trial::Forbidden;
        if allowed {
            self.trial = steps.map_or(Trial::Off, Trial::After);
        }
        allowed
    }

    /// Comes before each step that may fail: the taking of slots, and invocations that make, copy or map something.
    pub(crate) fn step(&mut self, operation: Operation) -> Result<(), ObjectError> {
        match self.trial {
            Trial::Forbidden | Trial::Off => Ok(()),
            Trial::After(0) => {
                self.trial = Trial::Off;
                Err(ObjectError::Kernel(operation, seL4_Error::seL4_NotEnoughMemory))
            }
            Trial::After(steps) => {
                self.trial = Trial::After(steps - 1);
                Ok(())
            }
        }
    }

    fn take_slots(&mut self, count: usize, operation: Operation) -> Result<usize, ObjectError> {
        self.step(operation)?;
        Ok(self.slots.take_run(count)?)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Opens an account.
    ///
    /// # Errors
    /// [`ObjectError::Ledger`] when all are open.
    pub fn open_account(&mut self, name: &str) -> Result<Account, ObjectError> {
        self.step(Operation::Retype)?;
        Ok(self.ledger.open(name)?)
    }

    /// Closes an account on which nothing is left.
    ///
    /// # Errors
    /// [`ObjectError::Ledger`] when something was not given back.
    pub fn close_account(&mut self, account: Account) -> Result<(), ObjectError> {
        Ok(self.ledger.close(account)?)
    }

    /// Untyped bytes that nobody has.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.buddy.free_bytes()
    }

    /// Sets aside an untyped object of at least `bytes`.
    ///
    /// # Errors
    /// [`ObjectError`]; then everything is as before.
    pub fn take_untyped(&mut self, bytes: u64, account: Account) -> Result<Untyped, ObjectError> {
        let bits = bits_for(bytes);
        loop {
            match self.buddy.plan(bits)? {
                Next::Split { block, bits } => {
                    let slot = match self.split(block, bits) {
                        Ok(slot) => slot,
                        Err(error) => {
                            self.join(block)?;
                            return Err(error);
                        }
                    };
                    self.ledger.charge(Account::LINKER, Charge::capabilities(2));
                    let slot = u16::try_from(slot).map_err(|_| OutOfSlots(2))?;
                    self.buddy.split(block, slot, slot + 1);
                }
                Next::Take(block) => {
                    self.buddy.take(block);
                    self.ledger.charge(account, Charge::untyped(1 << bits));
                    return Ok(Untyped { block, cap: self.buddy.slot(block).into(), bits, account });
                }
            }
        }
    }

    /// Makes the two halves of a block, of `bits` each, and returns the first one's slot.
    fn split(&mut self, block: Block, bits: u8) -> Result<usize, ObjectError> {
        let slot = self.take_slots(2, Operation::Retype)?;
        let from = seL4_CPtr::from(self.buddy.slot(block));
        let made = self.retype(from, seL4_UntypedObject, bits, slot, 2);
        if made.is_err() {
            self.slots.give_back(slot, 2);
        }
        made.map(|()| slot)
    }

    /// Joins a free block with its other half, if that is free, and so on upwards.
    fn join(&mut self, mut block: Block) -> Result<(), ObjectError> {
        while let Some(parent) = self.buddy.joinable(block) {
            for half in [parent.left(), parent.right()] {
                let slot = self.buddy.slot(half).into();
                check(Operation::Delete, self.ipc.seL4_CNode_Delete(self.root, slot, DEPTH))?;
            }
            for slot in self.buddy.join(parent) {
                self.slots.give_back(slot.into(), 1);
            }
            self.ledger.release(Account::LINKER, Charge::capabilities(2))?;
            block = parent;
        }
        Ok(())
    }

    /// Deletes everything that was carved from an untyped object and gives it back.
    ///
    /// The caller gives the slots back with [`Objects::forget`]: the kernel has emptied them.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`] when the kernel refuses; then the object stays set aside.
    pub fn give_back_untyped(&mut self, untyped: Untyped) -> Result<(), ObjectError> {
        self.revoke(untyped.cap)?;
        self.ledger.release(untyped.account, Charge::untyped(1 << untyped.bits))?;
        self.buddy.give_back(untyped.block);
        self.join(untyped.block)
    }

    /// Makes `count` objects in neighbouring slots and returns the first slot. Frames are counted
    /// as frames too.
    ///
    /// # Errors
    /// [`ObjectError`]; then there are none of them.
    pub fn carve(
        &mut self,
        untyped: Untyped,
        kind: seL4_Word,
        size_bits: u8,
        count: u32,
        account: Account,
    ) -> Result<seL4_CPtr, ObjectError> {
        let number = count as usize;
        let first = self.take_slots(number, Operation::Retype)?;
        if let Err(error) = self.retype(untyped.cap, kind, size_bits, first, number) {
            for slot in first..first + number {
                // Some may exist: an earlier Retype of the same run has succeeded.
                self.ipc.seL4_CNode_Delete(self.root, slot as seL4_CPtr, DEPTH);
            }
            self.slots.give_back(first, number);
            return Err(error);
        }
        self.ledger.charge(account, Charge::capabilities(count));
        if kind == seL4_ARM_SmallPageObject {
            self.ledger.charge(account, Charge::frames(count));
        }
        Ok(first as seL4_CPtr)
    }

    fn retype(
        &mut self,
        from: seL4_CPtr,
        kind: seL4_Word,
        size_bits: u8,
        first: usize,
        count: usize,
    ) -> Result<(), ObjectError> {
        let (mut done, count) = (0, count as u64);
        while done < count {
            let batch = FAN_OUT_MAX.min(count - done);
            let offset = first as u64 + done;
            self.step(Operation::Retype)?;
            let error =
                self.ipc.seL4_Untyped_Retype(from, kind, size_bits.into(), self.root, 0, 0, offset, batch);
            check(Operation::Retype, error)?;
            done += batch;
        }
        Ok(())
    }

    /// Copies a capability with at most these rights into a slot of its own.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn copy(
        &mut self,
        from: seL4_CPtr,
        rights: seL4_CapRights,
        account: Account,
    ) -> Result<seL4_CPtr, ObjectError> {
        let slot = self.slots.take()?;
        let to = slot as seL4_CPtr;
        let error = self.ipc.seL4_CNode_Copy(self.root, to, DEPTH, self.root, from, DEPTH, rights);
        self.filled(slot, error, account)
    }

    /// Copies neighbouring capabilities into neighbouring slots and returns the first: second
    /// mappings of frames.
    ///
    /// # Errors
    /// [`ObjectError`]; then there are none of them.
    pub fn copy_run(
        &mut self,
        from: seL4_CPtr,
        count: u32,
        rights: seL4_CapRights,
        account: Account,
    ) -> Result<seL4_CPtr, ObjectError> {
        let first = self.take_slots(count as usize, Operation::Copy)?;
        for at in 0..count {
            let (to, from) = (first as seL4_CPtr + seL4_CPtr::from(at), from + seL4_CPtr::from(at));
            let copied = self.step(Operation::Copy).and_then(|()| {
                let error = self.ipc.seL4_CNode_Copy(self.root, to, DEPTH, self.root, from, DEPTH, rights);
                check(Operation::Copy, error)
            });
            if let Err(error) = copied {
                for done in 0..at {
                    self.ipc.seL4_CNode_Delete(self.root, first as seL4_CPtr + seL4_CPtr::from(done), DEPTH);
                }
                self.slots.give_back(first, count as usize);
                return Err(error);
            }
        }
        self.ledger.charge(account, Charge::capabilities(count));
        Ok(first as seL4_CPtr)
    }

    /// Copies a capability with a badge (endpoints, notifications) or guard (CNodes).
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn mint(
        &mut self,
        from: seL4_CPtr,
        rights: seL4_CapRights,
        badge: seL4_Word,
        account: Account,
    ) -> Result<seL4_CPtr, ObjectError> {
        let slot = self.slots.take()?;
        let to = slot as seL4_CPtr;
        let error = self.ipc.seL4_CNode_Mint(self.root, to, DEPTH, self.root, from, DEPTH, rights, badge);
        self.filled(slot, error, account)
    }

    fn filled(
        &mut self,
        slot: usize,
        error: seL4_Error::Type,
        account: Account,
    ) -> Result<seL4_CPtr, ObjectError> {
        if let Err(error) = check(Operation::Copy, error) {
            self.slots.give_back(slot, 1);
            return Err(error);
        }
        self.ledger.charge(account, Charge::capabilities(1));
        Ok(slot as seL4_CPtr)
    }

    /// Copies a capability into another CNode that the linker server made. It is not charged: the
    /// slot belongs to that CNode.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn mint_into(
        &mut self,
        cnode: seL4_CPtr,
        slot: seL4_CPtr,
        depth: u8,
        from: seL4_CPtr,
        rights: seL4_CapRights,
        badge: seL4_Word,
    ) -> Result<(), ObjectError> {
        let error = self.ipc.seL4_CNode_Mint(cnode, slot, depth, self.root, from, DEPTH, rights, badge);
        check(Operation::Copy, error)
    }

    /// Copies a capability, badge and all, into another CNode that the linker server made.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn copy_into(
        &mut self,
        cnode: seL4_CPtr,
        slot: seL4_CPtr,
        depth: u8,
        from: seL4_CPtr,
        rights: seL4_CapRights,
    ) -> Result<(), ObjectError> {
        let error = self.ipc.seL4_CNode_Copy(cnode, slot, depth, self.root, from, DEPTH, rights);
        check(Operation::Copy, error)
    }

    /// Deletes a capability from another CNode that the linker server made; there need not be one.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn delete_from(&mut self, cnode: seL4_CPtr, slot: seL4_CPtr, depth: u8) -> Result<(), ObjectError> {
        check(Operation::Delete, self.ipc.seL4_CNode_Delete(cnode, slot, depth))
    }

    /// Deletes a capability and gives its slot back.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn delete(&mut self, cap: seL4_CPtr, account: Account) -> Result<(), ObjectError> {
        check(Operation::Delete, self.ipc.seL4_CNode_Delete(self.root, cap, DEPTH))?;
        self.forget(cap, 1, 0, account)
    }

    /// Deletes neighbouring capabilities and gives their slots back, `frames` of them with their
    /// frames.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn drop_run(
        &mut self,
        first: seL4_CPtr,
        count: u32,
        frames: u32,
        account: Account,
    ) -> Result<(), ObjectError> {
        for slot in first..first + seL4_CPtr::from(count) {
            check(Operation::Delete, self.ipc.seL4_CNode_Delete(self.root, slot, DEPTH))?;
        }
        self.forget(first, count, frames, account)
    }

    /// Deletes everything derived from a capability.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn revoke(&mut self, cap: seL4_CPtr) -> Result<(), ObjectError> {
        check(Operation::Revoke, self.ipc.seL4_CNode_Revoke(self.root, cap, DEPTH))
    }

    /// Gives back `count` slots from `first` on that a revoke has emptied, `frames` of them with
    /// frames that are gone with it.
    ///
    /// # Errors
    /// [`ObjectError::Ledger`].
    pub fn forget(
        &mut self,
        first: seL4_CPtr,
        count: u32,
        frames: u32,
        account: Account,
    ) -> Result<(), ObjectError> {
        self.ledger.release(account, Charge::capabilities(count).plus(Charge::frames(frames)))?;
        self.slots.give_back(slot_of(first), count as usize);
        Ok(())
    }

    /// Moves charges between accounts (a shared region that outlives its module).
    ///
    /// # Errors
    /// [`ObjectError::Ledger`].
    pub fn transfer(&mut self, from: Account, to: Account, charge: Charge) -> Result<(), ObjectError> {
        Ok(self.ledger.transfer(from, to, charge)?)
    }

    /// Sets a slot aside that is filled and emptied later: saved replies.
    ///
    /// # Errors
    /// [`ObjectError::Slots`].
    pub fn reserve(&mut self, account: Account) -> Result<seL4_CPtr, ObjectError> {
        let slot = self.slots.take()?;
        self.ledger.charge(account, Charge::slots(1));
        Ok(slot as seL4_CPtr)
    }

    /// Saves the reply capability of the request at hand into a reserved, empty slot.
    ///
    /// # Errors
    /// [`ObjectError::Kernel`].
    pub fn save_caller(&mut self, slot: seL4_CPtr) -> Result<(), ObjectError> {
        check(Operation::SaveCaller, self.ipc.seL4_CNode_SaveCaller(self.root, slot, DEPTH))
    }

    /// Empties a reserved slot.
    pub fn clear(&mut self, slot: seL4_CPtr) {
        // Deleting an empty slot succeeds, so that there is nothing to check.
        self.ipc.seL4_CNode_Delete(self.root, slot, DEPTH);
    }

    /// Whether a slot holds a capability, asked of the kernel without changing anything.
    ///
    /// A Copy checks that its destination is empty before it looks at the source. With the null slot
    /// as the source, it therefore fails either way: by `DeleteFirst` when the probed slot is filled,
    /// by `FailedLookup` when it is empty.
    pub fn is_filled(&mut self, slot: seL4_CPtr) -> bool {
        let null = 0;
        let rights = seL4_CapRights::none();
        let error = self.ipc.seL4_CNode_Copy(self.root, slot, DEPTH, self.root, null, DEPTH, rights);
        error == seL4_Error::seL4_DeleteFirst
    }

    /// Walks the whole capability space and compares it with the book of slots.
    pub fn walk(&mut self) -> Walk {
        let mut walk = Walk { filled: 0, unknown: 0, managed: 0 };
        for slot in 1..SLOTS_MAX {
            if !self.is_filled(slot as seL4_CPtr) {
                continue;
            }
            walk.filled += 1;
            if slot >= self.first_free {
                walk.managed += 1;
                walk.unknown += u32::from(!self.slots.is_taken(slot));
            }
        }
        walk
    }
}

/// Size in bits of the smallest untyped object that holds `bytes`.
const fn bits_for(bytes: u64) -> u8 {
    let mut bits = BLOCK_BITS_MIN;
    while (1_u64 << bits) < bytes {
        bits += 1;
    }
    bits
}

fn slot_of(cap: seL4_CPtr) -> usize {
    usize::try_from(cap).expect("a usize has 64 bits on AArch64")
}
