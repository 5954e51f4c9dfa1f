//! The filter machine against a naive one, and the checker against a naive checker.
//!
//! Both oracles work on the raw codes and on 64-bit numbers, and share nothing with the crate but the instruction's fields.

#![allow(clippy::unwrap_used)]

use bpf::filter::{INSTRUCTIONS_MAX, MEMORY_WORDS};
use bpf::{Filter, Instruction, Invalid, Packet};

/// All codes that mean something, as libpcap's bpf.h spells them.
const CODES: &[u16] = &[
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x00, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x04, 0x0c,
    0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c,
    0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87,
];

/// xorshift64*: the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn number(&mut self) -> u32 {
        let small = u32::try_from(self.below(40)).unwrap();
        let large = u32::try_from(self.next() & 0xffff_ffff).unwrap();
        match self.below(4) {
            0 => large,
            1 => u32::MAX - small,
            _ => small,
        }
    }
}

/// Whether a program may run, by the letter of the rules.
fn is_valid(program: &[Instruction]) -> bool {
    let fine = |(at, one): (usize, &Instruction)| {
        let (k, end) = (u64::from(one.k), program.len() as u64);
        let reaches = |skip: u64| at as u64 + 1 + skip < end;
        CODES.contains(&one.code)
            && match one.code {
                0x05 => reaches(k),
                0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
                    reaches(one.jt.into()) && reaches(one.jf.into())
                }
                0x60 | 0x61 | 0x02 | 0x03 => k < MEMORY_WORDS as u64,
                0x34 | 0x94 => k != 0,
                0x64 | 0x74 => k < 32,
                _ => true,
            }
    };
    (1..=INSTRUCTIONS_MAX).contains(&program.len())
        && program.iter().enumerate().all(fine)
        && matches!(program[program.len() - 1].code, 0x06 | 0x16)
}

/// Runs a valid program, one code after the other.
fn naive(program: &[Instruction], packet: &[u8]) -> u64 {
    const MASK: u64 = 0xffff_ffff;
    let (mut a, mut x, mut memory, mut pc) = (0_u64, 0_u64, [0_u64; 16], 0_usize);
    let load = |at: u64, count: u64| -> Option<u64> {
        (0..count).try_fold(0, |value, i| {
            let byte = packet.get(usize::try_from(at + i).ok()?)?;
            Some(value * 256 + u64::from(*byte))
        })
    };
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        let k = u64::from(k);
        let word = usize::try_from(k & 15).unwrap();
        pc += 1;
        let operand = if code & 8 == 0 { k } else { x };
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        let loaded = match code {
            0x20 => load(k, 4),
            0x28 => load(k, 2),
            0x30 => load(k, 1),
            0x40 => load(x + k, 4),
            0x48 => load(x + k, 2),
            0x50 => load(x + k, 1),
            _ => Some(a),
        };
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
        match code {
            0x00 => a = k,
            0x60 => a = memory[word],
            0x80 => a = packet.len() as u64,
            0x01 => x = k,
            0x61 => x = memory[word],
            0x81 => x = packet.len() as u64,
            0xb1 => match load(k, 1) {
                Some(byte) => x = (byte % 16) * 4,
                None => return 0,
            },
            0x02 => memory[word] = a,
            0x03 => memory[word] = x,
            0x04 | 0x0c => a = (a + operand) & MASK,
            0x14 | 0x1c => a = (a + (1 << 32) - operand) & MASK,
            0x24 | 0x2c => a = a.wrapping_mul(operand) & MASK,
            0x34 | 0x3c | 0x94 | 0x9c if operand == 0 => return 0,
            0x34 | 0x3c => a /= operand,
            0x94 | 0x9c => a %= operand,
            0x44 | 0x4c => a |= operand,
            0x54 | 0x5c => a &= operand,
            0x64 | 0x6c => a = if operand > 31 { 0 } else { a << operand & MASK },
            0x74 | 0x7c => a = if operand > 31 { 0 } else { a >> operand },
            0x84 => a = ((1 << 32) - a) & MASK,
            0xa4 | 0xac => a ^= operand,
            0x05 => pc += usize::try_from(k).unwrap(),
            0x15 | 0x1d => pc += jump(a == operand),
            0x25 | 0x2d => pc += jump(a > operand),
            0x35 | 0x3d => pc += jump(a >= operand),
            0x45 | 0x4d => pc += jump(a & operand != 0),
            0x06 => return k,
            0x16 => return a,
            0x07 => x = a,
            0x87 => a = x,
            _ => {}
        }
    }
}

fn random_program(random: &mut Random, codes: impl Fn(&mut Random) -> u16) -> Vec<Instruction> {
    let length = 1 + random.below(24);
    let small = |random: &mut Random| u8::try_from(random.below(6)).unwrap();
    let mut program: Vec<Instruction> = (0..length)
        .map(|_| Instruction {
            code: codes(random),
            jt: small(random),
            jf: small(random),
            k: random.number(),
        })
        .collect();
    if random.below(8) != 0 {
        program.push(Instruction::new(if random.below(2) == 0 { 0x06 } else { 0x16 }, random.number()));
    }
    program
}

