//! Goal: a base image is read as it was meant, and each rule broken alone gives its own error.
//!
//! Method: a small base image told as a story, then one field changed in it for each rule.
#![allow(clippy::unwrap_used)]

use kmod::base::{Permission, Site};
use kmod::records::SERVER_MEMORY;
use kmod::{AliasKind, BaseError, BaseObject, ElfError};
use link_tests::base::{BaseImage, DATA, TEXT};
use link_tests::image::{Image, PROGBITS, Section};

fn refused(image: &Image) -> BaseError {
    BaseObject::parse(&image.write()).err().unwrap()
}

fn changed(change: impl FnOnce(&mut Image)) -> BaseError {
    let mut image = BaseImage::small().image();
    change(&mut image);
    refused(&image)
}

fn record_poked(section: &str, at: usize, bytes: &[u8]) -> BaseError {
    changed(|image| image.section(section).bytes[at..at + bytes.len()].copy_from_slice(bytes))
}

#[test]
fn seed_story() {
    let small = BaseImage::small();
    let file = small.write();
    let base = BaseObject::parse(&file).unwrap();
    assert_eq!((base.base().name, base.base().version, base.base().worker_entry), ("base", 9, TEXT));

    let aliases: Vec<_> =
        base.aliases().map(|alias| (alias.name, alias.kind, alias.implementation)).collect();
    let at = |index| small.default_address(index);
    let expected = [
        ("bus_space_read_4", AliasKind::Weak, at(0)),
        ("voidop", AliasKind::Weak, at(1)),
        ("memcpy", AliasKind::Export, at(2)),
    ];
    assert_eq!(aliases, expected);
    assert_eq!(base.function_at(at(0)), Some(("bus_space_read_4", 0)));

    // Two calls of each symbol, one of them a tail call, and one pointer.
    let (calls, taken): (Vec<Site>, Vec<Site>) = base.sites().partition(|site| site.kind.is_call());
    let places: Vec<_> = calls.iter().map(|site| (site.at, site.alias)).collect();
    let call = |index| small.call_address(index);
    assert_eq!(places, [(call(0), 0), (call(0) + 4, 0), (call(1), 1), (call(1) + 4, 1)]);
    assert_eq!(taken.iter().map(|site| site.alias).collect::<Vec<_>>(), [0]);

    let servers: Vec<_> = base.servers().map(|server| (server.name, server.device, server.irq)).collect();
    assert_eq!(servers, [("uart", Some((0x0900_0000, 4096)), Some(33)), ("demo", None, None)]);
    assert_eq!(base.fixup(call(0)), Some(call(0) + 4));
    assert_eq!(base.fixup(call(0) + 4), None);

    let permissions: Vec<_> = base.segments().map(|segment| segment.permission).collect();
    assert_eq!(permissions, [Permission::ReadExecute, Permission::ReadOnly, Permission::ReadWrite]);
    assert!(base.is_text(TEXT) && !base.is_text(TEXT + 1) && !base.is_text(TEXT - 4));
    assert!(base.bytes(DATA, 4).is_some());
}

#[test]
fn modules_log_behind_the_last_string_of_the_base() {
    let image = BaseImage::small();
    assert_eq!(BaseObject::parse(&image.write()).unwrap().log_index_end(), 0);
    let mut image = image.image();
    // Strings are not loaded: the section has no flag of an allocated one.
    let strings =
        Section { name: ".defmt".into(), kind: PROGBITS, bytes: vec![0; 0x11], ..Section::default() };
    image.sections.push(strings);
    assert_eq!(BaseObject::parse(&image.write()).unwrap().log_index_end(), 0x11);
}

