//! Tables for the filter.

use super::*;

fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

fn filter(change: impl FnOnce(&mut FilterSpec)) -> Filter {
    let mut spec = FilterSpec::default();
    change(&mut spec);
    Filter::new(spec).unwrap()
}

#[track_caller]
fn check(filter: &Filter, rows: &[(&str, Verdict)]) {
    for (text, expected) in rows {
        let folder = text.ends_with('/');
        let verdict = filter.verdict(&path(text.trim_end_matches('/')), folder);
        assert_eq!(verdict, *expected, "{text}");
    }
}

const DOT: Verdict = Verdict::Refused(DOT_NAME);
const UNLISTED: Verdict = Verdict::Refused(UNLISTED_CONFIG);

#[test]
fn by_default_all_that_a_client_may_sync() {
    check(
        &filter(|_| {}),
        &[
            ("a.md", Verdict::Sync),
            ("a/b.canvas", Verdict::Sync),
            ("a/", Verdict::Sync),
            ("x.bin", Verdict::Sync),
            ("no extension", Verdict::Sync),
            ("node_modules/x.md", Verdict::Sync),
            (".obsidian/", Verdict::Sync),
            (".obsidian/app.json", Verdict::Sync),
            (".obsidian/graph.json", Verdict::Sync),
            (".obsidian/plugins/", Verdict::Sync),
            (".obsidian/plugins/x/", Verdict::Sync),
            (".obsidian/plugins/x/main.js", Verdict::Sync),
            (".obsidian/themes/T/theme.css", Verdict::Sync),
            (".obsidian/snippets/s.css", Verdict::Sync),
        ],
    );
}

#[test]
fn what_is_never_written() {
    check(
        &filter(|_| {}),
        &[
            (".git/hooks/post-checkout", DOT),
            (".git/", DOT),
            (".bashrc", DOT),
            (".obsidian", DOT),
            (".Obsidian/app.json", DOT),
            (".obsidian2/app.json", DOT),
            ("a/.hidden/b.md", DOT),
            ("a/.b.md", DOT),
            ("\u{200c}.git/config", DOT),
            (".obsidian/workspace.json", UNLISTED),
            (".obsidian/workspace-mobile.json", UNLISTED),
            (".obsidian/plugins/x/node_modules/", UNLISTED),
            (".obsidian/plugins/x/evil.sh", UNLISTED),
            (".obsidian/plugins/.x/main.js", UNLISTED),
            (".obsidian/notes.md", UNLISTED),
            (".obsidian/themes/T/x/theme.css", UNLISTED),
        ],
    );
}

#[test]
fn types_and_groups_narrow() {
    check(
        &filter(|spec| {
            spec.file_types = [FileType::Image, FileType::Video].into();
            spec.configs = [ConfigGroup::Hotkey].into();
        }),
        &[
            ("a.md", Verdict::Sync),
            ("a.base", Verdict::Sync),
            ("a.PNG", Verdict::Sync),
            ("a.webm", Verdict::Sync),
            ("a.mp3", Verdict::Hidden),
            ("a.pdf", Verdict::Hidden),
            ("a.zip", Verdict::Hidden),
            (".obsidian/", Verdict::Sync),
            (".obsidian/hotkeys.json", Verdict::Sync),
            (".obsidian/app.json", Verdict::Hidden),
            (".obsidian/plugins/x/", Verdict::Hidden),
        ],
    );
    check(
        &filter(|spec| spec.configs.clear()),
        &[(".obsidian/", Verdict::Hidden)],
    );
}

#[test]
fn folders_and_globs() {
    check(
        &filter(|spec| {
            spec.excluded_folders = vec!["Private/".into()];
            spec.exclude = vec!["*.tmp.md".into(), "/Drafts/*.md".into(), "Old".into()];
        }),
        &[
            ("Private/", Verdict::Hidden),
            ("Private/a.md", Verdict::Hidden),
            ("Privateer/a.md", Verdict::Sync),
            ("x/y.tmp.md", Verdict::Hidden),
            ("Drafts/a.md", Verdict::Hidden),
            ("Drafts/deep/a.md", Verdict::Sync),
            ("x/Drafts/a.md", Verdict::Sync),
            ("x/Old/y/z.md", Verdict::Hidden),
        ],
    );
    check(
        &filter(|spec| {
            spec.include = vec!["Work/**".into(), "*.canvas".into()];
            spec.exclude = vec!["Work/secret".into()];
        }),
        &[
            ("Work/a.md", Verdict::Sync),
            ("Work/x/a.md", Verdict::Sync),
            ("Work/secret/a.md", Verdict::Hidden),
            ("Home/a.md", Verdict::Hidden),
            ("Home/a.canvas", Verdict::Sync),
            ("Home/", Verdict::Hidden),
        ],
    );
}

#[test]
fn the_ignore_file_speaks_gitignore() {
    check(
        &filter(|spec| {
            spec.ignore_file = Some("# mine\nBuild/\n*.log\n!keep.log\n/top.md\n".into());
        }),
        &[
            ("Build/x.md", Verdict::Hidden),
            ("a/Build/x.md", Verdict::Hidden),
            ("a.log", Verdict::Hidden),
            ("keep.log", Verdict::Sync),
            ("top.md", Verdict::Hidden),
            ("x/top.md", Verdict::Sync),
        ],
    );
}

#[test]
fn user_rules_cannot_open_what_is_refused() {
    check(
        &filter(|spec| {
            spec.include = vec!["**".into()];
            spec.ignore_file = Some("!.git/".into());
        }),
        &[(".git/config", DOT)],
    );
}

#[test]
fn bad_globs_name_their_place() {
    let error = Filter::new(FilterSpec {
        exclude: vec!["a[".into()],
        ..FilterSpec::default()
    });
    assert!(error.unwrap_err().to_string().starts_with("--exclude: "));
}

#[test]
fn the_fingerprint_follows_every_setting() {
    let base = filter(|_| {});
    assert_eq!(base.fingerprint(), filter(|_| {}).fingerprint());
    for other in [
        filter(|spec| spec.file_types.clear()),
        filter(|spec| spec.configs.clear()),
        filter(|spec| spec.excluded_folders.push("x".into())),
        filter(|spec| spec.include.push("x".into())),
        filter(|spec| spec.exclude.push("x".into())),
        filter(|spec| spec.ignore_file = Some("x".into())),
    ] {
        assert_ne!(base.fingerprint(), other.fingerprint());
    }
    let says_nothing = filter(|spec| spec.ignore_file = Some("\n".into()));
    assert_eq!(base.fingerprint(), says_nothing.fingerprint());
}

#[test]
fn names_round_trip_and_unknown_ones_are_told() {
    for kind in FileType::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    for group in ConfigGroup::ALL {
        assert_eq!(group.name().parse(), Ok(group));
    }
    let error = "images".parse::<FileType>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown name 'images'; expected one of: image, audio, video, pdf, unsupported"
    );
}
