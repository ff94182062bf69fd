//! A vault and a destination → a [`SyncRun`], with all its parts put together.

use std::sync::Arc;

use obsidian_sync::Vault;
use obsync_config::{PasswordFlag, PasswordSources, find_vault, open_vault};
use obsync_core::clock::SystemClock;
use obsync_core::{Budget, SyncOptions, SyncRun};
use serde_json::{Map, Value, json};

use crate::args::{Global, Target};
use crate::context::{Context, USER_AGENT};
use crate::exit::{Exit, Failure};
use crate::home::{Access, Home, Site};
use crate::output::Answer;
use crate::progress::progress;
use crate::signals::stop_signal;

/// What a command wants of a run.
pub(crate) struct Wanted<'a> {
    pub(crate) target: &'a Target,
    pub(crate) options: SyncOptions,
    pub(crate) global: &'a Global,
    pub(crate) access: Access,
}

/// What is known of the vault and the destination so far: told also when the command fails.
#[derive(Default)]
pub(crate) struct Known {
    vault: Option<Vault>,
    dest: String,
}

impl Known {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            vault: None,
            dest: target.dest.display().to_string(),
        }
    }

    /// Puts a run together: checks the destination, opens the vault, then its home.
    pub(crate) async fn run(
        &mut self,
        context: &Context,
        wanted: Wanted<'_>,
    ) -> Result<SyncRun, Failure> {
        let target = wanted.target;
        // What is wrong with the destination needs no sign-in to be told.
        let site = Site::new(&target.dest, target.s3, context).await?;
        self.dest = site.location()?;

        let password = target.password();
        if let Some(warning) = password.as_ref().and_then(PasswordFlag::warning) {
            context.printer.warning(warning);
        }
        let vault = find_vault(&context.account, &context.rest, &target.vault).await?;
        let vault = self.vault.insert(vault);
        let passwords = PasswordSources {
            flag: password.as_ref(),
            credentials: &context.settings.credentials,
            prompt: &context.prompt,
        };
        let open = open_vault(&context.account, &context.rest, vault, passwords).await?;

        let Home { files, state } = site.open(context, vault, wanted.access).await?;
        self.dest = files.location();
        let stop = stop_signal(&context.printer).map_err(|error| {
            Failure::new(Exit::Failed, "signals", format!("can't start: {error}"))
        })?;
        Ok(SyncRun {
            vault: vault.id.clone(),
            vault_name: vault.name.clone(),
            connector: open
                .connector
                .device(&wanted.options.device)
                .user_agent(USER_AGENT),
            cipher: open.cipher,
            store: files,
            state,
            options: wanted.options,
            budget: Budget::default(),
            // Not before a password was asked for: a bar would draw over the question.
            progress: progress(wanted.global, &context.printer.screen),
            clock: Arc::new(SystemClock),
            stop,
        })
    }

    /// The vault's name, as far as it is known.
    pub(crate) fn vault_name(&self) -> &str {
        self.vault.as_ref().map_or("", |vault| &vault.name)
    }

    pub(crate) fn dest(&self) -> &str {
        &self.dest
    }

    /// The result, or the failure, with the vault and the destination named in its document.
    pub(crate) fn tell(&self, result: Result<Answer, Failure>) -> Answer {
        let mut answer = result.unwrap_or_else(|failure| {
            let mut answer = Answer::new(Value::Object(failure.status()));
            answer.exit = failure.exit;
            answer.failure = Some(failure);
            answer
        });
        let mut json = Map::new();
        let vault = self
            .vault
            .as_ref()
            .map(|vault| json!({ "id": vault.id, "name": vault.name }));
        json.insert("vault".to_owned(), vault.unwrap_or(Value::Null));
        json.insert("dest".to_owned(), self.dest.as_str().into());
        json.append(&mut answer.json);
        answer.json = json;
        answer
    }
}
