//! Goal: every command of the contract is understood, and every refusal is one line.

use super::*;
use std::string::ToString;
use std::vec::Vec;

fn read(line: &str) -> Result<Command, std::string::String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let words: Vec<_> =
        words.map(|word| word.strip_prefix("--").map_or(Word::Value(word), Word::Option)).collect();
    parse(name, words.into_iter()).map_err(|failure| failure.to_string())
}

fn name<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap()
}

#[test]
fn every_command_of_the_contract_is_understood() {
    let cases = [
        ("help", Command::Help),
        (
            "modload bus_space_xh",
            Command::ModLoad { name: name("bus_space_xh"), domain: name(""), with: heapless::Vec::new() },
        ),
        (
            "modload a lab",
            Command::ModLoad { name: name("a"), domain: name("lab"), with: heapless::Vec::new() },
        ),
        (
            "modload a --with 2,3",
            Command::ModLoad { name: name("a"), domain: name(""), with: heapless::Vec::from_iter([2, 3]) },
        ),
        ("driver stop rtc", Command::Driver { what: Driver::Stop, name: name("rtc") }),
        ("driver start rtc", Command::Driver { what: Driver::Start, name: name("rtc") }),
        ("driver restart uart", Command::Driver { what: Driver::Restart, name: name("uart") }),
        ("caps", Command::Caps),
        (
            "grant interface bus_space call,refine",
            Command::Grant {
                object: CapObject::Interface(name("bus_space")),
                rights: right::CALL | right::REFINE,
                quota: CapQuota::NONE,
            },
        ),
        (
            "grant domain load --modules 2",
            Command::Grant {
                object: CapObject::Domain,
                rights: right::LOAD,
                quota: CapQuota { modules: 2, ..CapQuota::NONE },
            },
        ),
        (
            "grant module a all",
            Command::Grant {
                object: CapObject::Module(name("a")),
                rights: right::STATUS | right::UNLOAD | right::CONTROL,
                quota: CapQuota::NONE,
            },
        ),
        ("revoke 3", Command::Revoke { capability: 3, rights: right::ALL }),
        ("revoke 3 refine", Command::Revoke { capability: 3, rights: right::REFINE }),
        ("receipt a", Command::Receipt { name: name("a") }),
        ("modunload a", Command::ModUnload { name: name("a"), drain_ms: DRAIN_MS_DEFAULT }),
        ("modunload a --deadline 2500", Command::ModUnload { name: name("a"), drain_ms: 2500 }),
        ("modstat", Command::ModStat),
        ("alias bus_space_read_4", Command::Alias { symbol: name("bus_space_read_4") }),
        ("domains", Command::Domains),
        ("threads", Command::Threads),
        ("registrations", Command::Registrations),
        ("bus read4 rtc 0xfe0", Command::BusRead { device: name("rtc"), offset: 0xfe0 }),
        ("bus write4 uart 36 0x10", Command::BusWrite { device: name("uart"), offset: 36, value: 16 }),
        ("trace on", Command::TraceOn { device: name("") }),
        ("trace on rtc", Command::TraceOn { device: name("rtc") }),
        ("trace off", Command::TraceOff),
        ("trace dump", Command::TraceDump { count: DUMP_DEFAULT }),
        ("tap on 5", Command::TapOn(Listen::to(5))),
        (
            "tap on 2 --in --bytes 60 --ethertype 0x88b5",
            Command::TapOn(Listen {
                interface: 2,
                directions: direction::IN,
                snap: 60,
                program: tap::of_type(0x88b5),
            }),
        ),
        (
            "tap on 0 --out --filter 0x28:0:0:12,0x15:0:1:0x88b5,6:0:0:0xffffffff,6:0:0:0",
            Command::TapOn(Listen {
                directions: direction::OUT,
                program: tap::of_type(0x88b5),
                ..Listen::to(0)
            }),
        ),
        ("tap off", Command::TapOff),
        ("tap dump 4", Command::TapDump { count: 4 }),
        ("demo attach 5", Command::Demo(Demo::Attach(5))),
        ("demo detach", Command::Demo(Demo::Detach(0))),
        ("demo send 5", Command::Demo(Demo::Send(5))),
        ("demo flood 5", Command::Demo(Demo::Flood(5))),
        ("trace dump 5", Command::TraceDump { count: 5 }),
        ("ledger", Command::Ledger),
        ("firmware", Command::Firmware),
        ("demo ping 7", Command::Demo(Demo::Ping(7))),
        ("demo wait", Command::Demo(Demo::Wait(0))),
        ("demo release", Command::Demo(Demo::Release)),
        ("quit", Command::Quit { status: 0 }),
        ("quit 3", Command::Quit { status: 3 }),
    ];
    for (line, command) in cases {
        assert_eq!(read(line), Ok(command), "{line}");
    }
}

#[test]
fn refusals_are_one_line_with_what_name_why_and_word() {
    let cases = [
        ("frobnicate x", "error: command frobnicate: unknown; `help` lists the commands (ENOSYS)"),
        ("modload", "error: modload: needs NAME (EINVAL)"),
        ("grant domain fly", "error: grant fly: no such right (EINVAL)"),
        ("grant house", "error: grant house: not domain, interface or module (EINVAL)"),
        ("revoke", "error: revoke: needs CAP (EINVAL)"),
        ("modload a b c", "error: modload c: not expected here (EINVAL)"),
        ("modunload a --deadline", "error: modunload: needs --deadline MS (EINVAL)"),
        ("modunload a --deadline 60001", "error: modunload 60001: out of range (ERANGE)"),
        ("modunload a --now", "error: modunload now: not expected here (EINVAL)"),
        ("bus read8 rtc 0", "error: bus read8: not read4 or write4 (EINVAL)"),
        ("bus read4 rtc zero", "error: bus read4 zero: not a number (EINVAL)"),
        ("bus write4 rtc 0 0x100000000", "error: bus write4 0x100000000: out of range (ERANGE)"),
        ("trace dump 0", "error: trace 0: out of range (ERANGE)"),
        ("tap on", "error: tap: needs IF (EINVAL)"),
        ("tap on 5 6", "error: tap 6: not expected here (EINVAL)"),
        ("tap on 5 --ethertype 0x10000", "error: tap 0x10000: out of range (ERANGE)"),
        ("tap on 5 --filter 6:0:0", "error: tap 6:0:0: not CODE:JT:JF:K (EINVAL)"),
        ("tap on 5 --filter 6:0:0:1:2", "error: tap 6:0:0:1:2: not CODE:JT:JF:K (EINVAL)"),
        ("tap on 5 --filter 6:256:0:1", "error: tap 256: out of range (ERANGE)"),
        ("quit 256", "error: quit 256: out of range (ERANGE)"),
        ("modstat all", "error: modstat all: not expected here (EINVAL)"),
    ];
    for (line, error) in cases {
        assert_eq!(read(line), Err(error.into()), "{line}");
    }
    let long = "m".repeat(32);
    let error = read(&std::format!("modload {long}")).unwrap_err();
    assert_eq!(error, std::format!("error: modload {long}: longer than 31 bytes (ENAMETOOLONG)"));
}
