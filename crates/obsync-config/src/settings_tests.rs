use std::path::Path;

use super::*;
use crate::error::ConfigErrorKind;
use crate::values::Groups;

/// A home with a config file in its usual place.
struct Home {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self {
            folder,
            variables: Vec::new(),
        };
        home.write(".config/obsync/config.json", config);
        home
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn load(&self, flags: &Flags) -> Result<Settings, ConfigError> {
        let home = [(
            "HOME".to_owned(),
            self.folder.path().to_str().unwrap().to_owned(),
        )];
        let variables = home.into_iter().chain(self.variables.iter().cloned());
        Settings::load(flags, &variables.collect())
    }

    /// A message with the home folder scrubbed.
    fn scrub(&self, text: &impl ToString) -> String {
        text.to_string()
            .replace(self.folder.path().to_str().unwrap(), "~")
    }
}

#[test]
fn later_layers_win_and_each_value_knows_its_own() {
    let mut home = Home::new(r#"{"connections": 2, "email": "config@example.org"}"#);
    let mut flags = Flags::default();
    let seen = |home: &Home, flags: &Flags| {
        let settings = home.load(flags).unwrap();
        let email = settings.credentials.email.unwrap();
        (
            settings.connections.value,
            home.scrub(&settings.connections.origin),
            email.value,
            home.scrub(&email.origin),
        )
    };
    let owned = |number, from: &str, email: &str, email_from: &str| {
        (
            number,
            from.to_owned(),
            email.to_owned(),
            email_from.to_owned(),
        )
    };
    let file = "~/.config/obsync/config.json:1:17: connections";
    assert_eq!(
        seen(&home, &flags),
        owned(
            2,
            file,
            "config@example.org",
            "~/.config/obsync/config.json:1:29: email"
        )
    );

    let combined = home.write(
        "c.json",
        r#"{"auth": {"email": "combined@example.org", "password": "p"}}"#,
    );
    home.set("OBSYNC_CREDENTIALS", &combined);
    let from_combined = "~/c.json:1:20: auth.email";
    assert_eq!(
        seen(&home, &flags),
        owned(2, file, "combined@example.org", from_combined)
    );

    home.set("OBSYNC_CONNECTIONS", "3");
    home.set("OBSIDIAN_EMAIL", "environment@example.org");
    assert_eq!(
        seen(&home, &flags),
        owned(
            3,
            "OBSYNC_CONNECTIONS",
            "environment@example.org",
            "OBSIDIAN_EMAIL"
        )
    );

    flags.connections = Some("4".to_owned());
    flags.email = Some("flag@example.org".to_owned());
    assert_eq!(
        seen(&home, &flags),
        owned(4, "--connections", "flag@example.org", "--email")
    );
}

#[test]
fn without_any_layer_there_are_defaults() {
    let settings = Home::new("{}").load(&Flags::default()).unwrap();
    assert_eq!(settings.connections, Sourced::default_value(4));
    assert_eq!(settings.batch_size, Sourced::default_value(50));
    assert_eq!(settings.mode, Sourced::default_value(Mode::Pull));
    assert_eq!(settings.file_types, Sourced::default_value(Groups::All));
    assert_eq!(settings.api_url.value.host_str(), Some("api.obsidian.md"));
    assert!(settings.state_dir.value.ends_with(".local/state/obsync"));
    assert!(settings.trash.value);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn bad_values_are_named_with_their_place_and_what_was_expected() {
    let place = "~/.config/obsync/config.json";
    for (config, complaint) in [
        (
            "{\n  \"connections\": 40\n}",
            ":2:18: connections must be a number from 1 to 16, not '40'",
        ),
        (
            "{\"connections\": \"many\"}",
            ":1:17: connections must be a number from 1 to 16, not 'many'",
        ),
        (
            "{\"mode\": \"push\"}",
            ":1:10: mode must be pull or mirror, not 'push'",
        ),
        (
            "{\"include\": \"*.md\"}",
            ":1:13: include must be a list of strings, not '*.md'",
        ),
        (
            "{\"trash\": 1}",
            ":1:11: trash must be true or false, not '1'",
        ),
        (
            "{\"api_url\": \"http://evil.example.org\"}",
            ":1:13: api_url must be an https:// URL, or an http:// URL on this machine (loopback), \
             not 'http://evil.example.org'",
        ),
        ("{\"conections\": 4}", ":1:2: unknown key 'conections'"),
        ("{\"connections\": 4", ":1:17: EOF while parsing an object"),
        ("", ":1:0: EOF while parsing a value"),
    ] {
        let home = Home::new(config);
        let error = home.load(&Flags::default()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Invalid);
        assert_eq!(home.scrub(&error), format!("{place}{complaint}"));
    }
    let mut home = Home::new("{}");
    home.set("OBSYNC_CONNECTIONS", "0");
    let flags = Flags {
        connections: Some("4".to_owned()),
        ..Flags::default()
    };
    assert_eq!(
        home.load(&flags).unwrap_err().to_string(),
        "OBSYNC_CONNECTIONS must be a number from 1 to 16, not '0'",
        "overridden or not, a bad value is told"
    );
}

#[test]
fn unknown_keys_and_variables_get_the_nearest_known_one() {
    let home = Home::new("{\"conections\": 4}");
    let hints = home.load(&Flags::default()).unwrap_err().hints().to_vec();
    assert_eq!(hints[0], "did you mean 'connections'?");

    let home = Home::new("{\"password\": \"hunter2\"}");
    let error = home.load(&Flags::default()).unwrap_err();
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("secrets belong"))
    );
    assert!(!format!("{error:?}").contains("hunter2"));

    let mut home = Home::new("{}");
    home.set("OBSYNC_CONECTIONS", "4");
    let warnings = home.load(&Flags::default()).unwrap().warnings;
    assert!(
        warnings[0].contains("did you mean 'OBSYNC_CONNECTIONS'?"),
        "{warnings:?}"
    );
}

