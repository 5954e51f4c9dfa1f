//! Goal: a card is read and written over SPI by a driver that others wrote, unchanged, through our client, our class and our
//! driver; and what is on it then is a file system for those who made it.
//!
//! Method: a model of SPI0's registers with a model of a card behind it, which knows as much of the cards' SPI mode as is
//! needed (SD Physical Layer Simplified Specification, chapter 7): it checks each command's and each block's CRC and is busy
//! after a write. The card is one that `./x flash` makes. QEMU's adapter from SPI to cards cannot be attached to its models
//! of the Pis, so this has not been run on a target.
//!
//! The driver lets go of the chip between the bytes of a command. The model bears that, as many cards do.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bcm_spi::{Spi0, register};
use embedded_hal::delay::DelayNs;
use embedded_hal::spi::MODE_0;
use embedded_sdmmc::embedded_sdmmc_types::sdcard::CardType;
use embedded_sdmmc::{Mode, SdCard, TimeSource, Timestamp, VolumeIdx, VolumeManager};
use hal_clients::spi::SpiDevice;
use register_model::{Model, Served, Shared};
use strata_protocol::driver::spi::Select;

use super::{DEVICE_TREE, Files, KERNEL, make, read};

/// Bytes of a block.
const BLOCK: usize = 512;
/// A command's first byte, without its number.
const COMMAND: u8 = 0x40;
/// The first byte of a block, in both directions.
const TOKEN: u8 = 0xfe;
/// The card has been reset, and is not ready.
const IDLE: u8 = 1;
/// What a card that is not busy sends.
const FREE: u8 = 0xff;

/// What the card makes of the next byte.
enum Expects {
    /// A command, of which these bytes have come.
    Command(Vec<u8>),
    /// A block for this place, of which these bytes have come: the token, the block, its CRC.
    Block(usize, Vec<u8>),
}

/// A card of high capacity.
struct Card {
    image: Vec<u8>,
    expects: Expects,
    out: VecDeque<u8>,
    /// Attempts to make it ready that it answers with "not yet".
    not_ready: u32,
    is_application_command: bool,
    /// The next block that is read is damaged on its way.
    damages: bool,
    /// Blocks that have been written.
    written: u32,
}

fn crc7(bytes: &[u8]) -> u8 {
    let mut crc = 0_u8;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        crc = crc << 1 ^ if crc >> 6 & 1 == bit { 0 } else { 0x09 };
        crc &= 0x7f;
    }
    crc
}

fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1))) {
        crc = crc << 1 ^ if crc >> 15 == bit { 0 } else { 0x1021 };
    }
    crc
}

impl Card {
    fn new(image: Vec<u8>) -> Self {
        Self {
            image,
            expects: Expects::Command(Vec::new()),
            out: VecDeque::new(),
            not_ready: 3,
            is_application_command: false,
            damages: false,
            written: 0,
        }
    }

    /// A byte goes each way at the same time.
    fn exchange(&mut self, byte: u8) -> u8 {
        let out = self.out.pop_front().unwrap_or(FREE);
        match &mut self.expects {
            Expects::Command(come) => {
                // Between commands ones are sent.
                if come.is_empty() && byte & 0xc0 != COMMAND {
                    return out;
                }
                come.push(byte);
                if come.len() == 6 {
                    let command = std::mem::take(come);
                    self.obey(&command);
                }
            }
            Expects::Block(place, come) => {
                if come.is_empty() && byte != TOKEN {
                    return out;
                }
                come.push(byte);
                if come.len() == 1 + BLOCK + 2 {
                    let (place, bytes) = (*place, std::mem::take(come));
                    self.keep(place, &bytes[1..]);
                }
            }
        }
        out
    }

    fn obey(&mut self, command: &[u8]) {
        assert!(self.out.is_empty(), "a command while the card still answers the last");
        assert_eq!(command[5], crc7(&command[..5]) << 1 | 1, "the CRC of {command:x?}");
        let argument = u32::from_be_bytes(command[1..5].try_into().unwrap());
        let ready = if self.not_ready > 0 { IDLE } else { 0 };
        // It thinks for a byte's time.
        self.out.push_back(FREE);
        let application = std::mem::take(&mut self.is_application_command);
        let place = usize::try_from(argument).unwrap() * BLOCK;
        match (application, command[0] & !COMMAND) {
            (false, 0) => {
                self.not_ready = 3;
                self.out.push_back(IDLE);
            }
            (false, 59) => self.out.push_back(ready),
            (false, 8) => {
                self.out.push_back(ready);
                self.out.extend([0, 0, 1, command[4]]);
            }
            (false, 55) => {
                self.is_application_command = true;
                self.out.push_back(ready);
            }
            (true, 41) => {
                assert_ne!(argument & 1 << 30, 0, "the card has a high capacity, and nobody asks for that");
                self.not_ready = self.not_ready.saturating_sub(1);
                self.out.push_back(if self.not_ready > 0 { IDLE } else { 0 });
            }
            (false, 58) => self.out.extend([ready, 0xc0, 0xff, 0x80, 0]),
            (false, 13) => self.out.extend([ready, 0]),
            (false, 17) => {
                let block = self.image[place..place + BLOCK].to_vec();
                self.out.extend([ready, FREE, FREE, TOKEN]);
                self.out.extend(&block);
                let damage = u16::from(std::mem::take(&mut self.damages));
                self.out.extend((crc16(&block) ^ damage).to_be_bytes());
            }
            (false, 24) => {
                self.out.push_back(ready);
                self.expects = Expects::Block(place, Vec::new());
            }
            other => panic!("command {other:?} is not one of the model's"),
        }
    }