#[test]
fn a_filter_of_tcpdump_wants_what_it_should() {
    // tcpdump -d "ip and udp port 53" on Ethernet.
    let program = [
        Instruction::new(0x28, 12),
        Instruction::jump(0x15, 0x0800, 0, 10),
        Instruction::new(0x30, 23),
        Instruction::jump(0x15, 17, 0, 8),
        Instruction::new(0x28, 20),
        Instruction::jump(0x45, 0x1fff, 6, 0),
        Instruction::new(0xb1, 14),
        Instruction::new(0x48, 14),
        Instruction::jump(0x15, 53, 2, 0),
        Instruction::new(0x48, 16),
        Instruction::jump(0x15, 53, 0, 1),
        Instruction::new(0x06, 0x4_0000),
        Instruction::new(0x06, 0),
    ];
    let filter = Filter::new(&program).unwrap();
    let mut packet = [0; 60];
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    packet[14] = 0x46;
    packet[23] = 17;
    // The header has 24 bytes, so that the ports lie behind options.
    packet[14 + 24..14 + 28].copy_from_slice(&[0x30, 0x39, 0, 53]);
    assert_eq!(filter.run(&Packet::new(&packet)), 0x4_0000);
    assert_eq!(filter.run(&Packet::with_header(&packet[..13], &packet[13..])), 0x4_0000, "in two pieces");
    assert_eq!(filter.run(&Packet::new(&packet[..40])), 0, "cut in front of the port");
    packet[23] = 6;
    assert_eq!(filter.run(&Packet::new(&packet)), 0, "TCP");
}

#[test]
fn every_code_is_accepted_or_refused_as_the_list_says() {
    for code in 0..=u16::MAX {
        let program = [Instruction::new(code, 1), Instruction::new(0x06, 0), Instruction::new(0x06, 0)];
        assert_eq!(Filter::new(&program).is_ok(), CODES.contains(&code), "{code:#x}");
    }
}

#[test]
fn every_rule_names_its_instruction() {
    let end = Instruction::new(0x06, 0);
    let check = |first: Instruction| Filter::new(&[end, first, end]).err();
    assert_eq!(Filter::new(&[]).err(), Some(Invalid::Empty));
    assert_eq!(Filter::new(&[end; INSTRUCTIONS_MAX + 1]).err(), Some(Invalid::TooLong));
    assert!(Filter::new(&[end; INSTRUCTIONS_MAX]).is_ok());
    assert_eq!(Filter::new(&[end, Instruction::new(0x00, 0)]).err(), Some(Invalid::NoReturn));
    assert_eq!(check(Instruction::new(0xffff, 0)), Some(Invalid::Code(1)));
    assert_eq!(check(Instruction::new(0x05, 0)), None);
    assert_eq!(check(Instruction::new(0x05, 1)), Some(Invalid::Jump(1)));
    assert_eq!(check(Instruction::new(0x05, u32::MAX)), Some(Invalid::Jump(1)), "no jump leads back");
    assert_eq!(check(Instruction::jump(0x15, 0, 0, 1)), Some(Invalid::Jump(1)));
    assert_eq!(check(Instruction::jump(0x15, 0, 255, 0)), Some(Invalid::Jump(1)));
    for code in [0x60, 0x61, 0x02, 0x03] {
        assert_eq!(check(Instruction::new(code, 15)), None);
        assert_eq!(check(Instruction::new(code, 16)), Some(Invalid::Memory(1)));
    }
    for code in [0x34, 0x94] {
        assert_eq!(check(Instruction::new(code, 0)), Some(Invalid::DivisionByZero(1)));
    }
    for code in [0x64, 0x74] {
        assert_eq!(check(Instruction::new(code, 31)), None);
        assert_eq!(check(Instruction::new(code, 32)), Some(Invalid::Shift(1)));
    }
}

#[test]
fn random_programs_are_judged_and_run_as_the_oracles_do() {
    let mut random = Random(0x5eed);
    let (mut valid, mut wanted, mut refused) = (0, 0, 0);
    for _ in 0..400_000 {
        let wild = random.below(16) == 0;
        let program = random_program(&mut random, |random| {
            let at = usize::try_from(random.below(CODES.len() as u64)).unwrap();
            if wild { u16::try_from(random.below(0x100)).unwrap() } else { CODES[at] }
        });
        let filter = Filter::new(&program);
        assert_eq!(filter.is_ok(), is_valid(&program), "{program:?}");
        let Ok(filter) = filter else {
            refused += 1;
            continue;
        };
        valid += 1;
        let length = usize::try_from(random.below(48)).unwrap();
        let packet: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        let cut = usize::try_from(random.below(length as u64 + 1)).unwrap();
        let run = filter.run(&Packet::with_header(&packet[..cut], &packet[cut..]));
        assert_eq!(u64::from(run), naive(&program, &packet), "{program:?} on {packet:?}");
        assert_eq!(filter.run(&Packet::new(&packet)), run, "in one piece");
        assert_eq!(filter.store().unwrap().as_filter().run(&Packet::new(&packet)), run, "copied");
        wanted += u32::from(run != 0);
    }
    assert!(
        valid > 20_000 && refused > 20_000 && wanted > 5_000,
        "{valid} valid, {refused} refused, {wanted} wanted"
    );
}

#[test]
fn an_instruction_crosses_as_a_word() {
    let mut random = Random(7);
    for _ in 0..10_000 {
        let bits = random.next() << 32 ^ random.next();
        assert_eq!(Instruction::from_bits(bits).bits(), bits);
    }
    assert_eq!(Instruction::jump(0x15, 0x0800, 1, 2).bits(), 0x0000_0800_0201_0015);
}
