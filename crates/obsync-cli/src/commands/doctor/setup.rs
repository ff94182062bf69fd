//! What needs nobody else: settings and the state folder; and where the destination is.

use std::path::{Path, PathBuf};

use obsidian_sync::rest::RestDeadlines;
use obsync_config::Settings;
use serde_json::Value;

use super::PATIENCE;
use super::checks::{Checks, within};
use crate::args::Cli;
use crate::context::{Context, environment};
use crate::home::{Bucket, Site};
use crate::options::sync_options;
use crate::output::Printer;

/// Reads the settings; without them nothing else can be looked at.
pub(super) fn settings(checks: &mut Checks, cli: &Cli, printer: &Printer) -> Option<Context> {
    let environment = environment();
    let settings = match Settings::load(&cli.flags(), &environment) {
        Ok(settings) => settings,
        Err(error) => {
            checks.fail("config", error);
            return None;
        }
    };
    let (file, origins, warnings) = (
        told(&settings),
        origins(&settings),
        settings.warnings.clone(),
    );
    let deadlines = RestDeadlines {
        connect: PATIENCE,
        call: PATIENCE,
        ..RestDeadlines::default()
    };
    let context = match Context::of(settings, environment, printer, deadlines) {
        Ok(context) => context,
        Err(failure) => {
            checks.fail("config", failure);
            return None;
        }
    };
    checks.ok("config", file);
    match sync_options(&context.settings, context.device(), false) {
        Ok(_) => checks.ok("settings", origins),
        Err(error) => checks.fail("settings", error),
    }
    for warning in warnings {
        checks.warn("settings", warning, "");
    }
    Some(context)
}

fn told(settings: &Settings) -> String {
    match &settings.config_file {
        None => "there is no place for a config file, since no home folder is known".to_owned(),
        Some(file) if file.value.exists() => format!("{} was read", file.value.display()),
        Some(file) => format!("there is no {}, and none is needed", file.value.display()),
    }
}

/// Each setting that is not obsync's own choice, with where it comes from.
fn origins(settings: &Settings) -> String {
    let shown = settings.shown().into_iter();
    let given: Vec<String> = shown
        .filter(|line| line.value != Value::Null && line.origin != "default")
        .map(|line| format!("{} from {}", line.key, line.origin))
        .collect();
    match given.is_empty() {
        true => "all are obsync's own".to_owned(),
        false => given.join("; "),
    }
}

pub(super) fn state_folder(checks: &mut Checks, context: &Context) {
    let dir = context.state_dir();
    let path = dir.path().display().to_string();
    let found = match dir.check() {
        Ok(found) => found,
        Err(error) => return checks.fail("state_folder", error),
    };
    if !found.exists {
        return checks.ok("state_folder", format!("{path} is not there yet"));
    }
    if found.exposed.is_empty() {
        let message = format!("{path} can be written, and nobody else can read it");
        return checks.ok("state_folder", message);
    }
    for (path, mode) in &found.exposed {
        let right = if path.is_dir() { "700" } else { "600" };
        checks.warn(
            "state_folder",
            format!("others may look into {} (mode {mode:o})", path.display()),
            &format!("chmod {right} '{}'", path.display()),
        );
    }
}

/// A destination, of either kind.
pub(super) enum At {
    Folder(PathBuf),
    Bucket(Box<Bucket>),
}

pub(super) async fn site(
    checks: &mut Checks,
    context: &Context,
    dest: &Path,
    s3: bool,
) -> Option<At> {
    let found = Site::new(dest, s3, context);
    // Where AWS credentials come from may be another machine.
    match within(PATIENCE, "where the AWS credentials come from", found).await {
        Ok(Site::Folder(dest)) => Some(At::Folder(dest)),
        Ok(Site::S3(bucket)) => Some(At::Bucket(bucket)),
        Err(failure) => {
            checks.fail("destination", failure);
            None
        }
    }
}
