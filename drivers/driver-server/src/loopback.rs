//! Interfaces that lead back: what is sent on one comes in on it again. They are what there is to tap.
//!
//! The way of a driver with bpf(4): attach once, ask one's own word before each packet, and hand the packet over only if
//! somebody listens. A packet goes out in one piece (`bpf_mtap`) and comes in with its header apart (`bpf_mtap2`).

use core::sync::atomic::{AtomicU64, Ordering};

use driver_class::{Answer, Words};
use kmod_api::symbols::{bpf_attach, bpf_change_type, bpf_detach, bpf_mtap, bpf_mtap2, bpf_peers_present};
use strata_protocol::Errno;
use strata_protocol::driver::{NET_ATTACH, NET_CHANGE_TYPE, NET_DETACH, NET_SEND, NET_STATUS};

/// Interfaces.
const INTERFACES_MAX: usize = 8;
/// Bytes of a packet behind its header, at most.
const PAYLOAD_MAX: usize = 256;
/// Packets of one request: bounds how long a client can keep the driver busy.
const PACKETS_MAX: u64 = 256;
/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// bpf(4)'s directions.
const IN: u32 = 1;
const OUT: u32 = 2;

/// An interface.
struct Interface {
    /// What bpf(4) tells it: 0, or the attachment that somebody listens to.
    listeners: AtomicU64,
    /// Packets that have come back whole.
    forwarded: AtomicU64,
    /// Packets that have been handed to bpf(4), in either direction.
    tapped: AtomicU64,
}

static INTERFACES: [Interface; INTERFACES_MAX] = [const {
    Interface { listeners: AtomicU64::new(0), forwarded: AtomicU64::new(0), tapped: AtomicU64::new(0) }
}; INTERFACES_MAX];

/// Answers a request; ENOSYS for those of other classes.
pub(crate) fn request(label: u64, words: &mut Words) -> Answer {
    let [interface, second, third, forced, ..] = *words;
    let number = u32::try_from(interface).map_err(|_| Errno::ERANGE)?;
    let small = |value: u64| u32::try_from(value).map_err(|_| Errno::ERANGE);
    let at = usize::try_from(interface).ok().and_then(|at| INTERFACES.get(at)).ok_or(Errno::ERANGE)?;
    match label {
        NET_ATTACH => {
            let (link_type, header) = (small(second)?, small(third)?);
            // SAFETY: the word is a static: it stays, and everybody changes it as a whole.
            status(unsafe { bpf_attach(number, link_type, header, at.listeners.as_ptr()) })
        }
        NET_DETACH => {
            // SAFETY: the symbol takes any number.
            unsafe { bpf_detach(number) };
            Ok(0)
        }
        NET_CHANGE_TYPE => {
            let (link_type, header) = (small(second)?, small(third)?);
            // SAFETY: the symbol takes any numbers.
            status(unsafe { bpf_change_type(number, link_type, header) })
        }
        NET_SEND => {
            let length = usize::try_from(third).ok().filter(|length| *length <= PAYLOAD_MAX);
            let length = length.ok_or(Errno::ERANGE)?;
            if second > PACKETS_MAX {
                return Err(Errno::ERANGE);
            }
            for count in 0..second {
                at.send(length, count, forced);
            }
            words[0] = at.forwarded.load(Ordering::Relaxed);
            Ok(1)
        }
        NET_STATUS => {
            let listeners = at.listeners.load(Ordering::Acquire);
            words[0] = at.forwarded.load(Ordering::Relaxed);
            words[1] = at.tapped.load(Ordering::Relaxed);
            words[2] = listeners;
            // SAFETY: the symbol takes any number.
            words[3] = unsafe { bpf_peers_present(listeners) }.into();
            Ok(4)
        }
        _ => Err(Errno::ENOSYS),
    }
}

fn status(number: i32) -> Answer {
    if number == 0 { Ok(0) } else { Err(Errno::from_number(number).unwrap_or(Errno::EIO)) }
}

impl Interface {
    /// Sends a packet; it comes back. `forced`: an attachment to hand it to whether or not somebody listens.
    fn send(&self, length: usize, number: u64, forced: u64) {
        let mut frame = [0; HEADER + PAYLOAD_MAX];
        // Locally administered addresses, and the ethertype of experiments (IEEE 802).
        frame[..HEADER].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
        let frame = &mut frame[..HEADER + length];
        let fill = number.to_le_bytes()[0];
        frame[HEADER..].fill(fill);
        if let Some(attachment) = self.heard(forced) {
            // SAFETY: the frame is this call's own and lives longer than it.
            unsafe { bpf_mtap(attachment, frame.as_ptr(), frame.len() as u64, OUT) };
        }
        let (header, payload) = frame.split_at(HEADER);
        if let Some(attachment) = self.heard(forced) {
            let (head, body) = (header.as_ptr(), payload.as_ptr());
            // SAFETY: as above.
            unsafe { bpf_mtap2(attachment, head, HEADER as u64, body, length as u64, IN) };
        }
        if payload.iter().all(|byte| *byte == fill) {
            self.forwarded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whom a packet is shown to.
    fn heard(&self, forced: u64) -> Option<u64> {
        let attachment = if forced == 0 { self.listeners.load(Ordering::Acquire) } else { forced };
        (attachment != 0).then(|| {
            self.tapped.fetch_add(1, Ordering::Relaxed);
            attachment
        })
    }
}