    fn keep(&mut self, place: usize, bytes: &[u8]) {
        self.expects = Expects::Command(Vec::new());
        let (block, crc) = bytes.split_at(BLOCK);
        assert_eq!(crc, crc16(block).to_be_bytes(), "the CRC of the block at {place:#x}");
        self.image[place..place + BLOCK].copy_from_slice(block);
        self.written += 1;
        // Accepted; then busy.
        self.out.extend([0x05, 0, 0, 0]);
    }
}

/// SPI0 and what is connected to it.
struct Controller {
    control: u32,
    divider: u32,
    back: VecDeque<u8>,
    card: Card,
}

type Board = Shared<Controller>;
type Server<'m> = Served<'m, Controller, Spi0<&'m Board>>;

impl Model for Controller {
    fn read(&mut self, offset: u64) -> u32 {
        match offset {
            register::CONTROL => {
                let back = if self.back.is_empty() { 0 } else { register::STATUS_HAS_BYTE };
                self.control | register::STATUS_HAS_ROOM | register::STATUS_DONE | back
            }
            register::DIVIDER => self.divider,
            register::FIFO => self.back.pop_front().expect("read of an empty FIFO").into(),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match offset {
            register::CONTROL => {
                if value & register::CONTROL_CLEAR != 0 {
                    self.back.clear();
                }
                self.control = value & !register::CONTROL_CLEAR;
            }
            register::DIVIDER => self.divider = value,
            register::FIFO => {
                assert_eq!(self.control & 0xff, register::CONTROL_ACTIVE, "chip 0 in mode 0");
                let byte = self.card.exchange(u8::try_from(value).unwrap());
                self.back.push_back(byte);
            }
            _ => panic!("write of {offset:#x}"),
        }
    }
}

/// Time passes by itself.
struct NoTime;

impl DelayNs for NoTime {
    fn delay_ns(&mut self, _ns: u32) {}
}

impl TimeSource for NoTime {
    fn get_timestamp(&self) -> Timestamp {
        Timestamp::from_calendar(2026, 11, 23, 12, 0, 0).unwrap()
    }
}

fn card_behind<'s, 'm>(server: &'s Server<'m>) -> SdCard<SpiDevice<&'s Server<'m>>, NoTime> {
    SdCard::new(SpiDevice::new(server, Select::Chip0, MODE_0, 400_000).unwrap(), NoTime)
}

fn flashed() -> Files {
    let kernel = (0..70_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    Files::from([(KERNEL.to_owned(), kernel), (DEVICE_TREE.to_owned(), b"a tree".to_vec())])
}

fn board_with_card() -> Board {
    let card = Card::new(make(&flashed()).unwrap());
    Board::new(Controller { control: 0, divider: 0, back: VecDeque::new(), card })
}

#[test]
fn files_of_a_card_are_listed_read_and_written_over_spi() {
    let board = board_with_card();
    let server = Server::new(&board, 250_000_000).unwrap();
    let card = card_behind(&server);
    assert_eq!(card.get_card_type(), Some(CardType::SdhcSdxc));
    // The clock that the client asks for: 250 MHz by 626 is no more than 400 kHz.
    assert_eq!(board.get().divider, 626);
    let note: Vec<u8> = b"written over SPI, a block and more. ".iter().copied().cycle().take(1500).collect();
    {
        let volumes = VolumeManager::new(card, NoTime);
        let volume = volumes.open_volume(VolumeIdx(0)).unwrap();
        let folder = volume.open_root_dir().unwrap();
        let mut found = Vec::new();
        folder
            .iterate_dir(|entry| {
                if !entry.attributes.is_volume() {
                    found.push((entry.name.to_string(), entry.size));
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(found, [("KERNEL8.IMG".to_owned(), 70_000), ("STRATA.DTB".to_owned(), 6)]);

        let file = folder.open_file_in_dir("KERNEL8.IMG", Mode::ReadOnly).unwrap();
        let mut kernel = vec![0; 70_000];
        let mut at = 0;
        while !file.is_eof() {
            at += file.read(&mut kernel[at..]).unwrap();
        }
        assert_eq!((at, &kernel), (70_000, &flashed()[KERNEL]));
        file.close().unwrap();

        let file = folder.open_file_in_dir("NOTE.TXT", Mode::ReadWriteCreate).unwrap();
        file.write(&note).unwrap();
        file.close().unwrap();
    }
    assert!(board.get().card.written > 3);
    // Those who made the file system read it back: nothing is lost, and the new file is there.
    let mut expected = flashed();
    expected.insert("NOTE.TXT".to_owned(), note);
    assert_eq!(read(&mut board.get().card.image).unwrap().1, expected);
}

#[test]
fn a_block_that_is_damaged_on_its_way_is_an_error_of_the_driver() {
    let board = board_with_card();
    let server = Server::new(&board, 250_000_000).unwrap();
    let card = card_behind(&server);
    assert!(card.get_card_type().is_some());
    board.get().card.damages = true;
    let volumes = VolumeManager::new(card, NoTime);
    let error = volumes.open_volume(VolumeIdx(0)).expect_err("the block is damaged");
    assert!(format!("{error:?}").contains("CrcError"), "{error:?}");
    assert!(volumes.open_volume(VolumeIdx(0)).is_ok());
}
