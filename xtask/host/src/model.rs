//! The machines that QEMU emulates, one or more for each board.

use anyhow::{Result, bail, ensure};
use board::{Board, InterruptController};

use crate::qemu::RAM_BYTES;

/// A machine that QEMU emulates.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its board.
    pub board: &'static Board,
    /// Which GIC it has, where that can be chosen.
    pub gic: Option<u32>,
    /// Cores that it has. With more than one, images are of the profile for several cores.
    pub cores: u32,
}

/// Cores that the kernel uses at most.
pub const CORES_MAX: u32 = 4;

impl Model {
    /// The machine of a board: by the board's name or by QEMU's, with a version of the GIC where there is a choice, and
    /// so many cores in use.
    pub fn new(name: &str, gic: Option<u32>, cores: u32) -> Result<Self> {
        ensure!((1..=CORES_MAX).contains(&cores), "the kernel uses 1 to {CORES_MAX} cores, not {cores}");
        let Some(board) = boards::named(name) else {
            let names: Vec<_> = boards::BOARDS.iter().map(|board| board.name).collect();
            bail!("no board is called {name}; there are {}", names.join(", "));
        };
        let has_choice = board.interrupts.len() > 1;
        let Some(gic) = gic else { return Ok(Self { board, gic: has_choice.then_some(2), cores }) };
        ensure!(
            has_choice,
            "{} has the interrupt controller that it has: --gic is for qemu-virt",
            board.name
        );
        let versions: Vec<_> = board.interrupts.iter().filter_map(version).collect();
        ensure!(versions.contains(&gic), "{} has a GIC of version {versions:?}, not {gic}", board.name);
        Ok(Self { board, gic: Some(gic), cores })
    }

    /// The name under which tests are listed: QEMU's, and the GIC where it is not the usual one.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.board.emulated_as.to_owned();
        if let Some(version @ 3..) = self.gic {
            name.push_str(&format!("-gic{version}"));
        }
        if self.is_smp() {
            name.push_str(&format!("-smp{}", self.cores));
        }
        name
    }

    /// Whether images for it are of the profile for several cores: other invocation labels, another kernel.
    #[must_use]
    pub const fn is_smp(&self) -> bool {
        self.cores > 1
    }

    /// Its interrupt controller, of those that its board may have.
    #[must_use]
    pub fn interrupt_controller(&self) -> &'static InterruptController {
        let mut of_version =
            self.board.interrupts.iter().filter(|controller| version(controller) == self.gic);
        of_version.next().unwrap_or(&self.board.interrupts[0])
    }

    /// Whether QEMU makes a device tree for it. Where it does not, ours is handed to it, as a loader would.
    #[must_use]
    pub fn brings_device_tree(&self) -> bool {
        self.gic.is_some()
    }

    /// QEMU's arguments for the machine itself.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = match self.gic {
            Some(gic) => vec!["-M".into(), format!("{},gic-version={gic}", self.board.emulated_as)],
            // A Raspberry Pi has the cores and the memory that it has.
            None => vec!["-M".to_owned(), self.board.emulated_as.to_owned()],
        };
        if self.gic.is_some() {
            words.extend(["-cpu", "cortex-a53", "-smp", &self.cores.to_string()].map(str::to_owned));
            words.extend(["-m".into(), format!("{}M", RAM_BYTES >> 20)]);
        }
        if self.board.semihosting {
            words.extend(["-semihosting-config", "enable=on,target=native,userspace=on"].map(str::to_owned));
        }
        words
    }
}

const fn version(controller: &InterruptController) -> Option<u32> {
    match controller {
        InterruptController::GicV2 { .. } => Some(2),
        InterruptController::GicV3 { .. } => Some(3),
        InterruptController::Bcm2836 { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_has_a_machine_and_only_virt_a_choice() {
        let name = |board, gic| {
            Model::new(board, gic, 1).map(|model| model.name()).map_err(|error| error.to_string())
        };
        assert_eq!(name("qemu-virt", None), Ok("virt".to_owned()));
        assert_eq!(name("virt", Some(3)), Ok("virt-gic3".to_owned()));
        assert_eq!(name("raspi3", None), Ok("raspi3b".to_owned()));
        assert_eq!(name("raspi4b", None), Ok("raspi4b".to_owned()));
        assert!(name("raspi4", Some(2)).unwrap_err().contains("--gic is for qemu-virt"));
        assert!(name("qemu-virt", Some(4)).unwrap_err().contains("[2, 3]"));
        assert_eq!(Model::new("virt", None, 4).unwrap().name(), "virt-smp4");
        assert!(Model::new("virt", None, 5).is_err());
        assert!(name("raspi5", None).unwrap_err().contains("there are qemu-virt, raspi3, raspi4"));
    }
}
