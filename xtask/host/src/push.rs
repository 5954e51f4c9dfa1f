//! Sends a module to a running system over the line that carries its console and its log.
//!
//! The image is kept aside on the target until it has come whole; then one line puts it in place of the module of its
//! name, and what was there before is put back if the new one is refused.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use kmod::Object;
use kmod_trust::container::split;

use crate::link::{Answer, Link};
use crate::serial::Line;

/// How long a module may take to leave and the next to come: the target has deadlines of its own.
const RELOAD: Duration = Duration::from_secs(30);
/// How long a stack may take to be shown.
const LOOK: Duration = Duration::from_secs(9);

/// A module as the host knows it.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// What travels: the image, and its signature behind it.
    pub bytes: Vec<u8>,
    /// Whether there is a signature. Whether it is good is the target's to say.
    pub is_signed: bool,
    /// The symbols that it has aliases of.
    pub symbols: Vec<String>,
}

impl Module {
    /// Reads an image with or without a signature behind it, and refuses what is no module.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let container = split(&bytes);
        let image = container.map_or(&bytes[..], |container| container.image);
        let object = match Object::parse(image) {
            Ok(object) => object,
            Err(error) => bail!("this is no module: {error:?}"),
        };
        let name = object.info().name.to_owned();
        let mut symbols: Vec<String> = object.aliases().map(|alias| alias.name.to_owned()).collect();
        symbols.dedup();
        Ok(Self { name, is_signed: container.is_some(), symbols, bytes })
    }

    /// The image without its signature.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        split(&self.bytes).map_or(&self.bytes, |container| container.image)
    }
}

impl<L: Line> Link<L> {
    /// Sends a module, and puts it in place of the one of its name.
    ///
    /// `sent` is told how many bytes the target has. The answer's status says whether the module serves.
    pub fn push(&mut self, module: &Module, sent: impl FnMut(usize)) -> Result<Answer> {
        self.send_image(&module.name, &module.bytes, sent)?;
        self.carry_out(&format!("modpush {}", module.name), RELOAD)
    }

    /// The stack of a symbol, as the console prints it. Asked again when the text was changed on its way.
    pub fn stack(&mut self, symbol: &str) -> Result<Answer> {
        self.carry_out(&format!("alias {symbol}"), LOOK)
    }
}

/// Ends with an error unless the module serves.
pub fn check(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 0, "{}", answer.text.trim_end());
    Ok(())
}
