//! Settings → the engine's options. Values that the engine reads by its own rules are read here, so
//! that a bad one is told with the flag, variable or key that it came from.

use std::collections::BTreeSet;
use std::str::FromStr;

use obsync_config::values::{Groups, Mode as ModeSetting};
use obsync_config::{ConfigError, Settings, Sourced};
use obsync_core::SyncOptions;
use obsync_core::filter::FilterSpec;
use obsync_core::guard::MaxDelete;
use obsync_core::plan::Mode;

/// The options of a run.
pub(crate) fn sync_options(
    settings: &Settings,
    device: String,
    full: bool,
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
    Ok(SyncOptions {
        mode,
        filter,
        full,
        max_delete,
        connections: usize::from(settings.connections.value),
        batch_size: settings.batch_size.value as usize,
        device,
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
