//! What survives a restart.

use std::fs;
use std::io::Write as _;

use obsidian_sync::{Millis, Password, VaultVersion};
use obsync_devserver::{Error, Service, VaultSpec};
use serde_json::json;

use crate::client::{EMAIL, VAULT_PASSWORD, call};

fn open(folder: &tempfile::TempDir) -> Service {
    Service::builder()
        .data(folder.path().join("data"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn all_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(&folder);
    service.add_account(EMAIL, "pw", None).unwrap();
    let token = service.issue_token(EMAIL).unwrap();
    let own = service
        .add_vault(VaultSpec::encrypted("Own", EMAIL, VAULT_PASSWORD))
        .unwrap();
    let managed = service
        .add_vault(VaultSpec::managed("Managed", EMAIL))
        .unwrap();
    service.seed_sample(&own).unwrap();
    service.put(&managed, "a.md", b"one", Millis(1)).unwrap();
    service.put(&managed, "b.md", b"one", Millis(2)).unwrap();
    let (tree, version) = (service.tree(&own).unwrap(), service.version(&own).unwrap());
    drop(service);

    let service = open(&folder);
    assert_eq!(service.version(&own).unwrap(), version);
    assert!(
        matches!(service.tree(&own), Err(Error::Locked(_))),
        "the user's password is not stored"
    );
    service
        .unlock(&own, &Password::new(VAULT_PASSWORD))
        .unwrap();
    assert_eq!(service.tree(&own).unwrap(), tree);
    assert_eq!(service.tree(&managed).unwrap()["b.md"], b"one");
    let server = service.start(0).await.unwrap();
    let list = json!({"token": token.expose(), "supported_encryption_version": 3});
    let answer = call(&server, "/vault/list", list).await.json();
    assert_eq!(answer["vaults"].as_array().unwrap().len(), 2);
}

#[test]
fn purge_rollback_and_removal_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(&folder);
    service.add_account(EMAIL, "pw", None).unwrap();
    let make = |name| service.add_vault(VaultSpec::managed(name, EMAIL)).unwrap();
    let (purged, rolled, removed) = (make("purged"), make("rolled"), make("removed"));
    for vault in [&purged, &rolled, &removed] {
        service.put(vault, "a.md", b"one", Millis(1)).unwrap();
        service.put(vault, "b.md", b"two", Millis(1)).unwrap();
        service.delete(vault, "b.md").unwrap();
    }
    service.purge(&purged).unwrap();
    service.rollback(&rolled, VaultVersion(2)).unwrap();
    service.remove_vault(&removed).unwrap();
    drop(service);

    let service = open(&folder);
    assert_eq!(service.version(&purged).unwrap(), VaultVersion(3));
    assert_eq!(service.tree(&purged).unwrap().len(), 1);
    let content = folder
        .path()
        .join("data/vaults")
        .join(purged.as_str())
        .join("content");
    assert_eq!(fs::read_dir(content).unwrap().count(), 1);
    assert_eq!(service.version(&rolled).unwrap(), VaultVersion(2));
    assert_eq!(service.tree(&rolled).unwrap().len(), 2);
    assert!(matches!(service.version(&removed), Err(Error::NoVault(_))));
    assert!(
        !folder
            .path()
            .join("data/vaults")
            .join(removed.as_str())
            .exists()
    );
}

#[test]
fn a_torn_last_record_is_dropped_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(&folder);
    service.add_account(EMAIL, "pw", None).unwrap();
    let vault = service.add_vault(VaultSpec::managed("v", EMAIL)).unwrap();
    service.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    drop(service);
    let log = folder
        .path()
        .join("data/vaults")
        .join(vault.as_str())
        .join("records.jsonl");
    fs::File::options()
        .append(true)
        .open(&log)
        .unwrap()
        .write_all(b"{\"uid\":")
        .unwrap();

    let service = open(&folder);
    assert_eq!(service.version(&vault).unwrap(), VaultVersion(1));
    service.put(&vault, "b.md", b"two", Millis(1)).unwrap();
    drop(service);
    assert_eq!(open(&folder).tree(&vault).unwrap().len(), 2);

    fs::write(&log, "nonsense\n").unwrap();
    let error = Service::builder()
        .data(folder.path().join("data"))
        .build()
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("records.jsonl is damaged"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_also_in_a_folder_open_to_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    // As a program that was killed could have left it.
    fs::write(data.join("service.json.new"), "").unwrap();
    let service = open(&folder);
    service.add_account(EMAIL, "pw", None).unwrap();
    let id = service.add_vault(VaultSpec::managed("V", EMAIL)).unwrap();
    service.put(&id, "a.md", b"one", Millis(1)).unwrap();
    for name in ["service.json".into(), format!("vaults/{id}/records.jsonl")] {
        let mode = data.join(&name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
