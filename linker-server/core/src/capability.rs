//! Capabilities: who may do what in a link domain, by whose leave, and how much of it.
//!
//! ```text
//! root: the link domain, every right ─┬─ the link domain, `load` and a quota ─┬─ interface `bus_space`, call refine
//!                                     │                                       └─ interface `bus_space_read`, call
//!                                     └─ module `hello`, status
//! ```
//! A capability is derived from another and allows no more than it. Whoever holds one of a capability's ancestors may
//! take rights away from it; what was derived from it loses them as well. The client holds an endpoint whose badge
//! names the capability, so it can neither guess nor forge one; the generation tells a place that is used again.
//!
//! **Invariant:** the rights of a capability are among its parent's, its object lies within its parent's, and what it
//! has in use is counted in every ancestor. [`Capabilities::check`].

use heapless::Vec;

use crate::domain::ModuleId;
use crate::name::Name;
use crate::rights::BindRights;

/// Capabilities of one link domain at one time.
pub const CAPABILITIES_MAX: usize = 64;
/// Capabilities that one request presents besides the one it is made by: what a message carries.
pub const PRESENTED_MAX: usize = 3;
/// Generations of one place; then they begin again.
const GENERATIONS: u32 = 1 << 24;

/// Names a capability for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityId {
    /// Its place in the table.
    pub index: u8,
    /// How often that place has been given out before, below 2^24.
    pub generation: u32,
}

impl CapabilityId {
    /// The capability that everything is derived from.
    pub const ROOT: Self = Self { index: 0, generation: 0 };

    /// The identifier as one word, for a badge.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.generation << 8 | self.index as u32
    }

    /// The identifier from a word.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self { index: bits.to_le_bytes()[0], generation: bits >> 8 }
    }
}

/// What a capability allows: bind rights to symbols in the low five bits, and rights to requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapRights(u16);

impl CapRights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Load modules (a link domain's).
    pub const LOAD: Self = Self(1 << 5);
    /// Read lists, rows and counters.
    pub const STATUS: Self = Self(1 << 6);
    /// Unload modules.
    pub const UNLOAD: Self = Self(1 << 7);
    /// Give commands to modules.
    pub const CONTROL: Self = Self(1 << 8);
    /// Open devices of the link domain.
    pub const OPEN: Self = Self(1 << 9);
    /// Every bind right.
    pub const BIND: Self = Self(BindRights::ALL.bits() as u16);
    /// Every right.
    pub const ALL: Self = Self((1 << 10) - 1);

    /// The set from bits; none where a bit is unknown.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The set as bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `wanted` is here.
    #[must_use]
    pub const fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Both sets' rights.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set's rights that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The right to bind to a symbol in this way.
    #[must_use]
    pub const fn bind(rights: BindRights) -> Self {
        Self(rights.bits() as u16)
    }
}

/// What a capability is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The link domain: requests, and bind rights to every symbol.
    Domain,
    /// The symbols whose names begin so.
    Interface(Name),
    /// One module.
    Module(ModuleId),
}

impl Object {
    /// The rights that make sense for it.
    #[must_use]
    pub const fn rights(&self) -> CapRights {
        match self {
            Self::Domain => CapRights::ALL,
            Self::Interface(_) => CapRights::BIND,
            Self::Module(_) => CapRights(CapRights::STATUS.0 | CapRights::UNLOAD.0 | CapRights::CONTROL.0),
        }
    }

    /// Whether all that this is about is also what `whole` is about.
    #[must_use]
    pub fn within(&self, whole: &Self) -> bool {
        match (self, whole) {
            (_, Self::Domain) => true,
            (Self::Interface(prefix), Self::Interface(of)) => prefix.bytes().starts_with(of.bytes()),
            (own, whole) => own == whole,
        }
    }
}

/// How much a client may have at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Modules.
    pub modules: u32,
    /// Frames of 4 KiB of its modules, shared regions included.
    pub frames: u32,
    /// Symbols that its modules introduce.
    pub symbols: u32,
    /// The longest a command of its modules may take, in milliseconds.
    pub command_ms: u32,
}

impl Quota {
    /// No bound but the system's own.
    pub const UNLIMITED: Self =
        Self { modules: u32::MAX, frames: u32::MAX, symbols: u32::MAX, command_ms: u32::MAX };
}

/// What a client has in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Modules.
    pub modules: u32,
    /// Frames.
    pub frames: u32,
    /// Symbols.
    pub symbols: u32,
}

/// A capability.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// What it was derived from; none for the root.
    pub parent: Option<CapabilityId>,
    /// What it is about.
    pub object: Object,
    /// What it allows.
    pub rights: CapRights,
    /// How much of it.
    pub quota: Quota,
    /// What is in use, by it and by all that was derived from it.
    pub used: Usage,
}

