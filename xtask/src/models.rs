//! `x models`: every state of every model, and the counterexample of every mutant.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use strata_models::ALL;
use strata_models::explore::Verdict;

/// Arguments of `x models`.
#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    /// Only these models.
    names: Vec<String>,
}

/// `x models`.
pub(crate) fn models(args: &ModelsArgs) -> Result<ExitCode> {
    if let Some(unknown) = args.names.iter().find(|name| ALL.iter().all(|entry| entry.name != **name)) {
        let known: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
        bail!("no model is called {unknown}; there are {}", known.join(", "));
    }
    let (mut models, mut states, mut rejected, mut accepted) = (0, 0, 0, Vec::new());
    for entry in
        ALL.iter().filter(|entry| args.names.is_empty() || args.names.iter().any(|n| n == entry.name))
    {
        models += 1;
        match (entry.run)(None) {
            Verdict::Holds { states: count } => {
                println!("{}: holds in {count} states", entry.name);
                states += count;
            }
            Verdict::Fails { why, steps, .. } => {
                println!("{}: FAILS: {why}", entry.name);
                print_steps(&steps);
                accepted.push(entry.name.to_string());
            }
        }
        for mutant in entry.mutants {
            match (entry.run)(Some(*mutant)) {
                Verdict::Fails { states: count, why, steps } => {
                    println!("{}, mutant {mutant:?}: rejected after {count} states: {why}", entry.name);
                    print_steps(&steps);
                    rejected += 1;
                    states += count;
                }
                Verdict::Holds { .. } => {
                    println!("{}, mutant {mutant:?}: ACCEPTED", entry.name);
                    accepted.push(format!("{} {mutant:?}", entry.name));
                }
            }
        }
    }
    println!("{models} models, {states} states explored, {rejected} mutants rejected");
    if !accepted.is_empty() {
        bail!("not as it should be: {}", accepted.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_steps(steps: &[String]) {
    for (number, step) in (1..).zip(steps) {
        println!("  {number:2} {step}");
    }
}
