//! Rows of the linker server's lists. Column names are in the headers; columns are separated by blanks, the last one
//! may be empty.

use core::fmt::{self, Display, Write};

use strata_protocol::ModuleName;
use strata_protocol::capability::{CapObject, CapRow, NO_QUOTA, ReceiptRow, right};
use strata_protocol::linker::{
    AliasKind, AliasRow, Binding, DomainRow, LedgerRow, ModuleRow, ModuleState, ThreadRow, ThreadState,
};
use strata_protocol::registration::RegistrationRow;
use strata_protocol::store::Area;

/// A list with a header.
pub trait Row {
    /// The names of the columns, laid out like the rows.
    fn header(out: &mut dyn Write) -> fmt::Result;
    /// One row; `index` is its position.
    fn row(&self, index: u32, out: &mut dyn Write) -> fmt::Result;
}

/// An empty name is a dash, so that a column is never missing.
fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

struct Requires<'a>(&'a [Option<ModuleName>]);

impl Display for Requires<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.0.iter().flatten() {
            write!(out, "{separator}{name}")?;
            separator = ",";
        }
        if separator.is_empty() { out.write_str("-") } else { Ok(()) }
    }
}

impl Row for ModuleRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (name, class, source, state) = ("NAME", "CLASS", "SOURCE", "STATE");
        write!(out, "{name:24} {class:6} {source:7} {state:9} {:>8} {:>4} REQUIRES", "SIZE", "REFS")
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        let class = match self.class {
            1 => "misc",
            2 => "bus",
            3 => "driver",
            _ => "other",
        };
        let source = match self.source {
            Area::Archive => "archive",
            Area::Upload => "upload",
        };
        let state = match self.state {
            ModuleState::Loading => "LOADING",
            ModuleState::Live => "LIVE",
            ModuleState::Unloading => "UNLOADING",
            ModuleState::Wedged => "WEDGED",
        };
        let (size, references, requires) = (self.size, self.references, Requires(&self.requires));
        write!(out, "{:24} {class:6} {source:7} {state:9} {size:>8} {references:>4} {requires}", self.name)
    }
}

impl Row for AliasRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (kind, module, implementation) = ("KIND", "MODULE", "IMPLEMENTATION");
        write!(
            out,
            "{:2} {kind:6} {module:24} {implementation:32} {:>12} {:8} {:>5}",
            "#", "ADDRESS", "BINDING", "SITES"
        )
    }

    fn row(&self, index: u32, out: &mut dyn Write) -> fmt::Result {
        let kind = match self.kind {
            AliasKind::Weak => "weak",
            AliasKind::Strong => "strong",
            AliasKind::Refine => "refine",
        };
        let binding = match self.binding {
            Binding::Direct => "direct",
            Binding::Counted => "counted",
            Binding::Isolated => "isolated",
        };
        let (module, implementation) = (&self.module, &self.implementation);
        write!(out, "{index:<2} {kind:6} {module:24} {implementation:32} {:#12x} ", self.address)?;
        write!(out, "{binding:8} {:>5}", self.sites)
    }
}

impl Row for DomainRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (name, base) = ("NAME", "BASE");
        write!(
            out,
            "{name:16} {base:16} {:>7} {:>7} {:>7} {:>6} WINDOW",
            "MODULES", "THREADS", "SYMBOLS", "SITES"
        )
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{:16} {:16} {:>7} ", self.name, self.base, self.modules)?;
        write!(out, "{:>7} {:>7} {:>6} {:#x}", self.threads, self.symbols, self.sites, self.window)
    }
}

