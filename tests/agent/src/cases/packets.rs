//! bpf(4): a stub that keeps state, and a tap that comes and goes over it (R26).

use core::sync::atomic::{AtomicU64, Ordering};

use bpf::Instruction;
use bpf::capture::{Kept, LINK_ETHERNET, Packets};
use bpf::tap::{FILE_AT, REGION_MAGIC, REGION_PAGES, REGION_SIZE, control, direction};
use strata_protocol::Errno;
use strata_protocol::driver::{NET_ATTACH, NET_CHANGE_TYPE, NET_DETACH, NET_SEND, NET_STATUS};
use strata_runtime::Ipc;

use crate::agent::Agent;
use crate::case::{CORES, Outcome, case, ensure, ensure_eq, fail};
use crate::device::Device;
use crate::region::Region;
use crate::report::note;
use crate::soak::Random;
use crate::threads::Shared;

const TAP: &str = "bpf_tap";
/// Bytes of an Ethernet header.
const HEADER: u64 = 14;
/// A link type that no capture file can carry.
const NO_LINK: u64 = 1 << 16;
/// Everything of every packet: `ret #-1`.
const ALL: [Instruction; 1] = [Instruction::new(0x06, u32::MAX)];
/// What carries the ethertype of experiments and a payload that begins with an even byte.
const EVEN: [Instruction; 6] = [
    Instruction::new(0x28, 12),
    Instruction::jump(0x15, 0x88b5, 0, 3),
    Instruction::new(0x30, 14),
    Instruction::jump(0x45, 1, 1, 0),
    Instruction::new(0x06, u32::MAX),
    Instruction::new(0x06, 0),
];

/// A net driver, and what its requests must answer.
#[derive(Clone, Copy)]
struct Net(Device);

impl Net {
    fn ask(self, agent: &mut Agent, label: u64, words: &[u64]) -> Outcome<[u64; 4]> {
        let answer = self.0.call(agent.ipc, label, words);
        ensure_eq!(answer.label, 0, "request {label} {words:x?}");
        Ok(answer.words)
    }

    fn attach(self, agent: &mut Agent, interface: u64) -> Outcome {
        self.ask(agent, NET_ATTACH, &[interface, LINK_ETHERNET.into(), HEADER])?;
        Ok(())
    }

    /// Sends packets; how many have come back on this interface since the boot.
    fn send(self, agent: &mut Agent, interface: u64, count: u64, length: u64) -> Outcome<u64> {
        Ok(self.ask(agent, NET_SEND, &[interface, count, length, 0])?[0])
    }

    /// Packets handed to bpf(4), the word that it keeps, whether it says that somebody listens.
    fn status(self, agent: &mut Agent, interface: u64) -> Outcome<(u64, u64, u64)> {
        let [_, tapped, word, peers] = self.ask(agent, NET_STATUS, &[interface])?;
        Ok((tapped, word, peers))
    }
}

impl Agent {
    fn listen(
        &mut self,
        interface: u64,
        program: &[Instruction],
        directions: u32,
        snap: u64,
    ) -> Outcome<u64> {
        self.give_program(program)?;
        let limits = u64::from(directions) << 32 | snap;
        Ok(self.control(TAP, [control::OPEN, interface, program.len() as u64, limits])?[0])
    }

    /// Gives the tap the filter of the next listener; a tap that was loaded anew has none.
    fn give_program(&mut self, program: &[Instruction]) -> Outcome {
        for (at, instruction) in (0..).zip(program) {
            self.control(TAP, [control::PROGRAM, at, instruction.bits(), 0])?;
        }
        Ok(())
    }

    /// Closes a listener: what it has received, captured, dropped.
    fn stop_listening(&mut self, listener: u64) -> Outcome<[u64; 3]> {
        let [received, captured, dropped, ..] = self.control(TAP, [control::CLOSE, listener, 0, 0])?;
        Ok([received, captured, dropped])
    }

    /// How many attachments the tap knows.
    fn attachments(&mut self) -> Outcome<u64> {
        Ok(self.stat(TAP)?[0])
    }
}

