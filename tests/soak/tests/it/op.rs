//! What can happen in a history, and how it is made up.

use proptest::prelude::*;

use crate::filters::{FILTERS, IGNORES};

/// Something that happens. Numbers choose among what is there at that moment.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A device writes a file. What is in its way goes first.
    Put(&'static str, Text),
    /// A device makes a folder.
    Mkdir(&'static str),
    /// A device deletes a file, or a folder with all below it.
    Delete(u8),
    /// A device renames a file or a folder.
    Rename(u8, &'static str),
    /// The service is restored to an earlier version.
    Rollback(u8),
    /// The service forgets what is superseded and deleted.
    Purge,
    /// A person writes a file of the copy.
    Write(&'static str, Text),
    /// A person edits a file that is there.
    Edit(u8, Text),
    /// A person removes a file of the copy.
    Remove(u8),
    /// A person makes a folder in the copy.
    MakeFolder(&'static str),
    /// From now on the copy is a mirror, or not.
    Mirror(bool),
    /// Another filter, one of [`FILTERS`].
    Filter(u8),
    /// Another ignore file, one of [`IGNORES`].
    Ignore(u8),
    /// The sync state is thrown away.
    Reset,
    /// A run.
    Sync(How),
}

/// Content, chosen so that some of it comes twice.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text {
    /// Nothing at all.
    Empty,
    /// One of few texts: duplicates.
    Common(u8),
    /// A text that is used only once.
    Fresh,
    /// The same, above the size from which content is streamed.
    Large,
}

/// How a run goes.
#[derive(Debug, Clone)]
pub(crate) enum How {
    /// Undisturbed.
    Plain,
    /// Undisturbed, with `--full`.
    Full,
    /// The copy is compared with the vault, and what differs is mended.
    Repair,
    /// At this event, devices and a person go on with their work.
    Meanwhile(u8, Vec<Deed>),
    /// Told to stop at this event.
    Stop(u8),
    /// It dies before or after this effect.
    Crash(u8, bool),
    /// The service or the network misbehaves: the point, the action, how many pass before, and
    /// how often it strikes.
    Faults(Vec<(u8, u8, u8, u8)>),
}

/// Something that happens while a run is under way.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// See [`Op::Put`].
    Put(&'static str, Text),
    /// See [`Op::Delete`].
    Delete(u8),
    /// See [`Op::Write`].
    Write(&'static str, Text),
    /// See [`Op::Edit`].
    Edit(u8, Text),
    /// See [`Op::Remove`].
    Remove(u8),
}

const LONG: &str = concat!(
    "long ",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456.md"
);
const TOO_LONG: &str = concat!(
    "far too long ",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456.md"
);

/// Names of files: few, so that histories meet themselves; some awkward; some that are also the
/// names of folders, or differ by case or Unicode form alone.
pub(crate) const FILES: [&str; 30] = [
    "a.md",
    "b.md",
    "c.md",
    "A.md",
    "d/x.md",
    "d/e/y.md",
    "d/e/z.canvas",
    "D/x.md",
    "d",
    "swap",
    "swap/in.md",
    "swap/in.md/deep.md",
    "Private/p.md",
    "Private/deep/q.md",
    "pic.png",
    "scan.pdf",
    "data.zip",
    "caf\u{e9}.md",
    "cafe\u{301}.md",
    "no\u{a0}break.md",
    "\u{1f680} \u{2603}.md",
    "\u{65e5}\u{672c}/\u{30ce}\u{30fc}\u{30c8}.md",
    "back\\slash: *?\"<>|.md",
    "line\nbreak.md",
    "trailing. ",
    LONG,
    TOO_LONG,
    ".obsidian/app.json",
    ".obsidian/workspace.json",
    ".git/hooks/post-checkout",
];

/// Names of folders.
pub(crate) const FOLDERS: [&str; 9] = [
    "d",
    "d/e",
    "D",
    "swap",
    "Private",
    "caf\u{e9}.md",
    "empty/deep",
    "a.md",
    ".obsidian",
];

fn file() -> impl Strategy<Value = &'static str> {
    // The first few more often than the others.
    prop_oneof![
        2 => (0..12_usize).prop_map(|index| FILES[index]),
        1 => (0..FILES.len()).prop_map(|index| FILES[index]),
    ]
}

fn folder() -> impl Strategy<Value = &'static str> {
    (0..FOLDERS.len()).prop_map(|index| FOLDERS[index])
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        20 => Just(Text::Fresh),
        8 => (0..3_u8).prop_map(Text::Common),
        3 => Just(Text::Empty),
        1 => Just(Text::Large),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (file(), text()).prop_map(|(at, text)| Deed::Put(at, text)),
        1 => any::<u8>().prop_map(Deed::Delete),
        2 => (file(), text()).prop_map(|(at, text)| Deed::Write(at, text)),
        2 => (any::<u8>(), text()).prop_map(|(of, text)| Deed::Edit(of, text)),
        1 => any::<u8>().prop_map(Deed::Remove),
    ]
}

fn how() -> impl Strategy<Value = How> {
    let fault = (any::<u8>(), any::<u8>(), 0..12_u8, 1..4_u8);
    let deeds = prop::collection::vec(deed(), 1..4);
    prop_oneof![
        12 => Just(How::Plain),
        2 => Just(How::Full),
        1 => Just(How::Repair),
        2 => (0..30_u8, deeds).prop_map(|(at, deeds)| How::Meanwhile(at, deeds)),
        2 => (0..40_u8).prop_map(How::Stop),
        4 => (0..60_u8, any::<bool>()).prop_map(|(at, after)| How::Crash(at, after)),
        2 => prop::collection::vec(fault, 1..4).prop_map(How::Faults),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (file(), text()).prop_map(|(at, text)| Op::Put(at, text)),
        2 => folder().prop_map(Op::Mkdir),
        4 => any::<u8>().prop_map(Op::Delete),
        4 => (any::<u8>(), prop_oneof![3 => file(), 1 => folder()]).prop_map(|(of, to)| Op::Rename(of, to)),
        1 => any::<u8>().prop_map(Op::Rollback),
        1 => Just(Op::Purge),
        3 => (file(), text()).prop_map(|(at, text)| Op::Write(at, text)),
        4 => (any::<u8>(), text()).prop_map(|(of, text)| Op::Edit(of, text)),
        2 => any::<u8>().prop_map(Op::Remove),
        1 => folder().prop_map(Op::MakeFolder),
        1 => any::<bool>().prop_map(Op::Mirror),
        1 => (0..FILTERS).prop_map(Op::Filter),
        1 => (0..IGNORES.len() as u8).prop_map(Op::Ignore),
        1 => Just(Op::Reset),
        10 => how().prop_map(Op::Sync),
    ]
}

/// A whole history.
pub(crate) fn history() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 4..50)
}
