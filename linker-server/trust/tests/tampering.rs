//! Goal: only the bytes that were signed are loaded, under the name that was signed.
//!
//! Method: the story with minisign's own implementation as judge in both directions; then every bit of a small image,
//! every bit and the bytes with a meaning at every place of its signature, every truncation, all with the independent verdict "accepted
//! means unchanged".
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;

use kmod_trust::authority::{Authority, TrustError};
use kmod_trust::container::{split, trailer};
use kmod_trust::minisig::PublicKey;
use kmod_trust::sign::SecretKey;

const COMMENT: &str = "name:hello\tversion:3";
const IMAGE: &[u8] = b"not an object file: nothing looks at it before its signature has been checked";

fn key(number: u8) -> SecretKey {
    SecretKey::new([number; 8], &[number; 32])
}

fn trusting(keys: &[&PublicKey]) -> Authority {
    let mut authority = Authority::new();
    assert!(keys.iter().all(|key| authority.trust(key)));
    authority
}

fn joined(image: &[u8], signature: &str) -> Vec<u8> {
    [image, signature.as_bytes(), &trailer(signature.len()).unwrap()].concat()
}

fn signed(key: &SecretKey, image: &[u8], comment: &str) -> Vec<u8> {
    joined(image, &key.sign(image, comment).unwrap())
}

#[test]
fn story_of_an_image_that_is_signed_and_one_that_is_not() {
    let (own, other) = (key(1), key(2));
    let mut authority = trusting(&[&own.public()]);
    let good = signed(&own, IMAGE, COMMENT);
    let found = authority.check("hello", &good).unwrap();
    assert_eq!((found.image, found.manifest.version, found.key_id), (IMAGE, 3, [1; 8]));

    assert_eq!(authority.check("hello", IMAGE), Err(TrustError::Unsigned));
    assert_eq!(authority.check("hello", &joined(IMAGE, "no signature")), Err(TrustError::Malformed));
    let foreign = signed(&other, IMAGE, COMMENT);
    assert_eq!(authority.check("hello", &foreign), Err(TrustError::UnknownKey([2; 8])));
    let forged = signed(&SecretKey::new([1; 8], &[2; 32]), IMAGE, COMMENT);
    assert_eq!(
        authority.check("hello", &forged),
        Err(TrustError::Tampered),
        "another key under our key's name"
    );
    assert_eq!(authority.check("goodbye", &good), Err(TrustError::OtherName));
    let silent = signed(&own, IMAGE, "timestamp:1");
    assert_eq!(authority.check("hello", &silent), Err(TrustError::NoManifest));
    assert_eq!(Authority::new().check("hello", &good), Err(TrustError::NoKey), "no key, no trust");
}

#[test]
fn a_comment_of_another_signature_is_refused() {
    let own = key(1);
    let mut authority = trusting(&[&own.public()]);
    let old = own.sign(IMAGE, COMMENT).unwrap();
    let new = own.sign(IMAGE, "name:hello\tversion:9").unwrap();
    // The newer comment with its own second signature, and without it, under the older first signature.
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    let (old, new) = (lines(&old), lines(&new));
    assert_eq!(old[1], new[1], "Ed25519 is deterministic: the same image has the same first signature");
    let mixed = [&*old[0], &old[1], &new[2], &old[3], ""].join("\n");
    assert_eq!(authority.check("hello", &joined(IMAGE, &mixed)), Err(TrustError::CommentTampered));
    let other = own.sign(b"another image", "name:hello\tversion:9").unwrap();
    let other = lines(&other);
    let mixed = [&*old[0], &old[1], &other[2], &other[3], ""].join("\n");
    assert_eq!(authority.check("hello", &joined(IMAGE, &mixed)), Err(TrustError::CommentTampered));
}