/// Reads a capture file as tcpdump would: how many packets; `see` gets the length of each, and what is kept of it.
fn read_file(region: &Region, mut see: impl FnMut(u32, &[u8]) -> Outcome) -> Outcome<u64> {
    let words =
        core::ptr::with_exposed_provenance::<[AtomicU64; 2]>(usize::try_from(region.address).unwrap_or(0));
    // SAFETY: the region is mapped for as long as it is borrowed.
    let words = unsafe { &*words };
    ensure_eq!(words[0].load(Ordering::Acquire), REGION_MAGIC, "the first word of the region");
    let length = usize::try_from(words[1].load(Ordering::Acquire)).unwrap_or(0);
    ensure!(length <= REGION_SIZE - FILE_AT, "a file of {length} bytes");
    let bytes =
        core::ptr::with_exposed_provenance::<u8>(usize::try_from(region.address).unwrap_or(0) + FILE_AT);
    // SAFETY: the pages are mapped, and the module does not write any more what it has published.
    let file = unsafe { core::slice::from_raw_parts(bytes, length) };
    let Ok(packets) = Packets::new(file) else { fail!("the file begins with {:x?}", file.get(..24)) };
    ensure_eq!(packets.link_type(), LINK_ETHERNET, "the link type");
    let (mut count, mut last) = (0, (0, 0));
    for packet in packets {
        let Ok(Kept { time, length, bytes }) = packet else {
            fail!("packet {count} is cut off by the file's end")
        };
        let time = (time.seconds, time.microseconds);
        ensure!(time >= last && time.1 < 1_000_000, "packet {count} at {time:?}, after {last:?}");
        ensure!(
            bytes.len() as u64 <= length.into(),
            "{} bytes are kept of a packet of {length}",
            bytes.len()
        );
        see(length, bytes)?;
        (count, last) = (count + 1, time);
    }
    Ok(count)
}

