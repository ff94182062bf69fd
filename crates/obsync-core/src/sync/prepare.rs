//! Everything before the first effect: state, guard, feed, plan.

use std::collections::HashMap;

use obsidian_sync::client::SyncClient;
use obsidian_sync::{Error, Kind, RetryKind, Uid, VaultVersion};
use tokio::time::{Duration, sleep};

use super::SyncRun;
use crate::apply;
use crate::error::SyncError;
use crate::feed::{self, Feed};
use crate::filter::Filter;
use crate::guard::{self, Destination};
use crate::local::{self, Question};
use crate::path::VaultPath;
use crate::plan::{self, Basis, Input, Mode, Plan};
use crate::progress::Event;
use crate::record::Record;
use crate::state::{Counts, Entry, Header, Unapplied};
use crate::transfer::Idle;

/// What a run knows before it changes anything.
pub(super) struct Prepared {
    /// The header as it is stored.
    pub(super) stored: Header,
    /// The header as this run wants it.
    pub(super) header: Header,
    pub(super) counts: Counts,
    pub(super) client: Idle,
    pub(super) plan: Plan,
    pub(super) basis: Basis,
    pub(super) feed_version: VaultVersion,
    pub(super) highest: Uid,
    /// Whether the service was restored or re-created since the last run.
    pub(super) reset: bool,
    pub(super) had_entries: bool,
    /// Files of a crashed run that turned out to be ours.
    pub(super) recovered: Vec<(VaultPath, Entry)>,
    /// Entries whose numbers the service gives away a second time.
    pub(super) renumbered: Vec<(VaultPath, Entry)>,
    pub(super) intents_pending: bool,
    pub(super) unapplied: Vec<Unapplied>,
}

/// How often the feed is tried.
const MOST_FEEDS: u32 = 3;
/// The pause after a failed feed; doubles with each.
const BACKOFF: Duration = Duration::from_millis(500);

/// The feed and the connection that it came over.
struct Fed {
    client: SyncClient,
    feed: Feed,
    basis: Basis,
    reset: bool,
}

impl SyncRun {
    /// Everything up to the plan; `None` if there is nothing to do. A run that is `to_apply` its plan
    /// marks a new destination on the way: only then does a folder tell which names it folds.
    pub(super) async fn prepare(
        &self,
        notes: &mut Vec<String>,
        to_apply: bool,
    ) -> Result<Option<Prepared>, SyncError> {
        let stored = self.state.header().await?;
        let counts = self.state.counts().await?;
        self.check_destination(&stored, counts).await?;
        let filter = self.filter().await?;
        let refiltered = stored.fingerprint != filter.fingerprint();
        // What a crashed run was about to apply counts as applied: it may be there.
        let intents = self.state.intents().await?;
        let intended = intents.iter().map(|(_, meta)| meta.uid).max();
        let highest = VaultVersion::from(stored.highest.max(intended.unwrap_or_default()));
        let full = self.options.full
            || stored.full_pending
            || (refiltered && stored.cursor > VaultVersion(0));
        let Fed {
            client,
            mut feed,
            basis,
            reset,
        } = self.fed(&stored, highest, full).await?;
        // Looking and planning may take long.
        let client = Idle::new(client);
        if reset {
            let note = "the service's copy of this vault was restored or re-created: \
                        comparing everything";
            notes.push(note.to_owned());
            self.progress.event(Event::Note(note));
        }

        let mut header = Header {
            fingerprint: filter.fingerprint().to_owned(),
            ..stored.clone()
        };
        if to_apply && header.destination.is_none() {
            header.destination = Some(self.mark().await?);
        }

        let unapplied = self.state.unapplied().await?;
        let again = unapplied.iter().any(|item| item.record.is_some());
        let quiet = feed.count == 0
            && feed.version == stored.cursor
            && basis == Basis::Changes
            && self.options.mode == Mode::Pull
            && !again
            && intents.is_empty();
        if quiet {
            client.close().await;
            return Ok(None);
        }

        let mut entries = self.state.load().await?.entries;
        let had_entries = !entries.is_empty();
        let intents_pending = !intents.is_empty();
        let recovered = apply::recover(&*self.store, intents).await?;
        entries.extend(recovered.iter().cloned());
        let renumbered = match basis {
            Basis::Whole => renumber(&mut entries, feed.version),
            Basis::Changes => Vec::new(),
        };
        if basis == Basis::Changes {
            feed.retry(&unapplied);
        }
        share_paths(&mut feed.records, &entries);
        let plan = self
            .plan(&filter, &feed, basis, &entries, &unapplied)
            .await?;
        if self.stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        Ok(Some(Prepared {
            stored,
            header,
            counts,
            client,
            plan,
            basis,
            feed_version: feed.version,
            highest: feed.highest,
            reset,
            had_entries,
            recovered,
            renumbered,
            intents_pending,
            unapplied,
        }))
    }

    /// The destination's mark: the one it bears, if its state was reset, or a new one.
    async fn mark(&self) -> Result<String, SyncError> {
        if let Some(mark) = self.store.identity().await? {
            return Ok(mark);
        }
        let mark = guard::new_mark(&self.vault);
        self.store.set_identity(&mark).await?;
        Ok(mark)
    }

