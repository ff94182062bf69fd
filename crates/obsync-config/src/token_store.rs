//! The token on disk: `<state dir>/token.json`.

use std::path::{Path, PathBuf};

use obsidian_sync::Token;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::private_file::{self, FileError};

/// A token, with the account and the API that it belongs to. It is only ever sent to that API.
#[derive(Debug, Clone)]
pub(crate) struct StoredToken {
    /// The token.
    pub(crate) token: Token,
    /// The account's e-mail address.
    pub(crate) email: String,
    /// The base of the API that gave it.
    pub(crate) api_url: Url,
}

/// The place of the stored token.
#[derive(Debug, Clone)]
pub(crate) struct TokenStore {
    path: PathBuf,
}

/// The file's form. `Token` does not serialise, on purpose; this is the one place that writes it.
#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    token: String,
    email: String,
    api_url: Url,
}

impl TokenStore {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("token.json"),
        }
    }

    pub(crate) fn load(&self) -> Result<Option<StoredToken>, FileError> {
        let document: Option<Document> = private_file::read(&self.path)?;
        Ok(document.map(
            |Document {
                 token,
                 email,
                 api_url,
                 ..
             }| StoredToken {
                token: Token::new(token),
                email,
                api_url,
            },
        ))
    }

    pub(crate) fn save(&self, stored: &StoredToken) -> Result<(), FileError> {
        let document = Document {
            schema: 1,
            token: stored.token.expose().to_owned(),
            email: stored.email.clone(),
            api_url: stored.api_url.clone(),
        };
        private_file::write(&self.path, &document)
    }

    pub(crate) fn forget(&self) -> Result<(), FileError> {
        private_file::remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_token_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("new/state");
        let store = TokenStore::new(&state_dir);
        assert!(store.load().unwrap().is_none());
        store
            .save(&StoredToken {
                token: Token::new("t0ken"),
                email: "a@example.org".to_owned(),
                api_url: Url::parse("https://api.example.org").unwrap(),
            })
            .unwrap();
        let stored = store.load().unwrap().unwrap();
        assert_eq!(stored.token.expose(), "t0ken");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&store.path), 0o600);
            assert_eq!(mode(&state_dir), 0o700);
        }
        store.forget().unwrap();
        store.forget().unwrap();
        assert!(store.load().unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::new(folder.path());
        std::fs::write(&store.path, r#"{"schema": "t0ken"}"#).unwrap();
        let error = store.load().unwrap_err();
        assert!(error.to_string().ends_with("token.json"));
        assert!(!format!("{error:?}").contains("t0ken"));
    }
}