#[test]
fn only_the_usual_config_file_may_be_missing() {
    let mut home = Home::new("{}");
    std::fs::remove_file(home.folder.path().join(".config/obsync/config.json")).unwrap();
    assert!(home.load(&Flags::default()).is_ok());

    let absent = home.folder.path().join("absent.json");
    let flags = Flags {
        config: Some(absent.clone()),
        ..Flags::default()
    };
    let error = home.load(&flags).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Unreadable);
    assert_eq!(
        home.scrub(&error),
        "can't read the config file ~/absent.json that --config names"
    );

    home.set("OBSYNC_CONFIG", absent.to_str().unwrap());
    let error = home.load(&Flags::default()).unwrap_err();
    assert!(error.to_string().ends_with("that OBSYNC_CONFIG names"));
}

#[test]
fn secrets_come_from_variables_or_files_but_not_both() {
    let mut home = Home::new("{}");
    let file = home.write("pw", "from file\n");
    home.set("OBSIDIAN_PASSWORD_FILE", &file);
    home.set("OBSIDIAN_TOTP_SECRET", "JBSWY3DPEHPK3PXP");
    let settings = home.load(&Flags::default()).unwrap();
    let password = settings.credentials.password.clone().unwrap();
    assert_eq!(password.value.expose(), "from file");
    assert_eq!(
        home.scrub(&password.origin),
        "~/pw (named by OBSIDIAN_PASSWORD_FILE)"
    );
    assert!(!format!("{settings:?}").contains("from file"));

    home.set("OBSIDIAN_PASSWORD", "p");
    assert_eq!(
        home.load(&Flags::default()).unwrap_err().to_string(),
        "OBSIDIAN_PASSWORD and OBSIDIAN_PASSWORD_FILE are both set; keep the one that is meant"
    );
}

#[test]
#[cfg(unix)]
fn warns_of_credentials_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut home = Home::new("{}");
    let file = home.write("c.json", r#"{"auth": {"password": "p"}}"#);
    home.set("OBSYNC_CREDENTIALS", &file);
    let warnings = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        home.load(&Flags::default()).unwrap().warnings
    };
    assert!(warnings(0o644)[0].contains("other users can read the credentials file"));
    assert_eq!(warnings(0o600), [""; 0]);
}

#[test]
fn paths_in_the_config_file_start_at_its_folder_or_at_home() {
    let home = Home::new(r#"{"state_dir": "~/state", "credentials_file": "c.json"}"#);
    home.write(".config/obsync/c.json", "{}");
    let settings = home.load(&Flags::default()).unwrap();
    assert_eq!(settings.state_dir.value, home.folder.path().join("state"));
    let beside = home.folder.path().join(".config/obsync/c.json");
    assert_eq!(settings.credentials_file.unwrap().value, beside);
}

#[test]
fn the_example_is_a_config_file_with_every_key() {
    let home = Home::new(&keys::example());
    home.write(".config/obsync/credentials.json", "{}");
    let settings = home.load(&Flags::default()).unwrap();
    let shown = settings.shown();
    for key in keys::ALL {
        let line = shown
            .iter()
            .find(|line| line.key == key.name)
            .expect(key.name);
        assert!(
            home.scrub(&line.origin).starts_with("~/.config"),
            "{} is not read",
            key.name
        );
        assert!(keys::explanation().contains(key.meaning));
    }
}

#[test]
fn show_never_shows_a_secret() {
    let mut home = Home::new("{}");
    let combined = home.write("c.json", r#"{"vaults": {"Work": {"password": "hunter2"}}}"#);
    home.set("OBSYNC_CREDENTIALS", &combined);
    home.set("OBSIDIAN_PASSWORD", "hunter2");
    home.set("OBSIDIAN_AUTH_TOKEN", "hunter2");
    let shown = home.load(&Flags::default()).unwrap().shown();
    assert!(!format!("{shown:?}").contains("hunter2"));
    let line = |key: &str| shown.iter().find(|line| line.key == key).unwrap();
    assert_eq!(line("vaults.Work").value, "(set)");
    assert_eq!(line("password").origin, "OBSIDIAN_PASSWORD");
    assert_eq!(line("totp_secret").value, Value::Null);
}

#[test]
fn no_home_means_no_place_for_state() {
    let error = Settings::load(&Flags::default(), &Environment::default()).unwrap_err();
    assert!(error.hints()[0].contains("OBSYNC_STATE_DIR"));
    let state = Environment::from_iter([("OBSYNC_STATE_DIR", "/s")]);
    let settings = Settings::load(&Flags::default(), &state).unwrap();
    assert_eq!(settings.state_dir.value, Path::new("/s"));
}
