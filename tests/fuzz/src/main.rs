//! Fuzzes one target, or all, for as long as one likes.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use obsync_fuzz::{Corpus, run, targets};

const USAGE: &str = "usage: obsync-fuzz TARGET|all [--count N] [--seed N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, usual: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(Some(usual), |at| arguments.get(at + 1)?.parse().ok())
    };
    let wanted = arguments.first().map_or("", String::as_str);
    let chosen: Vec<_> = targets::ALL
        .iter()
        .filter(|target| wanted == "all" || target.name == wanted)
        .collect();
    let (Some(count), Some(seed)) = (number("--count", 100_000), number("--seed", 1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if chosen.is_empty() {
        let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
        eprintln!("{USAGE}\ntargets: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut failed = false;
    for target in chosen {
        let found = Corpus::of(target.name).map(|corpus| {
            let ended = run(target, &corpus, count, seed);
            (corpus, ended)
        });
        match found {
            Ok((_, Ok(tried))) => println!("{}: {tried} inputs, seed {seed}", target.name),
            Ok((corpus, Err(finding))) => {
                failed = true;
                let kept = corpus.keep(&finding.input);
                println!("{}: {}\n  kept as {kept:?}", target.name, finding.message);
            }
            Err(error) => {
                failed = true;
                println!("{}: {error}", target.name);
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
