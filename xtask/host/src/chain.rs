//! Sends a system to a board whose chainloader waits for one, and takes the line over as the system's.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use board::Region;
use chain::{BOOT, HELLO, TREE, places};
use microkernel_abi::image::{HEADER_OFFSET, HEADER_SIZE, MAGIC};
use strata_protocol::Errno;

use crate::device_tree;
use crate::link::Link;
use crate::model::Model;
use crate::patience::patience;
use crate::qemu::Machine;
use crate::serial::{Line, Serial};

/// How long a board may take until its chainloader answers: somebody switches it on, and the firmware takes its seconds.
const POWER_ON: Duration = Duration::from_secs(30);
/// How long the chainloader may take to look at all that has come.
const LOOK: Duration = Duration::from_secs(10);
/// The boot argument of a system that starts the board again at its end: its chainloader waits then.
pub const RESETS: &str = "reset=1";
/// How often a system is sent again that did not arrive as it was sent.
const ROUNDS: u32 = 3;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    /// The machine that it is for.
    pub model: &'a Model,
    /// The raw kernel image with its root task.
    pub kernel: &'a [u8],
    /// The boot arguments. They come with a device tree, apart from the kernel, which need not come again for others.
    pub arguments: &'a str,
}

impl System<'_> {
    /// Refuses what would not start: a file that is none of our images, or that is cut short.
    fn check(&self) -> Result<()> {
        let header = self.kernel.get(HEADER_OFFSET..HEADER_OFFSET + HEADER_SIZE);
        let header = header.filter(|header| header.starts_with(&MAGIC)).context("this is no kernel image")?;
        // The last word: bytes of kernel and root task (`KernelImageHeader`).
        let word =
            header.get(48..56).and_then(|word| word.first_chunk()).context("a header of another size")?;
        let size = usize::try_from(u64::from_le_bytes(*word))?;
        let found = self.kernel.len();
        ensure!(found >= size, "the image is cut short: it has {found} of {size} bytes");
        Ok(())
    }

    /// The machine's tree, which keeps the image as it came for the next boot.
    fn tree(&self) -> Result<Vec<u8>> {
        let kept = places::kept(u32::try_from(self.kernel.len()).context("larger than any image")?);
        let load = self.model.board.load_address;
        let kept = kept.map(|(offset, size)| Region::new(load + offset, size));
        Ok(device_tree::make(self.model, self.arguments, &kept))
    }
}

/// Finds the chainloader of a board at the other end.
pub fn meet<L: Line>(link: &mut Link<L>, model: &Model) -> Result<()> {
    let board = model.board.name;
    match Errno::from_number(link.carry_out(&format!("{HELLO} {board}"), POWER_ON * patience(1)?)?.status) {
        None => Ok(()),
        Some(Errno::ENODEV) => bail!("the board there is no {board}: is --board right?"),
        Some(_) => bail!("a system runs there already: switch the board off and on"),
    }
}

/// Has a chainloader start a system. `sent` is told how many bytes of the kernel it has.
pub fn boot<L: Line>(link: &mut Link<L>, system: &System<'_>, mut sent: impl FnMut(usize)) -> Result<()> {
    system.check()?;
    let (board, tree) = (system.model.board.name, system.tree()?);
    meet(link, system.model)?;
    for _ in 0..ROUNDS {
        link.send_image(board, system.kernel, &mut sent)?;
        link.send_image(TREE, &tree, |_| ())?;
        match Errno::from_number(link.carry_out(BOOT, LOOK * patience(1)?)?.status) {
            None => return Ok(()),
            // What has come is not what was sent, or the board was reset meanwhile.
            Some(Errno::EIO | Errno::ENOENT) => {}
            Some(errno) => bail!("the chainloader starts nothing ({})", errno.word()),
        }
    }
    bail!("the image has come {ROUNDS} times, and never as it was sent: is the board's memory sound?")
}

/// Opens the line, boots a system over it, and is the machine that it runs on.
pub fn machine(path: &Path, baud: u32, system: &System<'_>, sent: impl FnMut(usize)) -> Result<Machine> {
    system.check()?;
    let line = Serial::open(path, baud)?;
    let mut link = Link::anew(line);
    boot(&mut link, system, sent).with_context(|| path.display().to_string())?;
    Ok(Machine::on_line(Box::new(link.into_line())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_image_and_a_short_one_are_told_apart() {
        let model = Model::new("raspi3", None, 1).unwrap();
        let mut kernel = vec![0; 8192];
        let check = |kernel: &[u8]| {
            System { model: &model, kernel, arguments: "" }.check().map_err(|e| e.to_string())
        };
        assert!(check(&kernel).unwrap_err().contains("no kernel image"));
        kernel[HEADER_OFFSET..HEADER_OFFSET + 8].copy_from_slice(&MAGIC);
        kernel[HEADER_OFFSET + 48..HEADER_OFFSET + 56].copy_from_slice(&8192_u64.to_le_bytes());
        assert_eq!(check(&kernel), Ok(()));
        assert_eq!(check(&kernel[..8191]), Err("the image is cut short: it has 8191 of 8192 bytes".into()));
        assert!(check(&kernel[..70]).unwrap_err().contains("no kernel image"));
    }
}