#[test]
fn minisign_itself_and_we_agree_both_ways() {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let public = PublicKey::parse(&pair.pk.to_box().unwrap().to_string()).unwrap();
    let secret = SecretKey::parse(&pair.sk.to_box(None).unwrap().to_string()).unwrap();
    assert_eq!(secret.public(), public);
    // Theirs, read by us.
    let theirs =
        minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(IMAGE), Some(COMMENT), Some("untrusted"))
            .unwrap();
    let bytes = joined(IMAGE, &theirs.to_string());
    assert_eq!(trusting(&[&public]).check("hello", &bytes).unwrap().manifest.version, 3);
    // Ours, read by them.
    let ours = minisign::SignatureBox::from_string(&secret.sign(IMAGE, COMMENT).unwrap()).unwrap();
    minisign::verify(&pair.pk, &ours, Cursor::new(IMAGE), true, false, false).unwrap();
    assert_eq!(ours.trusted_comment().unwrap(), COMMENT);
}

#[test]
fn every_flipped_bit_of_an_image_is_noticed() {
    let own = key(1);
    let mut authority = trusting(&[&own.public()]);
    let good = signed(&own, IMAGE, COMMENT);
    for bit in 0..IMAGE.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(authority.check("hello", &bytes), Err(TrustError::Tampered), "bit {bit}");
    }
    assert!(authority.check("hello", &good).is_ok());
}

#[test]
fn every_change_of_a_signature_is_noticed_or_changes_nothing_that_is_signed() {
    let own = key(1);
    let mut authority = trusting(&[&own.public()]);
    let good = signed(&own, IMAGE, COMMENT);
    let genuine = split(&good).unwrap();
    let untrusted = genuine.signature.iter().position(|byte| *byte == b'\n').unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for at in IMAGE.len()..good.len() {
        let flipped = (0..8).map(|bit| good[at] ^ 1 << bit);
        for value in flipped.chain([0, b'\n', b'\r', b'\t', b' ', b'=', b'A', 0xff]) {
            let mut bytes = good.clone();
            bytes[at] = value;
            if bytes == good {
                continue;
            }
            match authority.check("hello", &bytes) {
                // The untrusted comment is what its name says.
                Ok(found) => {
                    accepted += 1;
                    assert!(at - IMAGE.len() < untrusted, "byte {at} = {value}");
                    assert_eq!((found.image, found.manifest.version), (IMAGE, 3));
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 0 && refused > 4_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn every_truncation_and_every_added_byte_is_noticed() {
    let own = key(1);
    let mut authority = trusting(&[&own.public()]);
    let good = signed(&own, IMAGE, COMMENT);
    for size in 0..good.len() {
        assert!(authority.check("hello", &good[..size]).is_err(), "{size} bytes");
        assert!(authority.check("hello", &good[good.len() - size..]).is_err(), "the last {size} bytes");
    }
    for at in 0..=good.len() {
        let mut bytes = good.clone();
        bytes.insert(at, b'A');
        let untrusted = at >= IMAGE.len() && at < good.len() - 12;
        assert!(authority.check("hello", &bytes).is_err() || untrusted, "a byte at {at}");
    }
}

#[test]
fn keys_that_are_weak_or_one_too_many_are_not_trusted() {
    let mut authority = Authority::new();
    // The neutral element: every signature of a small family would be "good".
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(!authority.trust(&PublicKey { id: [9; 8], key: identity }));
    assert!(authority.trust(&key(1).public()));
    assert!(authority.trust(&key(2).public()));
    assert!(!authority.trust(&key(3).public()));
    for number in 1..3 {
        let bytes = signed(&key(number), IMAGE, COMMENT);
        assert_eq!(authority.check("hello", &bytes).unwrap().key_id, [number; 8]);
    }
}

#[test]
fn what_is_remembered_is_the_whole_decision() {
    let own = key(1);
    let mut authority = trusting(&[&own.public()]);
    // More images than are remembered, twice around: none is accepted because of another.
    for round in 0..2 {
        for number in 0..80_u32 {
            let image = number.to_le_bytes();
            let comment = format!("name:m{number}\tversion:{number}");
            let bytes = signed(&own, &image, &comment);
            let found = authority.check(&format!("m{number}"), &bytes).unwrap();
            assert_eq!(found.manifest.version, number, "round {round}");
            let text = own.sign(&image, &comment).unwrap().replace("version:", "version:1");
            assert_eq!(
                authority.check(&format!("m{number}"), &joined(&image, &text)),
                Err(TrustError::CommentTampered)
            );
        }
    }
}
