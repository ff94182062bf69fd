//! What is put into vaults from inside.

use std::fs;

use obsidian_sync::{ContentHash, EncodedName, Millis, Uid, VaultVersion};
use obsync_devserver::{Error, RawRecord, Seeded, Service, VaultSpec};
use serde_json::{Map, json};

use crate::client::{Client, EMAIL, VAULT_PASSWORD, started};

fn service() -> (Service, obsidian_sync::VaultId) {
    let service = Service::builder().build().unwrap();
    service.add_account(EMAIL, "x", None).unwrap();
    let vault = service
        .add_vault(VaultSpec::encrypted("Notes", EMAIL, VAULT_PASSWORD))
        .unwrap();
    (service, vault)
}

#[test]
fn a_directory_becomes_a_vault_as_a_client_would_push_it() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [
        ("b/deep/x.md", "x"),
        ("a.md", "same"),
        ("b/copy.md", "same"),
        (".obsidian/app.json", "{}"),
        (".git/config", "no"),
        ("b/.hidden", "no"),
        ("cafe\u{301}\u{a0}.md", ""),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_234_567);
    fs::File::open(folder.path().join("a.md"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let (service, vault) = service();
    let seeded = service.seed(&vault, folder.path()).unwrap();
    assert_eq!(
        seeded,
        Seeded {
            files: 5,
            folders: 3,
            bytes: 11
        }
    );
    let names: Vec<_> = service.tree(&vault).unwrap().into_keys().collect();
    assert_eq!(
        names,
        [
            ".obsidian/app.json",
            "a.md",
            "b/copy.md",
            "b/deep/x.md",
            "caf\u{e9} .md"
        ]
    );
    let folders: Vec<_> = service.folders(&vault).unwrap().into_iter().collect();
    assert_eq!(folders, [".obsidian", "b", "b/deep"]);
    assert!(service.uid_of(&vault, "b").unwrap() < service.uid_of(&vault, "b/copy.md").unwrap());
    assert_eq!(service.version(&vault).unwrap(), VaultVersion(8));
}

#[tokio::test]
async fn times_come_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.md");
    fs::write(&path, "text").unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_234_567);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
    let (server, vault, token) = started().await;
    server.seed(&vault, folder.path()).unwrap();
    let mut client = Client::dial(&server).await.unwrap();
    client
        .say(&Client::init(&server, &vault, &token, 0, true))
        .await;
    client.hear().await;
    assert_eq!(client.hear().await["mtime"], 1_234_567);
}

#[test]
fn folders_are_renamed_and_deleted_with_all_below() {
    let (service, vault) = service();
    service.mkdir(&vault, "d").unwrap();
    service.put(&vault, "d/a.md", b"a", Millis(1)).unwrap();
    service.mkdir(&vault, "d/e").unwrap();
    service.put(&vault, "d/e/b.md", b"b", Millis(1)).unwrap();
    service.put(&vault, "dd.md", b"c", Millis(1)).unwrap();
    assert_eq!(service.rename(&vault, "d", "new").unwrap(), Uid(13));
    let names: Vec<_> = service.tree(&vault).unwrap().into_keys().collect();
    assert_eq!(names, ["dd.md", "new/a.md", "new/e/b.md"]);
    assert_eq!(service.folders(&vault).unwrap().len(), 2);
    assert_eq!(service.delete(&vault, "new").unwrap(), Uid(17));
    assert_eq!(service.tree(&vault).unwrap().len(), 1);
    assert!(service.folders(&vault).unwrap().is_empty());
    assert!(matches!(
        service.delete(&vault, "new"),
        Err(Error::NoFile { .. })
    ));
}

#[tokio::test]
async fn hostile_records_go_out_as_they_were_made() {
    let (server, vault, token) = started().await;
    let cipher = server.cipher(&vault).unwrap();
    server
        .put(&vault, "../outside.md", b"x", Millis(1))
        .unwrap();
    server
        .put_raw(
            &vault,
            RawRecord {
                path: EncodedName::new("zz"),
                ..RawRecord::default()
            },
        )
        .unwrap();
    let swapped = RawRecord {
        path: cipher.encode_name("swapped.md"),
        hash: cipher.encode_hash(Some(ContentHash::of(b"one thing"))),
        content: Some(cipher.seal(b"another").into()),
        fields: Map::from_iter([
            ("size".to_owned(), json!(-5)),
            ("mtime".to_owned(), json!(null)),
        ]),
        ..RawRecord::default()
    };
    server.put_raw(&vault, swapped).unwrap();
    let mut client = Client::dial(&server).await.unwrap();
    client
        .say(&Client::init(&server, &vault, &token, 0, false))
        .await;
    client.hear().await;
    assert_eq!(
        client.hear().await["path"],
        json!(cipher.encode_name("../outside.md"))
    );
    assert_eq!(client.hear().await["path"], "zz");
    let forged = client.hear().await;
    assert_eq!(
        (&forged["size"], &forged["mtime"]),
        (&json!(-5), &json!(null))
    );
    client.hear().await;
    assert_eq!(cipher.open(client.pull(3).await.1).unwrap(), b"another");
    // Its hash is a lie, so a file that really has that hash is not taken for it.
    server
        .put(&vault, "true.md", b"one thing", Millis(1))
        .unwrap();
    assert_eq!(server.tree(&vault).unwrap()["true.md"], b"one thing");
}

#[test]
fn the_sample_vault_is_whole() {
    let (service, vault) = service();
    let seeded = service.seed_sample(&vault).unwrap();
    let tree = service.tree(&vault).unwrap();
    assert_eq!(seeded.files, tree.len() as u64);
    assert!(
        (20..=35).contains(&tree.len()) && seeded.folders == 8,
        "{seeded:?}"
    );
    assert!(tree["Attachments/lavender.png"].starts_with(b"\x89PNG"));
    assert!(tree["Ideas.md"].is_empty() && tree.contains_key("日本の庭/苔.md"));
    // Every wiki link leads somewhere.
    let targets: Vec<_> = tree
        .keys()
        .flat_map(|path| {
            let whole = path.strip_suffix(".md").unwrap_or(path);
            [whole, whole.rsplit('/').next().unwrap()]
        })
        .collect();
    for (path, content) in tree.iter().filter(|(path, _)| path.ends_with(".md")) {
        for link in String::from_utf8(content.clone())
            .unwrap()
            .split("[[")
            .skip(1)
        {
            let target = link
                .split(["]", "|", "#"].map(|s| s.chars().next().unwrap()))
                .next()
                .unwrap();
            assert!(targets.contains(&target), "{path} links to {target}");
        }
    }
}