/// Why something is not allowed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityError {
    /// The capability is gone; its place has another generation.
    Stale {
        /// The generation that has the place now, or will have it next.
        generation: u32,
    },
    /// The capability does not allow it; these rights are missing.
    Denied(CapRights),
    /// It is not derived from the capability that the request is made by.
    NotYours,
    /// The rights make no sense for the object, or there are none.
    Senseless,
    /// What is asked for is not within what the capability is about.
    Outside,
    /// [`CAPABILITIES_MAX`] capabilities are there.
    Full,
    /// A quota is used up: which one.
    Quota(&'static str),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    capability: Option<Capability>,
}

/// All capabilities of a link domain.
#[derive(Clone, Debug)]
pub struct Capabilities {
    places: [Place; CAPABILITIES_MAX],
    /// Places from here on have never held a capability: every unload asks the others.
    fresh: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

impl Capabilities {
    /// The root alone.
    #[must_use]
    pub const fn new() -> Self {
        let mut places = [Place { generation: 0, capability: None }; CAPABILITIES_MAX];
        places[0].capability = Some(Capability {
            parent: None,
            object: Object::Domain,
            rights: CapRights::ALL,
            quota: Quota::UNLIMITED,
            used: Usage { modules: 0, frames: 0, symbols: 0 },
        });
        Self { places, fresh: 1 }
    }

    /// A capability.
    ///
    /// # Errors
    /// [`CapabilityError::Stale`].
    pub fn get(&self, id: CapabilityId) -> Result<&Capability, CapabilityError> {
        let place = self.places.get(usize::from(id.index)).ok_or(CapabilityError::Stale { generation: 0 })?;
        let found = place.capability.as_ref().filter(|_| place.generation == id.generation);
        found.ok_or(CapabilityError::Stale { generation: place.generation })
    }

    /// All capabilities, by place.
    pub fn all(&self) -> impl Iterator<Item = (CapabilityId, &Capability)> {
        (0..).zip(&self.places).filter_map(|(index, place)| {
            Some((CapabilityId { index, generation: place.generation }, place.capability.as_ref()?))
        })
    }

    /// Whether a capability is another one or derived from it, directly or not.
    #[must_use]
    pub fn descends(&self, id: CapabilityId, from: CapabilityId) -> bool {
        self.lineage(id).any(|ancestor| ancestor == from)
    }

    /// A capability and its ancestors, nearest first.
    fn lineage(&self, id: CapabilityId) -> impl Iterator<Item = CapabilityId> + '_ {
        core::iter::successors(Some(id).filter(|id| self.get(*id).is_ok()), |id| self.get(*id).ok()?.parent)
    }

    /// Whether a request that needs these rights to the link domain may be made by a capability.
    ///
    /// # Errors
    /// [`CapabilityError::Stale`], [`CapabilityError::Denied`].
    pub fn permit(&self, caller: CapabilityId, wanted: CapRights) -> Result<(), CapabilityError> {
        let capability = self.get(caller)?;
        if capability.object == Object::Domain && capability.rights.contains(wanted) {
            Ok(())
        } else {
            Err(CapabilityError::Denied(wanted))
        }
    }

    /// Whether a request about a module may be made: by a capability of that module, or by the link domain's that it was
    /// loaded by, or by an ancestor of that one.
    ///
    /// # Errors
    /// [`CapabilityError::Stale`], [`CapabilityError::Denied`].
    pub fn permit_module(
        &self,
        caller: CapabilityId,
        module: ModuleId,
        owner: CapabilityId,
        wanted: CapRights,
    ) -> Result<(), CapabilityError> {
        let capability = self.get(caller)?;
        let about = match capability.object {
            Object::Module(own) => own == module,
            Object::Domain => self.descends(owner, caller),
            Object::Interface(_) => false,
        };
        if about && capability.rights.contains(wanted) {
            Ok(())
        } else {
            Err(CapabilityError::Denied(wanted))
        }
    }

    /// Which capability allows to bind to a symbol: the first of those presented, or the one that loads.
    #[must_use]
    pub fn binds(
        &self,
        loader: CapabilityId,
        presented: &[CapabilityId],
        symbol: &Name,
        right: BindRights,
    ) -> Option<CapabilityId> {
        let mut offered = presented.iter().chain(core::iter::once(&loader)).copied();
        offered.find(|id| self.allows(*id, symbol, right))
    }

    /// Whether a capability allows, now, to bind to a symbol.
    #[must_use]
    pub fn allows(&self, id: CapabilityId, symbol: &Name, right: BindRights) -> bool {
        self.get(id).is_ok_and(|capability| {
            let about = match capability.object {
                Object::Domain => true,
                Object::Interface(prefix) => symbol.bytes().starts_with(prefix.bytes()),
                Object::Module(_) => false,
            };
            about && capability.rights.contains(CapRights::bind(right))
        })
    }

