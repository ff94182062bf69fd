//! The official client, as one would use it instead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use obsync_interop::install;
use obsync_interop::official::Official;
use obsync_interop::process::Ended;

use crate::Result;
use crate::bed::{ACCOUNT_PASSWORD, Home, OWNER, PASSWORD};

/// What it may take for one sync. It tries for ever where something goes wrong.
const LIMIT: Duration = Duration::from_secs(240);

/// The official client, signed in.
#[derive(Debug, Clone)]
pub(crate) struct Rival(Arc<Official>);

impl Rival {
    /// Installs it where it is not there yet, and signs it in; else says in a few words why not.
    pub(crate) async fn sign_in(home: PathBuf, api: String) -> std::result::Result<Self, String> {
        let client = match install::client().await {
            Ok(Ok(client)) => client,
            Ok(Err(missing)) => return Err(format!("not installed: {missing}")),
            Err(error) => return Err(format!("not installed: {error}")),
        };
        let account = (OWNER, ACCOUNT_PASSWORD);
        match Official::sign_in(client, home, api, account).await {
            Ok(official) => Ok(Self(Arc::new(official))),
            Err(error) => Err(format!("not signed in: {error}")),
        }
    }

    /// Brings a vault to a folder of its own, and says what that took. Linking the folder is not
    /// part of it.
    pub(crate) async fn sync(&self, home: &Home) -> Result<Ended> {
        let folder = home.folder.with_file_name("official");
        std::fs::create_dir_all(&folder)?;
        self.0.link(&home.name, Some(PASSWORD), &folder).await?;
        self.0.sync_within(LIMIT, &folder).await
    }
}