#[test]
fn segments() {
    assert_eq!(changed(|image| image.kind = 1), BaseError::Elf(ElfError::Type));
    assert_eq!(changed(|image| image.segments.clear()), BaseError::SegmentCount);
    let many = |image: &mut Image| {
        let segment = image.segments[0];
        image.segments.splice(1.., vec![segment; 1]);
        image.segments[1].kind = 7;
    };
    assert_eq!(changed(many), BaseError::ThreadLocalSegment(1));
    assert_eq!(changed(|image| image.segments[0].memory_size = 4), BaseError::SegmentSize(0));
    assert_eq!(changed(|image| image.segments[2].memory_size = u64::MAX), BaseError::SegmentSize(2));
    assert_eq!(changed(|image| image.segments[0].flags = 7), BaseError::SegmentPermission(0));
    assert_eq!(changed(|image| image.segments[0].flags = 1), BaseError::SegmentPermission(0));
    assert_eq!(changed(|image| image.segments.swap(0, 1)), BaseError::SegmentOrder(1));
    assert_eq!(changed(|image| image.segments[0].memory_size = 0x2001), BaseError::SegmentOrder(1));
    let mut file = BaseImage::small().write();
    file[64 + 8..64 + 16].copy_from_slice(&[0xff; 8]);
    assert_eq!(BaseObject::parse(&file).err(), Some(BaseError::SegmentOutOfFile(0)));
}

#[test]
fn the_info_record() {
    let info = |at, bytes: &[u8]| record_poked(".modlink.base", at, bytes);
    assert_eq!(info(0, b"X"), BaseError::InfoMagic);
    assert_eq!(info(8, &[9]), BaseError::InfoFormat(9));
    assert_eq!(info(10, &[9]), BaseError::InfoApi(9));
    assert_eq!(info(12, &[1]), BaseError::InfoReserved);
    assert_eq!(info(20, &[1]), BaseError::InfoReserved);
    assert_eq!(info(88, &[1]), BaseError::InfoReserved);
    assert_eq!(info(32, &[1]), BaseError::WorkerEntry(TEXT + 1));
    assert_eq!(info(40, &[0xff; 8]), BaseError::FixupTable);
    assert_eq!(info(48, &[0xff; 8]), BaseError::FixupTable);
    let end = 0x1000_4000u64 + 8 + 8;
    assert_eq!(info(48, &end.to_le_bytes()), BaseError::FixupTable);
    assert_eq!(info(56, &[0]), BaseError::InfoName);
    assert_eq!(changed(|image| image.section(".modlink.base").name = ".other".into()), BaseError::Info);
    let twice = |image: &mut Image| image.section(".modlink.server").name = ".modlink.base".into();
    assert_eq!(changed(twice), BaseError::DuplicateSection(4));
    assert_eq!(changed(|image| image.section(".modlink.base").flags = 0), BaseError::RecordSection(4));
    assert_eq!(record_poked(".data", 8, &[1]), BaseError::Fixup(0));
}

#[test]
fn aliases() {
    let alias = |at: usize, bytes: &[u8]| record_poked(".modlink.alias", 88 + at, bytes);
    assert_eq!(alias(0, &[2]), BaseError::AliasKind(1));
    assert_eq!(alias(0, &[3]), BaseError::AliasKind(1));
    assert_eq!(alias(1, &[2]), BaseError::AliasFlags(1));
    assert_eq!(alias(4, &[2]), BaseError::AliasReserved(1));
    assert_eq!(alias(8, &[0]), BaseError::AliasHash(1));
    assert_eq!(alias(32, &[1]), BaseError::AliasImplementation(1));
    assert_eq!(alias(40, b"super_x"), BaseError::AliasName(1));
    assert_eq!(alias(40, &[0]), BaseError::AliasName(1));
    let mut twice = BaseImage::small();
    twice.exports = vec!["voidop".into()];
    assert_eq!(refused(&twice.image()), BaseError::DuplicateAlias(2));
    let cut = |image: &mut Image| {
        image.section(".modlink.alias").bytes.pop();
    };
    assert_eq!(changed(cut), BaseError::RecordSection(2));
    let mut many = BaseImage::small();
    many.exports = (0..kmod::ALIASES_MAX).map(|index| format!("f{index}")).collect();
    let mut image = many.image();
    // More records than fit before the next section: let the sections follow each other.
    let start = image.section(".modlink.alias").address;
    let mut next = start;
    for name in [".modlink.alias", ".modlink.server", ".modlink.base"] {
        image.section(name).address = next;
        next += image.section(name).bytes.len() as u64;
    }
    image.section(".data").address = 0x1001_0000;
    let fixups = (0x1001_0000u64 + 8).to_le_bytes();
    image.section(".modlink.base").bytes[40..48].copy_from_slice(&fixups);
    image.section(".modlink.base").bytes[48..56].copy_from_slice(&fixups);
    assert_eq!(refused(&image), BaseError::TooManyAliases);
}