impl Row for ThreadRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (name, state, inside, entry) = ("NAME", "STATE", "INSIDE", "ENTRY");
        write!(
            out,
            "{name:12} {:>3} {:>4} {state:7} {:>12} {inside:24} {entry:28} {:>8} BUSERRORS {:>6} LAST-FAULT",
            "ID", "CORE", "PC", "RESTARTS", "LAYERS"
        )
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        let state = match self.state {
            ThreadState::Idle => "idle",
            ThreadState::Running => "running",
            ThreadState::Stopped => "stopped",
            ThreadState::Down => "down",
            ThreadState::Dead => "dead",
        };
        let (inside, entry) = (or_dash(&self.inside), or_dash(&self.entry));
        write!(out, "{:12} {:>3} {:>4} {state:7} {:#12x} ", self.name, self.thread, self.core, self.pc)?;
        write!(out, "{inside:24} {entry:28} {:>8} {:>9} ", self.restarts, self.bus_errors)?;
        write!(out, "{:>6} ", self.layers_told)?;
        match &self.fault {
            Some(fault) => write!(out, "{}@{:#x}", fault.class, fault.pc),
            None => out.write_str("-"),
        }
    }
}

impl Row for LedgerRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        write!(
            out,
            "{:24} {:>6} {:>12} {:>6} {:>13}",
            "OWNER", "FRAMES", "CAPABILITIES", "SLOTS", "UNTYPED-BYTES"
        )
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{:24} {:>6} {:>12} ", self.owner, self.frames, self.capabilities)?;
        write!(out, "{:>6} {:>13}", self.slots, self.untyped_bytes)
    }
}

impl Row for RegistrationRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        write!(out, "{:24} {:9} {:16} {:>8} {:>8} VALUE", "MODULE", "KIND", "NAME", "HANDLE", "ON")
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        let (module, kind, name) = (&self.module, self.kind.word(), &self.name);
        write!(out, "{module:24} {kind:9} {name:16} {:>8} {:>8} {:#x}", self.handle, self.on, self.value)
    }
}

struct Rights(u16);

impl Display for Rights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (word, _) in right::WORDS.iter().filter(|(_, bit)| self.0 & bit != 0) {
            write!(out, "{separator}{word}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// What is in use, and of how much: `2/5`, or `2` where nothing bounds it.
struct Used(u32, u32);

impl Display for Used {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: strata_protocol::Text<24> = match *self {
            Self(used, NO_QUOTA) => strata_protocol::Text::format(format_args!("{used}")),
            Self(used, quota) => strata_protocol::Text::format(format_args!("{used}/{quota}")),
        };
        out.pad(&text)
    }
}

impl Row for CapRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (object, about) = ("OBJECT", "ABOUT");
        write!(out, "{:>6} {:>6} {object:9} {about:24} ", "CAP", "PARENT")?;
        write!(out, "{:>8} {:>9} {:>8} RIGHTS", "MODULES", "FRAMES", "SYMBOLS")
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        let (object, about) = match &self.object {
            CapObject::Domain => ("domain", "-"),
            CapObject::Interface(prefix) => ("interface", prefix.as_str()),
            CapObject::Module(name) => ("module", or_dash(name)),
        };
        write!(out, "{:>6} ", self.capability)?;
        match self.parent {
            Some(parent) => write!(out, "{parent:>6}")?,
            None => write!(out, "{:>6}", "-")?,
        }
        write!(out, " {object:9} {about:24} {:>8} ", Used(self.modules, self.quota.modules))?;
        let frames = Used(self.frames, self.quota.frames);
        write!(out, "{frames:>9} {:>8} {}", Used(self.symbols, self.quota.symbols), Rights(self.rights))
    }
}

impl Row for ReceiptRow {
    fn header(out: &mut dyn Write) -> fmt::Result {
        let (symbol, right, bound) = ("SYMBOL", "RIGHT", "BOUND");
        write!(out, "{symbol:32} {right:12} {:>6} {bound:24} STATE", "CAP")
    }

