//! Settings → the engine's options, as far as they are the same for every run.

use std::collections::BTreeSet;
use std::str::FromStr;

use obsync_config::values::{Groups, Mode as ModeSetting};
use obsync_config::{ConfigError, Settings, Sourced};
use obsync_core::SyncOptions;
use obsync_core::filter::FilterSpec;
use obsync_core::guard::MaxDelete;
use obsync_core::plan::Mode;

/// The name under which the function appears at the service, unless the settings name another.
const DEVICE: &str = "AWS Lambda";

/// The options of every run; `connections` is what the function has of its own.
///
/// # Errors
/// When a value makes no sense to the engine; it is told with where it came from.
pub(crate) fn sync_options(
    settings: &Settings,
    connections: usize,
) -> Result<SyncOptions, ConfigError> {
    let mode = match settings.mode.value {
        ModeSetting::Pull => Mode::Pull,
        ModeSetting::Mirror => Mode::Mirror,
    };
    let max_delete = match &settings.max_delete {
        Some(setting) => setting.read(|text| text.parse::<MaxDelete>())?,
        None => MaxDelete::default(),
    };
    let usual = FilterSpec::default();
    let filter = FilterSpec {
        file_types: groups(&settings.file_types, &usual.file_types)?,
        configs: groups(&settings.configs, &usual.configs)?,
        excluded_folders: settings.exclude_folders.value.clone(),
        include: settings.include.value.clone(),
        exclude: settings.exclude.value.clone(),
        ..usual
    };
    let device = settings.device.as_ref();
    Ok(SyncOptions {
        mode,
        filter,
        max_delete,
        connections,
        batch_size: settings.batch_size.value as usize,
        device: device.map_or_else(|| DEVICE.to_owned(), |device| device.value.clone()),
        ..SyncOptions::default()
    })
}

fn groups<T>(setting: &Sourced<Groups>, all: &BTreeSet<T>) -> Result<BTreeSet<T>, ConfigError>
where
    T: FromStr<Err: std::fmt::Display> + Ord + Clone,
{
    setting.read(|groups| match groups {
        Groups::All => Ok(all.clone()),
        Groups::These(names) => names.iter().map(|name| name.parse()).collect(),
    })
}
