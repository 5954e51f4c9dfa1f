//! Stories in text files: modules in a line each, then what is done with them and what is expected.
//!
//! ```text
//! # What the story shows.
//! module debug: refine bus_space_read_4 2
//! module user: pointer voidop; weak use_it 5 through
//!
//! load debug
//! stack bus_space_read_4: debug base
//! call bus_space_read_4 = 0x12: debug base
//! load second fails EEXIST
//! unload debug
//! as at the start
//! ```
//! A function's digit is appended to the result of what it calls, so a result tells who answered: every call is made with
//! the argument 1, the default returns its argument. Clauses: `weak|strong|refine|export SYMBOL DIGIT [HOW]` where HOW is
//! `alone` (calls nothing), `tail` (jumps below), `calls SYMBOL`, `through` (calls through the module's pointer), none
//! (a refiner calls what it refines); `import SYMBOL`; `pointer SYMBOL`; `blocks` (the last alias may block);
//! `fingerprint NUMBER` (of the last alias or import); `big SIZE` (zeros).

use crate::base::{BaseImage, DATA};
use crate::machine::{OUTSIDE, Stop};
use crate::module::{FINGERPRINT, Module, Op, POP, PUSH, RET};
use crate::world::{Answer, World};
use kmod::records::{ALIAS_EXPORT, ALIAS_REFINE, ALIAS_STRONG, ALIAS_WEAK};
use linker_core::Binding;
use std::collections::BTreeMap;

/// Tells a story; what was not as expected, and in which line.
///
/// # Errors
/// A sentence for people.
pub fn tell(story: &str) -> Result<(), String> {
    let mut teller = Teller::new();
    for (number, line) in (1..).zip(story.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            teller.line(line).map_err(|error| format!("line {number}, `{line}`: {error}"))?;
            teller.world.check();
        }
    }
    Ok(())
}

struct Teller {
    base: BaseImage,
    world: World,
    modules: BTreeMap<String, Module>,
    start: String,
}

impl Teller {
    fn new() -> Self {
        let base = BaseImage::small();
        let world = World::new(&base.write()).unwrap();
        let start = world.snapshot();
        Self { base, world, modules: BTreeMap::new(), start }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("module ") {
            let (name, clauses) = rest.split_once(':').ok_or("a module has a name and clauses")?;
            let module = describe(name.trim(), clauses)?;
            self.modules.insert(name.trim().into(), module);
            return Ok(());
        }
        let (before, after) =
            line.split_once(':').map_or((line, None), |(before, after)| (before, Some(after.trim())));
        let words: Vec<&str> = before.split_whitespace().collect();
        match words[..] {
            ["bind", binding] => self.bind(binding),
            ["load", name] => self.load(name).map_err(|error| error.1),
            ["load", name, "fails", errno] => self.load_fails(name, errno),
            ["load", name, "with", "write", index, "refused"] => self.load_with_refused_write(name, index),
            ["unload", name] => self.unload(name).map_err(|error| error.1),
            ["unload", name, "fails", errno] => self.unload_fails(name, errno),
            ["unlink", name] => self.world.unlink(self.find(name)?).map_err(|error| format!("{error:?}")),
            ["relink"] => {
                self.world.relink();
                Ok(())
            }
            ["reclaim", name] => {
                self.world.reclaim(self.find(name)?);
                Ok(())
            }
            ["stack", symbol] => equal(&self.world.stack(symbol), after.unwrap_or_default()),
            ["call", symbol, "=", result] => self.call(symbol, result, after),
            ["pointer", "=", result] => {
                let pointer = self.world.memory.read_64(DATA).ok_or("the base image keeps a pointer")?;
                expect(self.world.run(pointer, 1, OUTSIDE), result, after)
            }
            ["enter", symbol, "=", result] => expect(self.world.call_introduced(symbol, 1), result, after),
            ["remember"] => {
                self.start = self.world.snapshot();
                Ok(())
            }
            ["as", "remembered"] | ["as", "at", "the", "start"] => equal(&self.world.snapshot(), &self.start),
            _ => Err("not a line of a story".into()),
        }
    }

    fn bind(&mut self, binding: &str) -> Result<(), String> {
        self.world.options.binding = match binding {
            "by-rule" => None,
            "direct" => Some(Binding::Direct),
            "counted" => Some(Binding::Counted),
            "isolated" => Some(Binding::Isolated),
            _ => return Err("no such binding".into()),
        };
        Ok(())
    }

    fn find(&self, name: &str) -> Result<linker_core::ModuleId, String> {
        let module = self.world.domain.find_module(name.as_bytes()).ok_or("it is not loaded")?;
        Ok(module.id())
    }

    fn load(&mut self, name: &str) -> Result<(), (String, String)> {
        let unknown = || (String::new(), "no such module in this story".into());
        let file = self.modules.get(name).ok_or_else(unknown)?.write();
        self.world
            .load(&file)
            .map(|_| ())
            .map_err(|refusal| (format!("{:?}", refusal.errno()), format!("{refusal:?}")))
    }