#[test]
fn servers() {
    let server = |at, bytes: &[u8]| record_poked(".modlink.server", at, bytes);
    assert_eq!(server(0, &[0]), BaseError::ServerName(0));
    assert_eq!(server(16, &[2]), BaseError::ServerEntry(0));
    assert_eq!(server(24, &[1]), BaseError::ServerDevice(0));
    assert_eq!(server(32, &[1]), BaseError::ServerDevice(0));
    assert_eq!(server(32, &(!0xfffu64).to_le_bytes()), BaseError::ServerDevice(0));
    assert_eq!(server(44, &[2]), BaseError::ServerReserved(0));
    assert_eq!(server(47, &[0x80]), BaseError::ServerReserved(0));
    assert_eq!(server(63, &[1]), BaseError::ServerReserved(0));
    assert_eq!(server(64, b"uart"), BaseError::DuplicateServer(1));
    // The one flag that there is.
    for flags in [0, SERVER_MEMORY] {
        let mut image = BaseImage::small().image();
        image.section(".modlink.server").bytes[44..48].copy_from_slice(&flags.to_le_bytes());
        let file = image.write();
        let first = BaseObject::parse(&file).unwrap().servers().next().unwrap();
        assert_eq!(first.memory, flags == SERVER_MEMORY);
    }
    let mut many = BaseImage::small();
    many.servers = (0..=kmod::SERVERS_MAX).map(|index| (format!("s{index}"), 0, 0)).collect();
    assert_eq!(refused(&many.image()), BaseError::TooManyServers);
}

#[test]
fn sites() {
    // Sections: 1 text, 2 aliases, 3 servers, 4 info, 5 data, 6 text's relocations, 7 data's.
    let site = |change: &dyn Fn(&mut Section)| changed(|image| change(image.section(".text")));
    assert_eq!(site(&|text| text.relocations[1].kind = 311), BaseError::Site(6, 1));
    assert_eq!(site(&|text| text.relocations[1].kind = 283), BaseError::Site(6, 1), "BL is not B");
    assert_eq!(site(&|text| text.relocations[1].addend = 4), BaseError::Site(6, 1));
    assert_eq!(site(&|text| text.relocations[1].offset += 0x1000), BaseError::Site(6, 1));
    assert_eq!(site(&|text| text.relocations[1].offset = u64::MAX), BaseError::Site(6, 1));
    assert_eq!(site(&|text| text.relocations[1].offset = 0), BaseError::Site(6, 1));
    assert_eq!(site(&|text| text.relocations[1].symbol = 999), BaseError::RelocationSymbol(6, 1));
    let elsewhere = |image: &mut Image| {
        let words = &mut image.section(".text").bytes;
        let last = words.len() - 4;
        words[last] = 0;
    };
    assert_eq!(changed(elsewhere), BaseError::SiteTarget(6, 3));
    // Relocations against other names are not the linker's business.
    let mut image = BaseImage::small().image();
    image.section(".text").relocations[1].symbol = image.symbol_index("_voidop");
    image.section(".text").relocations[1].kind = 311;
    assert!(BaseObject::parse(&image.write()).is_ok());
}
