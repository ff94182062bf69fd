//! The works: pure parts of a run with fixed inputs.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::session::{Event, Incoming, Notice, Session};
use obsidian_sync::wire::RawRecord;
use obsidian_sync::{ContentHash, EncryptionVersion, Millis, Password, Uid, VaultVersion};
use obsync_core::feed::Collector;
use obsync_core::filter::{Filter, FilterSpec};
use obsync_core::plan::{Basis, Input, Mode, plan};
use obsync_core::record::RemoteFile;
use obsync_core::{Change, Folding, Record, VaultPath};

const SALT: &str = "0123456789abcdef";
const MTIME: Millis = Millis(1_700_000_000_000);
const NAMES: u64 = 10_000;
const RECORDS: u64 = 100_000;
const FRAMES: u64 = 1_000;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Decode the names and hashes of 10,000 records
    Decode,
    /// Plan a first run of 100,000 records
    Plan,
    /// Take in a page of 1,000 pushes: from frames to the feed
    Page,
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Decode, Self::Plan, Self::Page];

    /// What it is called in the budget file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode 10,000 names",
            Self::Plan => "plan 100,000 records",
            Self::Page => "apply a page of 1,000 pushes",
        }
    }
}

/// Prepares a work and, unless that is all, does it.
pub(crate) fn run(work: Work, only_prepare: bool) {
    let work = prepared(work);
    if !only_prepare {
        work();
    }
}

/// How often a work by itself asks for memory.
pub(crate) fn allocations(work: Work) -> u64 {
    let work = prepared(work);
    allocation_counter::measure(work).count_total
}

fn prepared(work: Work) -> Box<dyn Fn()> {
    match work {
        Work::Decode => {
            let cipher = cipher();
            let records = sealed(&cipher, NAMES);
            Box::new(move || decode(&cipher, &records))
        }
        Work::Plan => {
            let (records, filter) = (records(RECORDS), filter());
            Box::new(move || first_plan(&records, &filter))
        }
        Work::Page => {
            let cipher = cipher();
            let frames = frames(&cipher);
            Box::new(move || page(&cipher, &frames))
        }
    }
}

pub(crate) fn cipher() -> VaultCipher {
    let key = VaultKey::derive(&Password::new("secret"), SALT);
    VaultCipher::new(EncryptionVersion::LATEST, &key, SALT)
}

fn name(number: u64) -> String {
    format!(
        "Folder {}/A note with a title of usual length {number}.md",
        number / 100
    )
}

fn hash(number: u64) -> ContentHash {
    ContentHash::of(&number.to_le_bytes())
}

/// Records as the service has them.
pub(crate) fn sealed(cipher: &VaultCipher, count: u64) -> Vec<RawRecord> {
    let record = |number| RawRecord {
        uid: Uid(number + 1),
        path: cipher.encode_name(&name(number)),
        hash: cipher.encode_hash(Some(hash(number))),
        size: 2048 + number % 100,
        mtime: MTIME,
        ctime: MTIME,
        device: "Laptop".to_owned(),
        ..RawRecord::default()
    };
    (0..count).map(record).collect()
}

/// Decodes them all, and keeps the last of each path.
pub(crate) fn decode(cipher: &VaultCipher, records: &[RawRecord]) {
    let mut collector = Collector::new(cipher);
    for record in records {
        collector.take(record);
    }
    black_box(collector);
}

fn records(count: u64) -> Vec<Record> {
    let record = |number| Record {
        uid: Uid(number + 1),
        path: VaultPath::parse(&name(number)).expect("a plain name"),
        change: Change::File(RemoteFile {
            hash: hash(number),
            sealed_size: 2048 + number % 100,
            mtime: MTIME,
            ctime: MTIME,
        }),
    };
    (0..count).map(record).collect()
}

fn filter() -> Filter {
    Filter::new(FilterSpec::default()).expect("the default filter is valid")
}

fn first_plan(records: &[Record], filter: &Filter) {
    black_box(plan(&Input {
        records,
        basis: Basis::Whole,
        unusable: &[],
        cleared: &[],
        entries: &HashMap::new(),
        unapplied: &[],
        local: &HashMap::new(),
        doubted: &HashSet::new(),
        filter,
        mode: Mode::Pull,
        folding: Folding::default(),
        check_path: &|_| Ok(()),
    }));
}

/// What the service sends for that many pushes.
fn frames(cipher: &VaultCipher) -> Vec<String> {
    let frame = |record| {
        let mut json = serde_json::to_value(record).expect("a record is plain JSON");
        json["op"] = "push".into();
        json.to_string()
    };
    sealed(cipher, FRAMES).into_iter().map(frame).collect()
}

fn page(cipher: &VaultCipher, frames: &[String]) {
    let mut session = Session::new();
    let mut collector = Collector::new(cipher);
    for frame in frames {
        match session.receive(Incoming::Text(frame)) {
            Ok(Event::Notice(Notice::Record(record))) => collector.take(&record),
            other => unreachable!("a push is a record, not {other:?}"),
        }
    }
    black_box(collector.finish(VaultVersion(FRAMES)));
}
