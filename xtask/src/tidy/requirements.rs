//! `docs/requirements.md`: every requirement and every scenario has a row, and every test that a row names is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Finding, Source};

/// The document.
const DOCUMENT: &str = "docs/requirements.md";
/// How many requirements and how many scenarios there are.
const COUNTS: [(char, usize); 2] = [('R', 28), ('S', 42)];
/// How a row says that no test of its own shows it.
const OPEN: &str = "open: ";

/// All findings about the table; none where a tree has no such document.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(document) = sources.iter().find(|source| source.path == Path::new(DOCUMENT)) else {
        return Vec::new();
    };
    let functions = functions(sources);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for line in document.text.lines().filter(|line| line.starts_with("| ")) {
        let Some(name) = row_name(line) else { continue };
        if !seen.insert(name) {
            findings.push(Finding::new(DOCUMENT, format!("{name} has two rows")));
        }
        let tests: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let missing = tests.iter().filter(|test| !functions.contains(**test));
        findings
            .extend(missing.map(|test| Finding::new(DOCUMENT, format!("{name}: there is no test {test}"))));
        if tests.is_empty() && !line.contains(OPEN) {
            findings.push(Finding::new(DOCUMENT, format!("{name} names no test; write `{OPEN}` and why")));
        }
    }
    for (letter, count) in COUNTS {
        let rows = (1..=count).map(|number| format!("{letter}{number}"));
        let absent = rows.filter(|name| !seen.contains(name.as_str()));
        findings.extend(absent.map(|name| Finding::new(DOCUMENT, format!("{name} has no row"))));
    }
    findings
}

/// The requirement that a row is about.
fn row_name(line: &str) -> Option<&str> {
    let name = line.trim_start_matches('|').split_whitespace().next()?;
    let (letter, number) = name.split_at_checked(1)?;
    (matches!(letter, "R" | "S") && number.parse::<usize>().is_ok()).then_some(name)
}

/// The names of all functions in the tree: cases on target are functions, too.
fn functions(sources: &[Source]) -> BTreeSet<&str> {
    let rust = sources.iter().filter(|source| source.path.extension().is_some_and(|end| end == "rs"));
    let names = rust.flat_map(|source| source.text.split("fn ").skip(1));
    names.filter_map(|rest| rest.split_once('(').map(|(name, _)| name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(rows: &str) -> Vec<Source> {
        let mut table: String = rows.into();
        for (letter, count) in COUNTS {
            for number in 2..=count {
                table += &format!("| {letter}{number} | `shown` |\n");
            }
        }
        let code = Source { path: "tests/a.rs".into(), text: "case!(20, fn shown(agent) {});".into() };
        vec![Source { path: DOCUMENT.into(), text: table }, code]
    }

    #[test]
    fn a_row_names_tests_that_exist_or_says_why_not() {
        assert_eq!(check(&tree("| R1 weak | `shown` |\n| S1 | open: nobody can |\n")), []);
        let findings = check(&tree("| R1 | `gone` |\n| R1 | `shown` |\n| S1 | later |\n"));
        let whats: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(whats.len(), 3, "{whats:?}");
        assert!(whats[0].contains("no test gone") && whats[1].contains("two rows"));
        assert!(check(&tree("| R1 | `shown` |\n"))[0].what.contains("S1 has no row"));
    }
}