    /// Derives a capability that allows no more than the one it is derived from.
    ///
    /// # Errors
    /// Every [`CapabilityError`] but those of other requests.
    pub fn derive(
        &mut self,
        from: CapabilityId,
        object: Object,
        rights: CapRights,
        quota: Quota,
    ) -> Result<CapabilityId, CapabilityError> {
        let parent = self.get(from)?;
        if rights == CapRights::NONE || !object.rights().contains(rights) {
            return Err(CapabilityError::Senseless);
        }
        if !object.within(&parent.object) {
            return Err(CapabilityError::Outside);
        }
        if !parent.rights.contains(rights) {
            return Err(CapabilityError::Denied(rights.without(parent.rights)));
        }
        let quota = Quota {
            modules: quota.modules.min(parent.quota.modules),
            frames: quota.frames.min(parent.quota.frames),
            symbols: quota.symbols.min(parent.quota.symbols),
            command_ms: quota.command_ms.min(parent.quota.command_ms),
        };
        let free = self.places.iter().position(|place| place.capability.is_none());
        let index = free.and_then(|index| u8::try_from(index).ok()).ok_or(CapabilityError::Full)?;
        self.fresh = self.fresh.max(usize::from(index) + 1);
        let place = &mut self.places[usize::from(index)];
        place.capability =
            Some(Capability { parent: Some(from), object, rights, quota, used: Usage::default() });
        Ok(CapabilityId { index, generation: place.generation })
    }

    /// Takes rights away from a capability and from all that was derived from it; one that is left without any is gone.
    /// Gives those that are gone.
    ///
    /// # Errors
    /// [`CapabilityError::Stale`], [`CapabilityError::NotYours`].
    pub fn revoke(
        &mut self,
        by: CapabilityId,
        id: CapabilityId,
        rights: CapRights,
    ) -> Result<Vec<CapabilityId, CAPABILITIES_MAX>, CapabilityError> {
        self.get(by)?;
        self.get(id)?;
        if by == id || !self.descends(id, by) {
            return Err(CapabilityError::NotYours);
        }
        let mut concerned: Vec<CapabilityId, CAPABILITIES_MAX> = Vec::new();
        for (other, _) in self.all() {
            if self.descends(other, id) {
                let _ = concerned.push(other);
            }
        }
        let mut gone = Vec::new();
        for other in concerned {
            let place = &mut self.places[usize::from(other.index)];
            let Some(capability) = place.capability.as_mut() else { continue };
            capability.rights = capability.rights.without(rights);
            if capability.rights == CapRights::NONE {
                place.capability = None;
                place.generation = (place.generation + 1) % GENERATIONS;
                let _ = gone.push(other);
            }
        }
        Ok(gone)
    }

    /// Takes away every capability of a module that is gone.
    pub fn forget_module(&mut self, module: ModuleId) {
        for place in &mut self.places[..self.fresh] {
            if place.capability.is_some_and(|capability| capability.object == Object::Module(module)) {
                place.capability = None;
                place.generation = (place.generation + 1) % GENERATIONS;
            }
        }
    }

    /// Charges a capability and its ancestors.
    ///
    /// # Errors
    /// [`CapabilityError::Quota`] with nothing charged; [`CapabilityError::Stale`].
    pub fn charge(&mut self, id: CapabilityId, usage: Usage) -> Result<(), CapabilityError> {
        self.get(id)?;
        for ancestor in self.lineage(id) {
            let Capability { used, quota, .. } = self.get(ancestor)?;
            let over =
                |used: u32, more: u32, quota: u32| used.checked_add(more).is_none_or(|sum| sum > quota);
            if over(used.modules, usage.modules, quota.modules) {
                return Err(CapabilityError::Quota("modules"));
            }
            if over(used.frames, usage.frames, quota.frames) {
                return Err(CapabilityError::Quota("frames"));
            }
            if over(used.symbols, usage.symbols, quota.symbols) {
                return Err(CapabilityError::Quota("symbols"));
            }
        }
        self.count(id, |used| {
            used.modules += usage.modules;
            used.frames += usage.frames;
            used.symbols += usage.symbols;
        });
        Ok(())
    }

    /// Takes a charge back.
    pub fn credit(&mut self, id: CapabilityId, usage: Usage) {
        self.count(id, |used| {
            used.modules -= usage.modules;
            used.frames -= usage.frames;
            used.symbols -= usage.symbols;
        });
    }

    fn count(&mut self, id: CapabilityId, change: impl Fn(&mut Usage)) {
        let mut next = Some(id);
        while let Some(id) = next {
            let place = &mut self.places[usize::from(id.index)];
            let found = place.capability.as_mut().filter(|_| place.generation == id.generation);
            next = found.and_then(|capability| {
                change(&mut capability.used);
                capability.parent
            });
        }
    }

    /// Checks the invariant; meant for tests and audits. Gives a capability that breaks it.
    pub fn check(&self) -> Result<(), CapabilityId> {
        for (id, capability) in self.all() {
            let Some(parent) = capability.parent else {
                if id == CapabilityId::ROOT { continue } else { return Err(id) }
            };
            let parent = self.get(parent).map_err(|_| id)?;
            let used = |of: &Capability| [of.used.modules, of.used.frames, of.used.symbols];
            let fits = parent.rights.contains(capability.rights)
                && capability.object.within(&parent.object)
                && used(capability).iter().zip(used(parent)).all(|(own, whole)| *own <= whole);
            if !fits {
                return Err(id);
            }
        }
        Ok(())
    }
}
