//! What is fuzzed.

mod answers;
mod homes;
mod protocol;
mod settings;

use crate::Target;

/// All targets.
pub const ALL: &[Target] = &[
    target("frames", 20_000, protocol::frames),
    target("records", 20_000, protocol::records),
    target("names", 20_000, protocol::names),
    target("content", 5_000, protocol::content),
    target("paths", 20_000, protocol::paths),
    target("filters", 1_000, settings::filters),
    target("config", 1_500, settings::config),
    target("credentials", 1_500, settings::credentials),
    target("events", 20_000, settings::events),
    target("state_json", 300, homes::state_json),
    target("state_sqlite", 300, homes::state_sqlite),
    target("hosts", 20_000, protocol::hosts),
    target("rest", 200, answers::rest),
    target("s3_answers", 100, answers::s3),
    target("lease", 150, homes::lease),
    target("mark", 150, homes::mark),
    target("status", 200, homes::status),
    target("tokens", 500, settings::tokens),
];

const fn target(name: &'static str, count: u32, check: fn(&[u8])) -> Target {
    Target { name, count, check }
}
