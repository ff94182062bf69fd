//! Each target over its corpus and a fixed count of mutations. A failure tells the seed and keeps the
//! input; `OBSYNC_SEED` and `OBSYNC_FUZZ_FACTOR` make it another, or a longer, run.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use obsync_fuzz::{Corpus, run, targets};

fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => usual,
    }
}

fn fuzz(name: &str) {
    let target = targets::ALL.iter().find(|target| target.name == name);
    let target = target.expect("a target of this name");
    let corpus = Corpus::of(name).unwrap();
    let seed = number("OBSYNC_SEED", 1);
    let count = u64::from(target.count) * number("OBSYNC_FUZZ_FACTOR", 1);
    match run(target, &corpus, count, seed) {
        Ok(tried) => eprintln!("{name}: {tried} inputs"),
        Err(finding) => {
            let kept = corpus.keep(&finding.input).unwrap();
            panic!("seed {seed}, input {}: {}", kept.display(), finding.message);
        }
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })*

        #[test]
        fn no_target_is_forgotten() {
            let tested = [$(stringify!($name)),*];
            let all: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
            assert_eq!(all, tested);
        }
    };
}

targets! {
    frames, records, names, content, paths, filters, config, credentials, events, state_json,
    state_sqlite, hosts, rest, s3_answers, lease, mark, status, tokens,
}