case!(
    /// R26: drivers attach before there is a tap, while it is there and after it has gone; it hears all of them, it cannot
    /// go while somebody listens, and no packet is lost.
    40, fn r26_attachments_from_before_during_and_after_a_load_are_heard(agent) {
        let net = Net(agent.open("demo")?);
        // Without a tap: recorded, and every packet goes its way, even one that is shown to a tap that is not there.
        net.attach(agent, 0)?;
        net.attach(agent, 5)?;
        let again = net.0.call(agent.ipc, NET_ATTACH, &[5, LINK_ETHERNET.into(), HEADER]);
        ensure_eq!(again.label, errno(Errno::EEXIST), "the same word attached twice");
        ensure_eq!(net.send(agent, 5, 10, 40)?, 10, "packets that have come back");
        ensure_eq!(net.status(agent, 5)?, (0, 0, 0), "packets shown, the word, peers without a tap");
        net.ask(agent, NET_SEND, &[5, 10, 40, 2])?;
        ensure_eq!(net.status(agent, 5)?, (20, 0, 0), "packets shown to nobody, the word, peers");

        let ledger = agent.ledger()?;
        agent.load(TAP)?;
        ensure_eq!(agent.attachments()?, 2, "attachments handed over");
        net.attach(agent, 2)?;
        ensure_eq!(agent.attachments()?, 3, "with one that was made since");
        ensure_eq!(net.status(agent, 5)?.1, 0, "the word while nobody listens");
        let all = agent.listen(5, &ALL, direction::BOTH, 30)?;
        let even = agent.listen(2, &EVEN, direction::IN, 65_535)?;
        let (_, word, peers) = net.status(agent, 5)?;
        ensure!(word != 0 && peers == 1, "the word {word} and peers {peers} while somebody listens");
        ensure_eq!(net.send(agent, 5, 8, 40)?, 28, "packets that have come back with a tap");
        ensure_eq!(net.send(agent, 2, 9, 100)?, 9, "packets of the other interface");
        ensure_eq!(net.send(agent, 0, 3, 100)?, 3, "packets of one that nobody listens to");
        // What came in and went out on 5, cut at 30 bytes; what came in on 2 and was even, whole.
        let region = agent.map_region(TAP, REGION_PAGES)?;
        let (mut cut, mut whole) = (0, 0);
        let count = read_file(&region, |length, packet| {
            ensure_eq!(packet.get(12..14), Some([0x88, 0xb5].as_slice()), "the ethertype");
            match (length, packet.len()) {
                (54, 30) => cut += 1,
                (114, 114) => {
                    ensure!(packet[14].is_multiple_of(2), "a packet that the filter does not want");
                    whole += 1;
                }
                other => fail!("a packet of {other:?} bytes"),
            }
            Ok(())
        })?;
        ensure_eq!((count, cut, whole), (16 + 5, 16, 5), "packets in the file, of each interface");

        // While somebody listens it stays, and nothing has changed.
        agent.unload_refused(TAP, 100, Errno::EBUSY)?;
        net.send(agent, 5, 1, 40)?;
        ensure_eq!(agent.stop_listening(all)?, [18, 18, 0], "received, captured, dropped");
        ensure_eq!(agent.stop_listening(even)?, [9, 5, 0], "received, captured, dropped under a filter");
        ensure_eq!(net.status(agent, 5)?.1, 0, "the word once nobody listens");
        agent.unmap_region(region)?;
        agent.unload(TAP)?;
        ensure_eq!(net.send(agent, 5, 5, 40)?, 34, "packets that have come back without a tap");
        ensure_eq!(agent.ledger()?, ledger, "the ledger after the unload");

        // What was attached under the tap is still there, and so is what changes without it.
        net.ask(agent, NET_DETACH, &[5])?;
        net.attach(agent, 7)?;
        agent.load(TAP)?;
        ensure_eq!(agent.attachments()?, 3, "attachments handed over the second time");
        let refused = agent.try_control(TAP, [control::OPEN, 5, 1, 1 << 32 | 60])?;
        ensure_eq!(refused, Err(Errno::ENODEV), "a listener to an interface that has detached");
        for interface in [0, 2, 7] {
            let listener = agent.listen(interface, &ALL, direction::OUT, 60)?;
            net.send(agent, interface, 4, 20)?;
            ensure_eq!(agent.stop_listening(listener)?, [4, 4, 0], "packets of interface {interface}");
        }
        // A driver that leaves while somebody listens is heard no more; the listener can be closed.
        let listener = agent.listen(7, &ALL, direction::OUT, 60)?;
        net.send(agent, 7, 2, 20)?;
        net.ask(agent, NET_DETACH, &[7])?;
        ensure_eq!(net.status(agent, 7)?.1, 0, "the word of a driver that has detached");
        net.send(agent, 7, 2, 20)?;
        ensure_eq!(agent.stop_listening(listener)?, [2, 2, 0], "packets until it has detached");
        agent.unload(TAP)?;
        agent.audit()?;
        agent.expect_empty()
    }
);

case!(
    /// R26, R25: a tap that refuses at INIT, with the list in its hands, leaves the stub's record as it was.
    30, fn r26_a_tap_that_refuses_leaves_the_record_as_it_was(agent) {
        let net = Net(agent.open("demo")?);
        net.attach(agent, 1)?;
        net.ask(agent, NET_ATTACH, &[3, NO_LINK, 0])?;
        let before = agent.snapshot()?;
        let ledger = agent.ledger()?;
        let mut sent = 0;
        for _ in 0..10 {
            // INIT has seen a link type that no file can carry.
            agent.load_refused(TAP, Errno::EINVAL)?;
            sent += 1;
            ensure_eq!(net.send(agent, 1, 1, 10)?, sent, "packets that have come back");
        }
        agent.expect_as_before(&before, "a refused load")?;
        ensure_eq!(agent.ledger()?, ledger, "the ledger");
        net.ask(agent, NET_CHANGE_TYPE, &[3, LINK_ETHERNET.into(), HEADER])?;
        agent.load(TAP)?;
        ensure_eq!(agent.attachments()?, 2, "attachments handed over");
        let change = net.0.call(agent.ipc, NET_CHANGE_TYPE, &[3, NO_LINK, 0]);
        ensure_eq!(change.label, errno(Errno::EINVAL), "such a link type under the tap");
        agent.unload(TAP)?;
        net.ask(agent, NET_CHANGE_TYPE, &[3, NO_LINK, 0])?;
        agent.audit()?;
        agent.expect_empty()
    }
);

fn errno(errno: Errno) -> u64 {
    errno.number().unsigned_abs().into()
}