    fn unload(&mut self, name: &str) -> Result<(), (String, String)> {
        let id = self.find(name).map_err(|error| (String::new(), error))?;
        self.world.unload(id).map_err(|refusal| (format!("{:?}", refusal.errno()), format!("{refusal:?}")))
    }

    /// A refusal changes nothing.
    fn load_fails(&mut self, name: &str, errno: &str) -> Result<(), String> {
        let before = self.world.snapshot();
        let (word, _) = self.load(name).err().ok_or("it was loaded")?;
        equal(&word, errno)?;
        equal(&self.world.snapshot(), &before)
    }

    fn unload_fails(&mut self, name: &str, errno: &str) -> Result<(), String> {
        let before = self.world.snapshot();
        let (word, _) = self.unload(name).err().ok_or("it was unloaded")?;
        equal(&word, errno)?;
        equal(&self.world.snapshot(), &before)
    }

    fn load_with_refused_write(&mut self, name: &str, index: &str) -> Result<(), String> {
        let before = self.world.snapshot();
        self.world.memory.refuse_after = index.parse().ok();
        let refused = self.load(name).err().ok_or("it was loaded")?;
        equal(&refused.0, "EIO")?;
        equal(&self.world.snapshot(), &before)
    }

    /// The base image calls by `bl` and by `b`: a tail call is a call.
    fn call(&mut self, symbol: &str, result: &str, names: Option<&str>) -> Result<(), String> {
        let index = self
            .base
            .weak
            .iter()
            .position(|weak| weak == symbol)
            .ok_or("the base image has no such symbol")?;
        let at = self.base.call_address(index);
        expect(self.world.run(at, 1, at + 4), result, names)?;
        expect(self.world.run(at + 4, 1, OUTSIDE), result, names)
    }
}

fn expect(answer: Result<Answer, Stop>, result: &str, names: Option<&str>) -> Result<(), String> {
    let (value, who) = answer.map_err(|stop| format!("{stop:x?}"))?;
    equal(&format!("{value:#x}"), result)?;
    names.map_or(Ok(()), |names| equal(&who, names))
}

fn equal(found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected\n{expected}\nfound\n{found}")) }
}

/// A module from its clauses.
fn describe(name: &str, clauses: &str) -> Result<Module, String> {
    let mut module = Module::new(name);
    for clause in clauses.split(';') {
        let words: Vec<&str> = clause.split_whitespace().collect();
        module = match words[..] {
            [] => module,
            [kind, symbol, digit, ref how @ ..] if kind_of(kind).is_some() => {
                let kind = kind_of(kind).ok_or("no such kind")?;
                let digit = digit.parse().map_err(|_| "a digit")?;
                module.alias(kind, symbol, &body(kind, symbol, digit, how)?)
            }
            ["import", symbol] => module.import(symbol),
            ["pointer", symbol] => {
                module.pointers.push(symbol.into());
                module
            }
            ["blocks"] => module.may_block(),
            ["big", size] => {
                module.bss_size = size.parse().map_err(|_| "a size")?;
                module
            }
            ["fingerprint", "of", "import"] => {
                module.imports.last_mut().ok_or("no import")?.1 = !FINGERPRINT;
                module
            }
            ["fingerprint", "of", "alias"] => {
                module.aliases.last_mut().ok_or("no alias")?.fingerprint = !FINGERPRINT;
                module
            }
            _ => return Err(format!("`{clause}` is no clause")),
        };
    }
    Ok(module)
}

fn kind_of(word: &str) -> Option<u8> {
    Some(match word {
        "weak" => ALIAS_WEAK,
        "strong" => ALIAS_STRONG,
        "refine" => ALIAS_REFINE,
        "export" => ALIAS_EXPORT,
        _ => return None,
    })
}

/// Calls what it shall call, then appends its digit to the result.
fn body(kind: u8, symbol: &str, digit: u32, how: &[&str]) -> Result<Vec<Op>, String> {
    let below = format!("super_{symbol}");
    let call = match how {
        ["tail"] => return Ok(vec![Op::TailCall(below)]),
        ["alone"] => None,
        ["calls", other] => Some(Op::Call((*other).into())),
        ["through"] => Some(Op::CallPointer),
        [] if kind == ALIAS_REFINE => Some(Op::Call(below)),
        [] => None,
        _ => return Err("no such way".into()),
    };
    // stp x29, x30, [sp, #-16]! … ldp; lsl x0, x0, #4; add x0, x0, #digit
    let frame = call.is_some();
    let mut body = Vec::new();
    body.extend(frame.then_some(Op::Word(PUSH)));
    body.extend(call);
    body.extend(frame.then_some(Op::Word(POP)));
    body.extend([Op::Word(0xd37c_ec00), Op::Word(0x9100_0000 | digit << 10), Op::Word(RET)]);
    Ok(body)
}
