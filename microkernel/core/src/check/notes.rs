//! What the checker writes down: containers, objects and mappings that it has found.
use super::Violation;
use crate::cap::Mapping;
use crate::handle::Slot;

/// CNodes and threads that the checker can keep apart.
pub const CONTAINERS_MAX: usize = 1024;
/// Objects and mappings, each.
pub const OBJECTS_MAX: usize = 8192;
/// A container: its first slot and the number of its slots.
type Container = (u64, u64);

/// What the checker writes down.
pub struct Notes {
    pub(super) containers: [Container; CONTAINERS_MAX],
    pub(super) container_count: usize,
    /// First and last byte, and the slot of a capability.
    pub(super) objects: [(u64, u64, u64); OBJECTS_MAX],
    pub(super) object_count: usize,
    /// ASID and user address, and the entry that must be there but for its attributes.
    pub(super) mappings: [(u64, u64, u64); OBJECTS_MAX],
    pub(super) mapping_count: usize,
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}

impl Notes {
    /// Nothing noted yet.
    pub const fn new() -> Self {
        Self {
            containers: [(0, 0); CONTAINERS_MAX],
            container_count: 0,
            objects: [(0, 0, 0); OBJECTS_MAX],
            object_count: 0,
            mappings: [(0, 0, 0); OBJECTS_MAX],
            mapping_count: 0,
        }
    }

    /// Notes a container; its place, when there is something new to visit in it.
    pub(super) fn container(&mut self, base: u64, slots: u64) -> Result<Option<usize>, Violation> {
        let place = self.containers[..self.container_count].iter().position(|&(known, _)| known == base);
        let place = place.unwrap_or(self.container_count);
        let container = self.containers.get_mut(place).ok_or(Violation::TooMuch)?;
        if place < self.container_count && container.1 >= slots {
            return Ok(None);
        }
        *container = (base, slots);
        self.container_count = self.container_count.max(place + 1);
        Ok(Some(place))
    }

    pub(super) fn is_noted(&self, slot: Slot) -> bool {
        self.containers[..self.container_count]
            .iter()
            .any(|&(base, slots)| base <= slot.addr() && slot.addr() < Slot::at(base).offset(slots).addr())
    }

    pub(super) fn object(&mut self, base: u64, bits: u64, slot: Slot) -> Result<(), Violation> {
        *self.objects.get_mut(self.object_count).ok_or(Violation::TooMuch)? =
            (base, base + (1 << bits) - 1, slot.addr());
        self.object_count += 1;
        Ok(())
    }

    pub(super) fn mapping(&mut self, mapping: Option<Mapping>, entry: u64) -> Result<(), Violation> {
        let Some(Mapping { asid, va }) = mapping else { return Ok(()) };
        *self.mappings.get_mut(self.mapping_count).ok_or(Violation::TooMuch)? = (asid, va, entry);
        self.mapping_count += 1;
        Ok(())
    }
}
