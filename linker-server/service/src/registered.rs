//! What stands behind a record of a registration: making it, and giving it back.

use core::fmt;

use crate::linker::{Linker, text};
use crate::start::StartGrants;
use linker_books::ledger::Account;
use linker_books::registrations::{Handle, Registration};
use linker_core::capability::Usage;
use linker_core::{CapRights, ModuleId, Va};
use linker_space::domain::Grants;
use linker_space::guest::GUEST_FRAMES;
use linker_space::objects::PAGE_SIZE;
use linker_space::registered::{Endpoint, Interrupt, Mapping, device, turn_away};
use sel4_sys::seL4_CapRights;
use strata_protocol::domain::slot;
use strata_protocol::registration::Kind;
use strata_protocol::{Errno, ModuleName, Refusal, caps};

/// Pages of one mapping.
pub const MAPPING_PAGES_MAX: u64 = 64;

/// A record.
#[derive(Debug)]
pub struct Record {
    /// What its module calls it.
    pub name: ModuleName,
    /// What the module was given for it.
    pub value: u64,
    /// Frames that it counts for in the quota of the module's capability.
    pub frames: u32,
    /// A thread that was led out and goes when it has left.
    pub leaving: bool,
    /// What stands behind it.
    pub what: What,
}

/// What stands behind a record.
#[derive(Debug)]
pub enum What {
    /// A slot in linker-owned text.
    Callback {
        /// Where.
        at: Va,
    },
    /// A guest.
    Thread {
        /// Its number.
        number: u32,
    },
    /// What wakes a thread when the time has come.
    Timer {
        /// The capability.
        signal: u64,
    },
    /// An endpoint.
    Endpoint(Endpoint),
    /// What clients of a device get copies of.
    Device {
        /// The capability.
        client: u64,
        /// The endpoint itself.
        endpoint: u64,
    },
    /// Memory.
    Mapping {
        /// The pages.
        mapping: Mapping,
        /// The physical address of a device, 0 for none.
        physical: u64,
    },
    /// An interrupt.
    Interrupt(Interrupt),
}

impl Record {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.what {
            What::Callback { .. } => Kind::Callback,
            What::Thread { .. } => Kind::Thread,
            What::Timer { .. } => Kind::Timer,
            What::Endpoint(_) => Kind::Endpoint,
            What::Device { .. } => Kind::Device,
            What::Mapping { .. } => Kind::Mapping,
            What::Interrupt(_) => Kind::Interrupt,
        }
    }
}

const fn frames(frames: u32) -> Usage {
    Usage { modules: 0, frames, symbols: 0 }
}