    fn row(&self, _index: u32, out: &mut dyn Write) -> fmt::Result {
        let state = if self.revoked { "revoked" } else { "in-force" };
        let (right, bound) = (right::WORDS.iter().find(|(_, bit)| *bit == self.right), or_dash(&self.bound));
        let right = right.map_or("?", |(word, _)| word);
        write!(out, "{:32} {right:12} {:>6} {bound:24} {state}", self.symbol, self.capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use strata_protocol::SymbolName;

    fn text<R: Row>(row: &R) -> (String, String) {
        let (mut header, mut line) = (String::new(), String::new());
        R::header(&mut header).unwrap();
        row.row(0, &mut line).unwrap();
        (header, line)
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn modstat_has_the_columns_of_the_contract() {
        let row = ModuleRow {
            name: ModuleName::cut("bus_space_xh"),
            class: 2,
            source: Area::Archive,
            state: ModuleState::Live,
            size: 12288,
            references: 1,
            requires: [Some(ModuleName::cut("a")), Some(ModuleName::cut("b")), None, None],
            address: 0x1300_0000,
            generation: 1,
            index_base: 0,
            build_id: 0,
        };
        let (header, line) = text(&row);
        assert_eq!(words(&header), ["NAME", "CLASS", "SOURCE", "STATE", "SIZE", "REFS", "REQUIRES"]);
        assert_eq!(words(&line), ["bus_space_xh", "bus", "archive", "LIVE", "12288", "1", "a,b"]);
        let alone = text(&ModuleRow { requires: [None, None, None, None], ..row }).1;
        assert_eq!(words(&alone)[6], "-");
    }

    #[test]
    fn alias_has_the_columns_of_the_contract() {
        let row = AliasRow {
            kind: AliasKind::Refine,
            module: ModuleName::cut("bus_space_debug"),
            implementation: SymbolName::cut("debug_read_4"),
            address: 0x1300_0040,
            binding: Binding::Counted,
            sites: 17,
            entry: 0x1200_0000,
        };
        let (header, line) = text(&row);
        assert_eq!(words(&header), ["#", "KIND", "MODULE", "IMPLEMENTATION", "ADDRESS", "BINDING", "SITES"]);
        let expected = ["0", "refine", "bus_space_debug", "debug_read_4", "0x13000040", "counted", "17"];
        assert_eq!(words(&line), expected);
        assert_eq!(header.find("ADDRESS").unwrap() + 7, line.find("0x13000040").unwrap() + 10);
    }

    #[test]
    fn the_other_rows_have_as_many_words_as_their_headers() {
        let name = ModuleName::cut("x");
        let thread = ThreadRow {
            name: name.clone(),
            thread: 1,
            state: ThreadState::Idle,
            core: 3,
            pc: 0,
            inside: ModuleName::default(),
            entry: SymbolName::default(),
            restarts: 0,
            bus_errors: 0,
            layers_told: 0,
            fault: None,
        };
        let domain = DomainRow {
            name: name.clone(),
            base: name.clone(),
            modules: 0,
            threads: 0,
            symbols: 0,
            sites: 0,
            window: 0,
        };
        let ledger = LedgerRow { owner: name, frames: 0, capabilities: 0, slots: 0, untyped_bytes: 0 };
        let capability = CapRow {
            capability: 258,
            parent: None,
            object: CapObject::Domain,
            rights: right::LOAD | right::CALL,
            quota: strata_protocol::capability::CapQuota {
                modules: 2,
                ..strata_protocol::capability::CapQuota::NONE
            },
            modules: 1,
            frames: 12,
            symbols: 0,
        };
        let receipt = ReceiptRow {
            symbol: SymbolName::cut("bus_space_read_4"),
            right: right::REFINE,
            capability: 3,
            bound: ModuleName::default(),
            revoked: true,
        };
        let registration = RegistrationRow {
            module: ModuleName::cut("leaks_timer"),
            kind: strata_protocol::registration::Kind::Timer,
            name: ModuleName::cut("tick"),
            handle: 258,
            on: 257,
            value: 1 << 41,
        };
        let expected = ["leaks_timer", "timer", "tick", "258", "257", "0x20000000000"];
        assert_eq!(words(&text(&registration).1), expected);
        let (_, line) = text(&capability);
        assert_eq!(words(&line), ["258", "-", "domain", "-", "1/2", "12", "0", "call,load"]);
        assert_eq!(words(&text(&receipt).1), ["bus_space_read_4", "refine", "3", "-", "revoked"]);
        for (header, line) in [
            text(&registration),
            text(&capability),
            text(&receipt),
            text(&thread),
            text(&domain),
            text(&ledger),
        ] {
            assert_eq!(words(&header).len(), words(&line).len(), "{header}");
        }
    }
}
