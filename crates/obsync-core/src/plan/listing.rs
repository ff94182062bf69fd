//! What is listed as not applied: by earlier runs, and by this plan.

use std::collections::{HashMap, HashSet};

use super::{Basis, Input, Plan};
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
    /// Names of the feed whose newest record can't be used.
    unusable: HashSet<&'a str>,
    /// Whether the service spoke of everything, not only of what changed.
    whole: bool,
}

impl<'a> Listing<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        let before = input.unapplied.iter();
        Self {
            before: before.map(|item| (item.name.as_str(), item)).collect(),
            relisted: HashSet::new(),
            unlisted: HashSet::new(),
            unusable: input
                .unusable
                .iter()
                .map(|item| item.name.as_str())
                .collect(),
            whole: input.basis == Basis::Whole,
        }
    }

    /// Whether the newest record of a name can't be used.
    pub(super) fn is_unusable(&self, name: &str) -> bool {
        self.unusable.contains(name)
    }

    /// Whether what is under a name stays as it is, because nobody can tell what the vault has there.
    pub(super) fn spares(&self, name: &str) -> bool {
        let for_good = |item: &Unapplied| {
            item.kind == UnappliedKind::Skipped && item.record.is_none() && !self.whole
        };
        self.is_unusable(name) || self.before(name).is_some_and(for_good)
    }

    /// Lists what the feed could not use, and takes off the list what became of no interest.
    pub(super) fn take_unusable(&mut self, plan: &mut Plan, input: &Input<'a>) {
        for item in input.unusable {
            self.relisted.insert(&item.name);
            if self.before(&item.name) != Some(item) {
                plan.list.push(item.clone());
            }
        }
        for name in input.cleared {
            self.unlist(plan, name);
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

    /// All names that are listed once the plan is applied.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let before = self.before.keys().copied();
        let before = before.filter(|name| !self.unlisted.contains(name));
        before.chain(self.relisted.iter().copied())
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
