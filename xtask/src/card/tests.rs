//! Goal: what is put on a card is read back, by our reader and by the rules of those who wrote neither; what is no card
//! of this board is refused in one line.

use super::*;

fn files() -> Files {
    let kernel: Vec<u8> = (0..700_000_u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
    Files::from([
        (KERNEL.to_owned(), kernel),
        ("start4.elf".to_owned(), vec![7; 3_000_000]),
        ("empty".to_owned(), vec![]),
    ])
}

#[test]
fn files_come_back_from_the_card() {
    let mut image = make(&files()).unwrap();
    assert!(image.len().is_power_of_two());
    let (partition, found) = read(&mut image).unwrap();
    assert_eq!(found, files());
    // Microsoft's FAT specification, 3.1 and 3.3, and what a Pi's boot ROM looks for.
    let boot = &image[usize::try_from(partition.first).unwrap() * 512..];
    assert_eq!(&image[510..512], &[0x55, 0xaa]);
    assert_eq!(image[446 + 4], 0x0c);
    assert_eq!(&boot[510..512], &[0x55, 0xaa]);
    assert_eq!(&boot[82..90], b"FAT32   ");
    assert_eq!(make(&files()).unwrap(), make(&files()).unwrap(), "the same files make the same card");
}

#[test]
fn what_is_no_card_is_refused_in_one_line() {
    let error = |image: &mut [u8]| format!("{:#}", read(image).unwrap_err());
    assert_eq!(error(&mut []), "too short for a card: not even one sector");
    assert_eq!(error(&mut [0; 4096]), "the card has no partition table");
    let mut image = make(&files()).unwrap();
    image[446 + 4] = 0x83;
    assert_eq!(error(&mut image), "the card has no FAT32 partition");
    image[446 + 4] = 0x0c;
    let half = image.len() / 2;
    assert!(error(&mut image[..half]).starts_with("the partition ends at 0x4000000"));
    image[2048 * 512..2049 * 512].fill(0);
    assert!(error(&mut image).starts_with("the partition holds no FAT file system"));
}

#[test]
fn a_card_of_another_board_is_told_apart() {
    let (three, four) = (boards::named("raspi3").unwrap(), boards::named("raspi4").unwrap());
    let machine = |name| Model::new(name, None, 1).unwrap();
    let kernel = std::env::temp_dir().join(format!("strata-card-test-{}", std::process::id()));
    std::fs::write(&kernel, b"kernel").unwrap();
    let mut files = own_files(&machine("raspi3"), &kernel, "host=1").unwrap();
    assert!(own_files(&machine("qemu-virt"), &kernel, "").is_err());
    std::fs::remove_file(&kernel).unwrap();
    check(&files, three).unwrap();
    assert_eq!(check(&files, four).unwrap_err().to_string(), "the card is for raspi3, not for raspi4");
    files.remove(KERNEL);
    assert_eq!(check(&files, three).unwrap_err().to_string(), "the card has no kernel8.img");
    files.insert(CONFIG.into(), b"arm_64bit=1\n".to_vec());
    assert_eq!(check(&files, three).unwrap_err().to_string(), "the card was not made by `./x flash`");
}