impl Linker<'_> {
    fn account_of(&self, module: ModuleId) -> Account {
        let loaded = self.modules[usize::from(module.index)].as_ref();
        loaded.map_or(Account::LINKER, |loaded| loaded.space.account)
    }

    /// Makes what is to be registered, at the cost of the module and of the capability that it was loaded by.
    ///
    /// # Errors
    /// EINVAL, EEXIST, EPERM, ENODEV, ENOMEM and what the kinds say; then there is nothing of it.
    pub fn make_registered(
        &mut self,
        owner: ModuleId,
        kind: Kind,
        name: ModuleName,
        on: Option<Handle>,
        arguments: [u64; 2],
    ) -> Result<Record, Errno> {
        let count = match kind {
            Kind::Thread => GUEST_FRAMES,
            Kind::Endpoint => 1,
            Kind::Mapping if arguments[0] == 0 => {
                let pages = arguments[1].div_ceil(PAGE_SIZE);
                u32::try_from(pages)
                    .ok()
                    .filter(|_| (1..=MAPPING_PAGES_MAX).contains(&pages))
                    .ok_or(Errno::EINVAL)?
            }
            _ => 0,
        };
        let payer = self.owner_of(owner);
        self.capabilities.charge(payer, frames(count)).map_err(|_| Errno::ENOMEM)?;
        let made = match kind {
            Kind::Callback => self.make_callback(owner, arguments),
            Kind::Thread => self.make_thread(owner, &name, arguments),
            Kind::Timer => self.make_timer(owner, on),
            Kind::Endpoint => self.make_endpoint(owner),
            Kind::Device => self.make_device(owner, &name, on),
            Kind::Mapping => self.make_mapping(owner, arguments[0], count),
            Kind::Interrupt => self.make_interrupt(owner, on, arguments[0]),
        };
        match made {
            Ok((what, value)) => Ok(Record { name, value, frames: count, leaving: false, what }),
            Err(errno) => {
                self.capabilities.credit(payer, frames(count));
                Err(errno)
            }
        }
    }

    /// Whether the capability that a module was loaded by may open devices: then the module may use those that are free.
    fn may_use_devices(&self, owner: ModuleId) -> Result<(), Errno> {
        self.capabilities.permit(self.owner_of(owner), CapRights::OPEN).map_err(|_| Errno::EPERM)
    }

    /// The module that has registered what `is` says.
    fn holder(&self, is: impl Fn(&What) -> bool) -> Option<ModuleName> {
        self.registrations.all().find(|held| is(&held.what.what)).map(|held| self.name_of(held.owner))
    }

    /// Refuses what another module or a driver server has. If the load is refused for that, its refusal says who.
    fn denied(&mut self, errno: Errno, what: fmt::Arguments<'_>, holder: &str) -> Errno {
        let name = self.turn_name();
        let why = format_args!("{what} is taken by {holder}; everything is as before");
        if let Some(turn) = self.turn.as_mut() {
            turn.denied = Some(Refusal::format(errno, &name, why));
        }
        errno
    }

    fn make_callback(&mut self, owner: ModuleId, [function, answer]: [u64; 2]) -> Result<(What, u64), Errno> {
        let mut text = text!(self);
        let issued = self.link.issue_callback(owner, Va(function), answer, &mut text);
        let at = issued.map_err(|error| crate::explain::errno(error.errno().number()))?;
        Ok((What::Callback { at }, at.0))
    }

    fn make_thread(
        &mut self,
        owner: ModuleId,
        name: &str,
        [function, argument]: [u64; 2],
    ) -> Result<(What, u64), Errno> {
        let own = self.link.module(owner).is_ok_and(|module| module.facts.text_contains(Va(function)));
        if !own || !function.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        let account = self.account_of(owner);
        let made = self.space.make_guest(self.objects, account, name, function, argument);
        let number = made.map_err(|_| Errno::ENOMEM)?;
        Ok((What::Thread { number }, slot::wake(number)))
    }

    /// The notification of the thread that a record stands for, and a badge that nothing else wakes it with.
    fn wakes(&self, on: Option<Handle>) -> Result<(u64, u64), Errno> {
        let on = on.ok_or(Errno::EINVAL)?;
        let held = self.registrations.get(on).map_err(crate::registrations::errno)?;
        let What::Thread { number } = held.what.what else { return Err(Errno::EINVAL) };
        let guest = self.space.threads.guest(number).ok_or(Errno::EINVAL)?;
        let used = self.registrations.all().filter(|other| other.on == Some(on));
        let used = used.fold(linker_space::guest::WAKE_BADGE, |used, other| used | other.what.value);
        let free = !used & !(caps::signal::FIRST - 1);
        // Its lowest bit.
        Ok((guest.notification(), free & free.wrapping_neg()))
    }

    fn make_timer(&mut self, owner: ModuleId, on: Option<Handle>) -> Result<(What, u64), Errno> {
        let (notification, badge) = self.wakes(on)?;
        let (account, write) = (self.account_of(owner), seL4_CapRights::write_only());
        let signal = self.objects.mint(notification, write, badge, account).map_err(|_| Errno::ENOMEM)?;
        Ok((What::Timer { signal }, badge))
    }

    fn make_endpoint(&mut self, owner: ModuleId) -> Result<(What, u64), Errno> {
        let taken = |place: &u64| {
            let at = slot::FIRST_REGISTERED + place;
            self.registrations
                .all()
                .any(|held| matches!(&held.what.what, What::Endpoint(own) if own.slot == at))
        };
        let place = (0..slot::REGISTERED).find(|place| !taken(place)).ok_or(Errno::ENOSPC)?;
        let account = self.account_of(owner);
        let made = Endpoint::make(self.objects, &self.space, account, place).map_err(|_| Errno::ENOMEM)?;
        let at = made.slot;
        Ok((What::Endpoint(made), at))
    }

    fn make_device(&mut self, owner: ModuleId, name: &str, on: Option<Handle>) -> Result<(What, u64), Errno> {
        let what = format_args!("the device {name}");
        if self.server(name).is_some() {
            return Err(self.denied(Errno::EEXIST, what, "a driver server"));
        }
        let devices = || self.registrations.all().filter(|held| held.what.kind() == Kind::Device);
        let other = devices().find(|held| held.what.name.as_str() == name).map(|held| held.owner);
        if let Some(other) = other {
            return Err(self.denied(Errno::EEXIST, what, &self.name_of(other)));
        }
        let on = on.ok_or(Errno::EINVAL)?;
        let held: &Registration<_, Record> =
            self.registrations.get(on).map_err(crate::registrations::errno)?;
        let What::Endpoint(own) = &held.what.what else { return Err(Errno::EINVAL) };
        let endpoint = own.endpoint;
        let used = |badge: &u64| devices().any(|held| held.on == Some(on) && held.what.value == *badge);
        let badge = (1..).find(|badge| !used(badge)).ok_or(Errno::ENOSPC)?;
        let account = self.account_of(owner);
        let client = device(self.objects, endpoint, badge, account).map_err(|_| Errno::ENOMEM)?;
        Ok((What::Device { client, endpoint }, badge))
    }

    fn make_mapping(&mut self, owner: ModuleId, physical: u64, count: u32) -> Result<(What, u64), Errno> {
        let frame = match physical {
            0 => None,
            physical => {
                self.may_use_devices(owner)?;
                let frame = StartGrants(self.start).device(physical).ok_or(Errno::ENODEV)?;
                let is =
                    |what: &What| matches!(what, What::Mapping { physical: other, .. } if *other == physical);
                if let Some(holder) = self.server_at(physical).or_else(|| self.holder(is)) {
                    let what = format_args!("the device at {physical:#x}");
                    return Err(self.denied(Errno::EBUSY, what, &holder));
                }
                Some(frame)
            }
        };
        let size = u64::from(count.max(1)) * PAGE_SIZE;
        let at = self.space.window.take(size).map_err(|_| Errno::ENOMEM)?;
        let account = self.account_of(owner);
        let made = match frame {
            None => Mapping::make(self.objects, &self.space, account, at, count),
            Some(frame) => Mapping::of_device(self.objects, &self.space, account, at, frame),
        };
        match made {
            Ok(mapping) => Ok((What::Mapping { mapping, physical }, at)),
            Err(_) => {
                self.space.window.give_back(at);
                Err(Errno::ENOMEM)
            }
        }
    }

    /// The driver server that was given the device at a physical address.
    fn server_at(&self, physical: u64) -> Option<ModuleName> {
        let has = |device: Option<(u64, u64)>| device.is_some_and(|(at, _)| at == physical);
        // A server of the base image need not have been started.
        let runs = |name: &str| self.server(name).is_some();
        let server = self.base.servers().find(|server| has(server.device) && runs(server.name));
        server.map(|server| ModuleName::cut(server.name))
    }

    fn make_interrupt(
        &mut self,
        owner: ModuleId,
        on: Option<Handle>,
        number: u64,
    ) -> Result<(What, u64), Errno> {
        self.may_use_devices(owner)?;
        let number = u32::try_from(number).map_err(|_| Errno::EINVAL)?;
        let handler = StartGrants(self.start).irq(number).ok_or(Errno::ENODEV)?;
        let mut servers = self.space.servers.iter();
        let serves = servers.find(|server| server.interrupt.is_some_and(|(other, _)| other == handler));
        let is = |what: &What| matches!(what, What::Interrupt(other) if other.handler == handler);
        if let Some(holder) = serves.map(|server| server.name.clone()).or_else(|| self.holder(is)) {
            return Err(self.denied(Errno::EBUSY, format_args!("interrupt {number}"), &holder));
        }
        let (notification, badge) = self.wakes(on)?;
        let account = self.account_of(owner);
        let made = Interrupt::make(self.objects, handler, notification, badge, account);
        Ok((What::Interrupt(made.map_err(|_| Errno::ENOMEM)?), badge))
    }

    /// Gives back what stands behind a record that has been taken out of the book.
    pub fn give_back(&mut self, owner: ModuleId, record: Record) {
        let account = self.account_of(owner);
        let given = match record.what {
            What::Callback { at } => {
                let mut text = text!(self);
                let retired = self.link.retire_callback(owner, at, &mut text);
                assert!(retired, "a record stands for a callback of its module");
                Ok(())
            }
            What::Thread { number } => self.space.destroy_guest(self.objects, number),
            What::Timer { signal } => self.objects.delete(signal, account),
            What::Endpoint(endpoint) => {
                self.turn_away(endpoint.endpoint);
                endpoint.destroy(self.objects, account)
            }
            What::Device { client, endpoint } => {
                self.turn_away(endpoint);
                self.objects.revoke(client).and_then(|()| self.objects.delete(client, account))
            }
            What::Mapping { mapping, .. } => {
                let at = mapping.at;
                let given = mapping.destroy(self.objects, account);
                // As text that has gone: a stale address faults for a while.
                self.space.window.poison(at);
                given
            }
            What::Interrupt(interrupt) => interrupt.destroy(self.objects, account),
        };
        if let Err(error) = given {
            // What was left stays on the account, so that the ledger shows it.
            defmt::error!(
                "{=str} was not given back whole: {}",
                record.name.as_str(),
                defmt::Debug2Format(&error)
            );
        }
        self.capabilities.credit(self.owner_of(owner), frames(record.frames));
    }

    /// Answers whoever waits at an endpoint that goes.
    fn turn_away(&mut self, endpoint: u64) {
        self.unheard |= turn_away(self.objects, endpoint, Errno::ENODEV);
    }
}
