//! What a script says of the answer to its last command.
//!
//! ```text
//! ? 0 refine bus_space_xh      a line of the answer has these words in this order, others may stand between;
//! ? 1 weak base                the next expectation looks behind that line
//! ?=                           the answer is, to the letter, what the same command answered the first time
//! ```

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// The answers so far.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// What each command answered the first time.
    first: BTreeMap<String, Vec<String>>,
    command: String,
    answer: Vec<String>,
    /// Lines of the answer that expectations have passed.
    passed: usize,
}

impl Answers {
    /// A command has been answered.
    pub(crate) fn add(&mut self, command: &str, answer: Vec<String>) {
        self.first.entry(command.to_owned()).or_insert_with(|| answer.clone());
        command.clone_into(&mut self.command);
        self.answer = answer;
        self.passed = 0;
    }

    /// Holds the last answer against an expectation, which is what stands behind the `?`.
    pub(crate) fn check(&mut self, expectation: &str) -> Result<()> {
        let command = &self.command;
        if command.is_empty() {
            bail!("an expectation comes before any command");
        }
        if expectation == "=" {
            let first = self.first.get(command);
            if first != Some(&self.answer) {
                bail!("`{command}` answered otherwise than the first time, which was:\n{}", lines(first));
            }
            return Ok(());
        }
        let words: Vec<&str> = expectation.split_whitespace().collect();
        let found = self.answer[self.passed..].iter().position(|line| has_words(line, &words));
        match found {
            Some(index) if !words.is_empty() => self.passed += index + 1,
            _ => bail!("the answer to `{command}` has no line with `{expectation}` where the script says"),
        }
        Ok(())
    }
}

fn has_words(line: &str, words: &[&str]) -> bool {
    let mut line = line.split_whitespace();
    words.iter().all(|word| line.any(|other| other == *word))
}

fn lines(answer: Option<&Vec<String>>) -> String {
    answer.map(|lines| lines.join("\n")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lines: &[&str]) -> Answers {
        let mut answers = Answers::default();
        answers.add("alias x", lines.iter().map(|line| (*line).to_owned()).collect());
        answers
    }

    #[test]
    fn words_in_order_and_lines_in_order() {
        let stack = ["# KIND MODULE", "0  refine xh   0x10 counted", "1  weak base 0x20 direct"];
        let mut answers = answered(&stack);
        answers.check("0 refine xh counted").unwrap();
        answers.check("1 weak base").unwrap();
        assert!(answers.check("0 refine xh").is_err(), "a line that has been passed");
        assert!(answered(&stack).check("0 xh refine").is_err(), "words in another order");
        assert!(answered(&stack).check("0 refine x").is_err(), "a part of a word");
        assert!(answered(&stack).check("").is_err(), "no words");
        assert!(Answers::default().check("0").is_err(), "no command");
    }

    #[test]
    fn the_first_answer_is_kept() {
        let mut answers = answered(&["total 1"]);
        answers.add("modstat", vec!["NAME".to_owned()]);
        answers.add("alias x", vec!["total 2".to_owned()]);
        assert!(answers.check("=").unwrap_err().to_string().contains("total 1"));
        answers.add("alias x", vec!["total 1".to_owned()]);
        answers.check("=").unwrap();
    }
}
