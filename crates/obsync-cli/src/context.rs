//! Settings → the parts that commands work with.

use std::sync::Arc;

use obsidian_sync::Vault;
use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsync_config::values::LogFormat;
use obsync_config::{Account, Environment, Origin, Settings, Sourced, SystemTiming};
use obsync_local::StateDir;

use crate::args::Cli;
use crate::exit::Failure;
use crate::output::Printer;
use crate::prompt::Terminal;

/// How obsync calls itself to the service.
pub(crate) const USER_AGENT: &str = concat!("obsync/", env!("CARGO_PKG_VERSION"));

/// What commands work with.
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) prompt: Terminal,
    pub(crate) rest: RestClient,
    pub(crate) account: Account,
}

impl Context {
    /// Gathers the settings, starts logging, and tells what is odd about them.
    pub(crate) fn new(cli: &Cli, printer: &Printer) -> Result<Self, Failure> {
        let environment = environment();
        let settings = Settings::load(&cli.flags(), &environment)?;
        for warning in &settings.warnings {
            printer.warning(warning);
        }
        Self::of(settings, environment, printer, RestDeadlines::default())
    }

    /// Makes the parts of settings, and starts logging.
    pub(crate) fn of(
        settings: Settings,
        environment: Environment,
        printer: &Printer,
        deadlines: RestDeadlines,
    ) -> Result<Self, Failure> {
        let level = settings.log_level.value;
        let format = match settings.log_format {
            // All that standard error gets is to be JSON then.
            Sourced {
                origin: Origin::Default,
                ..
            } if printer.json_lines => LogFormat::Json,
            Sourced { value, .. } => value,
        };
        crate::logging::start(level, format, &printer.screen);
        let api_url = settings.api_url.value.clone();
        let rest = RestClient::new(api_url, USER_AGENT, deadlines)?;
        let account = Account::new(Arc::new(rest.clone()), &settings, Arc::new(SystemTiming));
        let prompt = Terminal::new(&printer.screen);
        Ok(Self {
            environment,
            settings,
            printer: printer.clone(),
            prompt,
            rest,
            account,
        })
    }

    /// The account's vaults.
    pub(crate) async fn vaults(&self) -> Result<Vec<Vault>, Failure> {
        let vaults = self
            .account
            .with_token(async |token| self.rest.vaults(&token).await)
            .await?;
        Ok(vaults)
    }

    /// The folder for state and trash.
    pub(crate) fn state_dir(&self) -> StateDir {
        StateDir::new(&self.settings.state_dir.value)
    }

    /// The name under which this device appears.
    pub(crate) fn device(&self) -> String {
        match &self.settings.device {
            Some(device) => device.value.clone(),
            None => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        }
    }
}

/// The process's environment, read here and nowhere else.
pub(crate) fn environment() -> Environment {
    std::env::vars_os().collect()
}
