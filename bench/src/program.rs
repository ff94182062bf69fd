//! The program itself, as one would use it: a process with a configuration of its own.

use std::path::Path;
use std::time::Duration;

use obsync_interop::process::{Ended, run};
use tokio::process::Command;

use crate::Result;
use crate::bed::{Bed, Home, PASSWORD};

const LIMIT: Duration = Duration::from_secs(150);

impl Bed {
    /// Syncs a vault with the program, and says what that took: signed in, the password in a file,
    /// everything else as it comes.
    pub(crate) async fn program(&self, home: &Home, connections: usize) -> Result<Ended> {
        let own = std::env::current_exe()?;
        let program = own.with_file_name("obsync");
        if !program.is_file() {
            let program = program.display();
            return Err(format!("{program} is not there; `make bench` builds it").into());
        }
        let place = home.place()?;
        std::fs::create_dir_all(place)?;
        let password = place.join("password");
        std::fs::write(&password, PASSWORD)?;
        let mut command = Command::new(program);
        command
            .args(["sync", home.vault.as_str(), "--quiet", "--dest"])
            .arg(&home.folder)
            .arg("--password-file")
            .arg(&password)
            .args(["--connections", &connections.to_string()])
            .env_clear()
            .envs(self.environment(place));
        run("obsync", &mut command, LIMIT, None).await
    }

    fn environment<'a>(&'a self, place: &'a Path) -> [(&'static str, std::ffi::OsString); 4] {
        [
            ("HOME", place.into()),
            ("OBSYNC_STATE_DIR", place.join("program").into()),
            ("OBSIDIAN_API_URL", self.server.url().into()),
            ("OBSIDIAN_AUTH_TOKEN", self.token().into()),
        ]
    }
}
