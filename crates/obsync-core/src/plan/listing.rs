//! What is listed as not applied: by earlier runs, and by this plan.

use std::collections::{HashMap, HashSet};

use super::{Input, Plan};
use crate::record::Record;
use crate::state::{Unapplied, UnappliedKind};

/// Keeps the list of what can't be applied. A name is said once in a plan: it is listed, or it is
/// taken off the list.
pub(super) struct Listing<'a> {
    /// What earlier runs listed, by name.
    before: HashMap<&'a str, &'a Unapplied>,
    /// Names that this plan listed, also where that was nothing new.
    relisted: HashSet<&'a str>,
    unlisted: HashSet<&'a str>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        let before = input.unapplied.iter();
        Self {
            before: before.map(|item| (item.name.as_str(), item)).collect(),
            relisted: HashSet::new(),
            unlisted: HashSet::new(),
        }
    }

    /// What an earlier run listed under a name.
    pub(super) fn before(&self, name: &str) -> Option<&'a Unapplied> {
        self.before.get(name).copied()
    }

    /// Whether this plan has a word on a name.
    pub(super) fn speaks_of(&self, name: &str) -> bool {
        self.relisted.contains(name) || self.unlisted.contains(name)
    }

    /// Lists a record that can't be applied. `again` keeps it for another look at the next run,
    /// for troubles that a change at the destination can end.
    pub(super) fn skip(
        &mut self,
        plan: &mut Plan,
        name: &'a str,
        record: &Record,
        message: String,
        again: bool,
    ) {
        self.relisted.insert(name);
        let item = Unapplied {
            name: name.to_owned(),
            uid: record.uid,
            kind: UnappliedKind::Skipped,
            message,
            attempts: 0,
            record: again.then(|| record.clone()),
        };
        if self.before(name) != Some(&item) {
            plan.list.push(item);
        }
    }

    /// Lists a record for another try at the next run.
    pub(super) fn fail(&mut self, plan: &mut Plan, name: &'a str, record: Record, message: String) {
        self.relisted.insert(name);
        let before = self.before(name).filter(|old| old.uid == record.uid);
        plan.list.push(Unapplied {
            name: name.to_owned(),
            uid: record.uid,
            kind: UnappliedKind::Failed,
            message,
            attempts: before.map_or(0, |old| old.attempts) + 1,
            record: Some(record),
        });
    }

    /// Takes a name off the list, if it is there.
    pub(super) fn unlist(&mut self, plan: &mut Plan, name: &'a str) {
        if self.before.contains_key(name) && self.unlisted.insert(name) {
            plan.unlist.push(name.to_owned());
        }
    }
}