/// Sends packets without end on an interface: the server in, at 1 the interface; packets sent at 2, come back at 3,
/// refusals at 4.
fn sending(shared: &'static Shared, ipc: &mut Ipc) {
    let server = Device::at(shared.get(0));
    while !shared.stopping() {
        let answer = server.call(ipc, NET_SEND, &[shared.get(1), 4, 60, 0]);
        shared.set(2, shared.get(2) + 4);
        shared.set(3, answer.words[0]);
        shared.set(4, shared.get(4) + u64::from(answer.label != 0));
    }
}

/// Attaches and detaches interfaces 2 and 3 without end: the server in, at 1 the seed; changes at 2, refusals at 4; which
/// of the two are attached at 3.
fn attaching(shared: &'static Shared, ipc: &mut Ipc) {
    let server = Device::at(shared.get(0));
    let mut random = Random::new(shared.get(1));
    while !shared.stopping() {
        let interface = 2 + random.below(2);
        let bit = 1 << interface;
        let label = if shared.get(3) & bit == 0 { NET_ATTACH } else { NET_DETACH };
        let answer = server.call(ipc, label, &[interface, LINK_ETHERNET.into(), HEADER]);
        shared.set(3, shared.get(3) ^ bit);
        shared.set(4, shared.get(4) + u64::from(answer.label != 0));
        shared.count(2);
    }
}

/// Loads and unloads.
const CYCLES: u64 = 40;

case!(
    /// R26: drivers attach and detach on another core in the middle of loads and unloads of the tap; nothing is lost, twice,
    /// or out of the record. Another core sends meanwhile: every packet comes back, whatever is captured of it.
    120, CORES, fn r26_changes_during_the_handover_are_neither_lost_nor_doubled(agent) {
        let net = Net(agent.open("bench")?);
        net.attach(agent, 0)?;
        let before = agent.snapshot()?;
        let (sender, changer) = (agent.open("demo")?, agent.open("demo2")?);
        let sender = agent.spawn_on(1, sending, &[sender.endpoint(), 0])?;
        let seed = agent.seed;
        let changer = agent.spawn_on(2, attaching, &[changer.endpoint(), seed])?;
        let (mut during, mut captured) = (0, 0);
        for cycle in 0..CYCLES {
            agent.load(TAP)?;
            let [known, .., first, started] = agent.stat(TAP)?;
            ensure!((1..=3).contains(&known), "the tap knows {known} attachments in cycle {cycle}");
            during += u64::from(started != first);
            let listener = agent.listen(0, &ALL, direction::BOTH, 60)?;
            agent.sleep_us(100)?;
            let [received, kept, dropped] = agent.stop_listening(listener)?;
            ensure_eq!(received, kept + dropped, "received, and captured or dropped");
            captured += kept;
            agent.unload(TAP)?;
        }
        agent.join(sender)?;
        agent.join(changer)?;
        note!("{} changes, loads with some in the middle: {during}; {captured} packets captured", changer.get(2));
        ensure_eq!(sender.get(4), 0, "sends that were refused");
        ensure_eq!(sender.get(3), sender.get(2), "packets that have come back, and that were sent");
        ensure_eq!(changer.get(4), 0, "attachments that were refused");
        ensure!(during > 0, "no change fell into a load");
        ensure!(captured > 0, "nothing was captured");
        // The record is what the driver has made it.
        agent.load(TAP)?;
        agent.give_program(&ALL)?;
        let attached = changer.get(3);
        ensure_eq!(agent.attachments()?, 1 + u64::from(attached.count_ones()), "attachments at the end");
        for interface in [2, 3] {
            let expected = if attached & 1 << interface == 0 { Err(Errno::ENODEV) } else { Ok(()) };
            let words = [control::OPEN, interface, 1, u64::from(direction::BOTH) << 32 | 60];
            let opened = agent.try_control(TAP, words)?;
            ensure_eq!(opened.map(|_| ()), expected, "a listener to interface {interface}");
            if let Ok([listener, ..]) = opened {
                agent.stop_listening(listener)?;
            }
        }
        agent.unload(TAP)?;
        agent.expect_as_before(&before, "loads and unloads with changes in the middle")?;
        agent.audit()?;
        agent.expect_empty()
    }
);
