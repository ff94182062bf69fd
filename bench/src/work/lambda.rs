//! The function on a stand-in for Lambda's Runtime API, beside one that does nothing and is built
//! the same way.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use obsync_doubles::runtime::{Function, Outcome, Setup};
use obsync_lambda_local::{SAMPLE, Stage};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::median;
use crate::Result;
use crate::bed::Bed;
use crate::child::Memory;
use crate::table::{Aim, Line, Table, Unit};

const ROUNDS: usize = 9;
/// To the service and to the bucket: shows how many requests wait for one another.
const TRIP: Duration = Duration::from_millis(20);
const NOTES: u64 = 100;
/// What an invocation may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Times of one process, in seconds.
struct Times {
    /// To its first request for an event.
    start: f64,
    /// From its start to the answer of its first event.
    first: f64,
    /// Its second event.
    warm: f64,
    /// In MiB.
    memory: Option<f64>,
}

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let [ours, hello] = [built("bootstrap")?, built("examples/hello")?];
    let stage = Stage::start().await;
    let vault = stage.vault(SAMPLE);
    let notes = bed.size(NOTES);
    for number in 0..notes {
        let text = format!("# Note {number}\n\nof so many. ").repeat(80);
        stage.put(&vault, &format!("Notes/{number}.md"), text.as_bytes());
    }
    let event = json!({ "type": "sync_vault", "vault_id": SAMPLE.0 });
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(times(Function::of(&hello), &event).await?);
        let setup = stage.function(&ours);
        mine.push(times(setup.env("LAMBDA_DOWNLOAD_ON_STARTUP", "false"), &event).await?);
        // The next process finds an empty bucket.
        for key in stage.double().keys() {
            stage.double().remove(&key);
        }
    }
    let [mine, theirs] = [mine, theirs].map(|times| {
        let middle = |figure: fn(&Times) -> f64| {
            let figures: Vec<f64> = times.iter().map(figure).collect();
            median(figures, |it| *it) * 1e3
        };
        let memory = Memory {
            peak: times.iter().filter_map(|it| it.memory).reduce(f64::max),
            after_key: None,
        };
        let all = [
            middle(|it| it.start),
            middle(|it| it.first),
            middle(|it| it.warm),
        ];
        (all, memory)
    });
    let ((mine, memory), (theirs, _)) = (mine, theirs);
    let deeds = [
        ("process start to first next".to_owned(), Aim::Most(12.0)),
        (
            format!("process start to first answer, {notes} notes"),
            Aim::Look,
        ),
        ("warm event without change".to_owned(), Aim::Look),
    ];
    for (at, (deed, aim)) in deeds.into_iter().enumerate() {
        table.add(Line {
            what: format!("Lambda: {deed}"),
            measured: Some(mine[at]),
            unit: Unit::Millis,
            bound: Some(theirs[at]),
            beside: "a function that does nothing".to_owned(),
            aim,
            memory,
            headline: at == 0,
            ..Line::default()
        })?;
    }
    table.add(Line {
        what: "Lambda: warm event without change, 20 ms to all".to_owned(),
        measured: Some(far_away(&stage, &ours, &event).await? * 1e3),
        unit: Unit::Millis,
        bound: Some(TRIP.as_secs_f64() * 1e3),
        beside: "one round trip".to_owned(),
        ..Line::default()
    })?;
    table.add(Line {
        what: "Lambda: zip".to_owned(),
        measured: Some(zipped(&ours)?),
        unit: Unit::ZipMegabytes,
        bound: Some(zipped(&hello)?),
        beside: "a function that does nothing".to_owned(),
        aim: Aim::Most(5.0),
        ..Line::default()
    })
}

/// A program built with the function's profile, beside this one.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent);
    let program = target.ok_or("this program lies in a target folder")?;
    let program = program.join("lambda").join(name);
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("{} is not there; `make bench` builds it", program.display()).into()),
    }
}

/// Starts a process and sends it the event twice.
async fn times(setup: Setup, event: &Value) -> Result<Times> {
    let begun = Instant::now();
    let function = setup.start().await;
    let start = function.ready().await;
    let start = start.map_err(|outcome| format!("init failed: {outcome:?}"))?;
    answered(function.invoke(event.clone(), LIMIT).await)?;
    let first = begun.elapsed();
    let warm = Instant::now();
    answered(function.invoke(event.clone(), LIMIT).await)?;
    Ok(Times {
        start: start.as_secs_f64(),
        first: first.as_secs_f64(),
        warm: warm.elapsed().as_secs_f64(),
        memory: function
            .peak_rss()
            .map(|bytes| bytes as f64 / f64::from(1 << 20)),
    })
}

/// An event without change where every request takes a round trip, in seconds.
async fn far_away(stage: &Stage, program: &Path, event: &Value) -> Result<f64> {
    let function = stage.function(program).start().await;
    answered(function.invoke(event.clone(), LIMIT).await)?;
    stage.service.faults().set_latency(TRIP);
    stage.double().delay(TRIP);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        answered(function.invoke(event.clone(), LIMIT).await)?;
        rounds.push(began.elapsed().as_secs_f64());
    }
    Ok(median(rounds, |time| *time))
}

fn answered(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Answer(answer) if answer["status"] != "failed" => Ok(()),
        other => Err(format!("the function did not do it: {other:?}").into()),
    }
}

/// What the program weighs as Lambda wants it, in MB.
fn zipped(program: &Path) -> Result<f64> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", SimpleFileOptions::default())?;
    zip.write_all(&std::fs::read(program)?)?;
    Ok(zip.finish()?.into_inner().len() as f64 / 1e6)
}