    async fn check_destination(&self, stored: &Header, counts: Counts) -> Result<(), SyncError> {
        let destination = Destination {
            location: self.store.location(),
            mark: self.store.identity().await?,
            empty: self.store.is_empty().await?,
            expected: stored.destination.as_deref(),
            files: counts.files,
        };
        Ok(guard::check_destination(&self.vault, &destination)?)
    }

    pub(crate) async fn filter(&self) -> Result<Filter, SyncError> {
        let mut spec = self.options.filter.clone();
        spec.ignore_file = self.store.ignore_file().await?;
        Ok(Filter::new(spec)?)
    }

    /// Reads the feed; from the beginning if the service turns out to know less than we do.
    async fn fed(
        &self,
        stored: &Header,
        highest: VaultVersion,
        full: bool,
    ) -> Result<Fed, SyncError> {
        let first = stored.cursor == VaultVersion(0);
        let known = stored.cursor.max(highest);
        if full || first {
            let (client, mut feed) = self.feed(VaultVersion(0)).await?;
            feed.assume(known);
            let reset = feed.version < known;
            return Ok(Fed {
                client,
                feed,
                basis: Basis::Whole,
                reset,
            });
        }
        let (client, mut feed) = self.feed(stored.cursor).await?;
        feed.assume(known);
        if feed.version >= known {
            return Ok(Fed {
                client,
                feed,
                basis: Basis::Changes,
                reset: false,
            });
        }
        client.close().await;
        let (client, feed) = self.feed(VaultVersion(0)).await?;
        Ok(Fed {
            client,
            feed,
            basis: Basis::Whole,
            reset: true,
        })
    }

    /// Connects and reads the backlog after `version`, again if the connection is lost.
    pub(crate) async fn feed(
        &self,
        version: VaultVersion,
    ) -> Result<(SyncClient, Feed), SyncError> {
        let initial = version == VaultVersion(0);
        let mut attempt = 1;
        loop {
            self.progress.event(Event::Connecting);
            let once = async {
                let mut client = self.connector.connect(version, initial).await?;
                let most = self.options.most_backlog;
                let feed = feed::read(&mut client, &self.cipher, most, &*self.progress).await?;
                Ok::<_, Error>((client, feed))
            };
            let error = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(SyncError::Stopped),
                fed = once => match fed {
                    Ok(fed) => return Ok(fed),
                    Err(error) => error,
                },
            };
            let again = matches!(
                error.retry_kind(),
                RetryKind::Reconnect | RetryKind::Request
            ) && error.kind() != Kind::Corrupt;
            if !again || attempt >= MOST_FEEDS {
                return Err(error.into());
            }
            tracing::debug!(%error, attempt, "the feed was lost, trying again");
            let pause = BACKOFF * 2_u32.pow(attempt) / 2;
            attempt += 1;
            tokio::select! {
                () = self.stop.cancelled() => return Err(SyncError::Stopped),
                () = sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
            }
        }
    }

    async fn plan(
        &self,
        filter: &Filter,
        feed: &Feed,
        basis: Basis,
        entries: &HashMap<VaultPath, Entry>,
        unapplied: &[Unapplied],
    ) -> Result<Plan, SyncError> {
        let looked = local::look(Question {
            store: &*self.store,
            mode: self.options.mode,
            basis,
            config_dir: filter.config_dir(),
            records: &feed.records,
            entries,
            doubted: &self.options.doubted,
        });
        let local = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(SyncError::Stopped),
            looked = looked => looked?,
        };
        Ok(plan::plan(&Input {
            records: &feed.records,
            basis,
            unusable: &feed.unusable,
            cleared: &feed.cleared,
            entries,
            unapplied,
            local: &local,
            doubted: &self.options.doubted,
            filter,
            mode: self.options.mode,
            folding: self.store.folding(),
            check_path: &|path| self.store.check_path(path),
        }))
    }
}

/// Lets records name their paths by the entries' own text: of a large vault each path is then in memory
/// once, whoever speaks of it.
fn share_paths(records: &mut [Record], entries: &HashMap<VaultPath, Entry>) {
    for record in records {
        if let Some((path, _)) = entries.get_key_value(&record.path) {
            record.path = path.clone();
        }
    }
}

/// Lowers numbers that the service has not reached. It was restored, then, and a later record with such a
/// number would be taken for known where the run has no reason to touch the entry itself.
fn renumber(
    entries: &mut HashMap<VaultPath, Entry>,
    version: VaultVersion,
) -> Vec<(VaultPath, Entry)> {
    let highest = Uid(version.0);
    let beyond = entries.iter_mut();
    let beyond = beyond.filter(|(_, entry)| entry.uid() > highest);
    let lowered = beyond.map(|(path, entry)| {
        match entry {
            Entry::Folder { uid } => *uid = highest,
            Entry::File(file) => file.uid = highest,
        }
        (path.clone(), entry.clone())
    });
    lowered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Change;

    #[test]
    fn a_path_that_has_an_entry_is_in_memory_once() {
        let path = || VaultPath::parse("dir/a.md").unwrap();
        let entries = HashMap::from([(path(), Entry::Folder { uid: Uid(1) })]);
        let record = Record {
            uid: Uid(1),
            path: path(),
            change: Change::Folder,
        };
        let mut records = [record];
        share_paths(&mut records, &entries);
        let text = |path: &VaultPath| path.as_str().as_ptr();
        let own = entries.keys().next().map(text);
        assert_eq!(own, Some(text(&records[0].path)));
    }
}
