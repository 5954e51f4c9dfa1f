//! Goal: every target runs, reaches more than one outcome, and finds what is planted.
//!
//! Method: a short campaign with a fixed seed on each target; one on a judge that rejects what it should not, whose
//! input must be written, named, and fail again when it is replayed.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use strata_fuzz::{ALL, Target, campaign, replay};

#[test]
fn a_short_campaign_finds_nothing_and_sees_several_outcomes() {
    let folder = std::env::temp_dir().join("strata-fuzz-test");
    for target in ALL {
        let report = campaign(target, 1, Duration::from_secs(60), 300, &folder).unwrap();
        assert!(report.failures.is_empty(), "{}: {:?}", target.name, report.failures);
        assert!(report.outcomes.len() > 1, "{}: {:?}", target.name, report.outcomes);
    }
}

#[test]
fn what_fails_is_kept_and_fails_again() {
    let planted = Target {
        name: "planted",
        generate: |random| random.next().to_le_bytes().to_vec(),
        judge: |input| {
            assert!(input[0] & 15 != 7, "a planted panic");
            if input[1] & 15 == 7 { Err("a planted failure".into()) } else { Ok("fine".into()) }
        },
    };
    let folder = std::env::temp_dir().join(format!("strata-fuzz-planted-{}", std::process::id()));
    let report = campaign(&planted, 2, Duration::from_secs(60), 10_000, &folder).unwrap();
    assert!(!report.failures.is_empty());
    for failure in &report.failures {
        let input = std::fs::read(&failure.file).unwrap();
        assert_eq!(replay(&planted, &input), Err(failure.why.clone()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
