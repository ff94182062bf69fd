//! The tokens on disk: `<state dir>/token.json`, one for each API and account.

use std::path::{Path, PathBuf};

use obsidian_sync::Token;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::private_file::{self, FileError};

/// A token, with the account and the API that it belongs to. It is only ever sent to that API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredToken {
    /// The base of the API that gave it.
    pub(crate) api_url: Url,
    /// The account's e-mail address.
    pub(crate) email: String,
    /// The token. It does not serialise by itself, on purpose; this is the one place that writes it.
    #[serde(serialize_with = "expose")]
    pub(crate) token: Token,
}

/// The place of the stored tokens. Who writes holds the sign-in lock: a write takes in what others
/// wrote.
#[derive(Debug, Clone)]
pub(crate) struct TokenStore {
    path: PathBuf,
}

/// The file's form.
#[derive(Default, Serialize, Deserialize)]
struct Document {
    schema: u32,
    /// The newest is the last.
    #[serde(default)]
    tokens: Vec<StoredToken>,
}

impl StoredToken {
    /// Whether it is of this API and, where one is named, of this account.
    pub(crate) fn is_of(&self, api_url: &Url, email: Option<&str>) -> bool {
        let same = |email: &str| email.trim().eq_ignore_ascii_case(self.email.trim());
        self.api_url == *api_url && email.is_none_or(same)
    }
}

impl TokenStore {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("token.json"),
        }
    }

    /// All tokens, the newest first.
    pub(crate) fn load(&self) -> Result<Vec<StoredToken>, FileError> {
        let document: Document = private_file::read(&self.path)?.unwrap_or_default();
        Ok(document.tokens.into_iter().rev().collect())
    }

    /// Keeps a token, in place of the one of the same API and account.
    pub(crate) fn save(&self, token: &StoredToken) -> Result<(), FileError> {
        let mut tokens = self.load()?;
        tokens.reverse();
        tokens.retain(|other| !other.is_of(&token.api_url, Some(&token.email)));
        tokens.push(token.clone());
        self.write(tokens)
    }

    /// Deletes one token, and leaves the others.
    pub(crate) fn forget(&self, token: &StoredToken) -> Result<(), FileError> {
        let mut tokens = self.load()?;
        tokens.reverse();
        tokens.retain(|other| !other.is_of(&token.api_url, Some(&token.email)));
        match tokens.is_empty() {
            true => self.remove(),
            false => self.write(tokens),
        }
    }

    /// Deletes all of them, also where they can't be read.
    pub(crate) fn remove(&self) -> Result<(), FileError> {
        private_file::remove(&self.path)
    }

    fn write(&self, tokens: Vec<StoredToken>) -> Result<(), FileError> {
        private_file::write(&self.path, &Document { schema: 2, tokens })
    }
}

fn expose<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(api: &str, email: &str, token: &str) -> StoredToken {
        StoredToken {
            api_url: Url::parse(api).unwrap(),
            email: email.to_owned(),
            token: Token::new(token),
        }
    }

    fn kept(store: &TokenStore) -> Vec<String> {
        let tokens = store.load().unwrap().into_iter();
        tokens.map(|one| one.token.expose().to_owned()).collect()
    }

    #[test]
    fn keeps_a_token_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("new/state");
        let store = TokenStore::new(&state_dir);
        assert_eq!(kept(&store), [""; 0]);
        let one = token("https://api.example.org", "a@example.org", "t0ken");
        store.save(&one).unwrap();
        assert_eq!(kept(&store), ["t0ken"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&store.path), 0o600);
            assert_eq!(mode(&state_dir), 0o700);
        }
        store.forget(&one).unwrap();
        assert!(!store.path.exists());
        store.forget(&one).unwrap();
        assert_eq!(kept(&store), [""; 0]);
    }

    #[test]
    fn one_for_each_api_and_account() {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::new(folder.path());
        let (real, local) = ("https://api.example.org", "http://127.0.0.1:9");
        let first = token(real, "a@example.org", "1");
        for one in [
            &first,
            &token(local, "a@example.org", "2"),
            &token(real, "b@example.org", "3"),
            &token(local, " A@Example.org", "4"),
        ] {
            store.save(one).unwrap();
        }
        assert_eq!(kept(&store), ["4", "3", "1"]);
        store.save(&token(real, "a@example.org", "5")).unwrap();
        assert_eq!(kept(&store), ["5", "4", "3"]);
        store.forget(&first).unwrap();
        assert_eq!(kept(&store), ["4", "3"]);
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
