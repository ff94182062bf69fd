//! `status`: where vaults stand, from their states in the bucket.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use obsidian_sync::VaultId;
use obsync_core::clock::{Clock as _, SystemClock};

use crate::access::Access;
use crate::answer::{StatusAnswer, VaultError, VaultState};
use crate::vault_run::Work;

/// How many states are read at a time: each may be large.
const SIDE_BY_SIDE: usize = 2;

/// Looks at these vaults, by id or name; at all that the function is set up for, if none is named.
/// The service is asked only where a name is not an id.
///
/// # Errors
/// When the bucket can't be listed.
pub(crate) async fn status(work: &Work, wanted: Vec<String>) -> Result<StatusAnswer, VaultError> {
    let tools = &work.tools;
    let wanted = match (wanted.is_empty(), &tools.lambda.vaults) {
        (false, _) => wanted,
        (true, Some(vaults)) => vaults.value.clone(),
        (true, None) => {
            let known = tools.homes.known().await.map_err(VaultError::from)?;
            known.iter().map(ToString::to_string).collect()
        }
    };
    let vaults = stream::iter(&wanted)
        .map(|wanted| async {
            let looked = look(work, wanted).await;
            looked.unwrap_or_else(|error| {
                VaultState::unreadable(wanted, wanted, error, SystemClock.now())
            })
        })
        .buffered(SIDE_BY_SIDE);
    Ok(StatusAnswer::new(vaults.collect().await))
}

async fn look(work: &Work, wanted: &str) -> Result<VaultState, VaultError> {
    let tools = &work.tools;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if wanted.chars().all(plain)
        && let Some(state) = state(work, &VaultId::new(wanted), wanted).await?
    {
        return Ok(state);
    }
    let find = async |access: Arc<Access>| {
        let found = tools.vaults.find(&access.account, &tools.rest, wanted);
        found.await.map_err(|error| VaultError::from(&error))
    };
    let vault = work.access.with_access(find).await?.vault;
    let state = state(work, &vault.id, &vault.name).await?;
    Ok(state.unwrap_or_else(|| VaultState {
        vault_id: vault.id.to_string(),
        name: vault.name,
        ..VaultState::default()
    }))
}

/// What the bucket has of a vault; `name` counts where no run has noted it.
async fn state(work: &Work, id: &VaultId, name: &str) -> Result<Option<VaultState>, VaultError> {
    let known = work.tools.homes.look(id).await.map_err(VaultError::from)?;
    Ok(known.map(|known| {
        let noted = known.status.vault_name.as_str();
        let name = if noted.is_empty() { name } else { noted };
        VaultState::new(
            id.as_str(),
            name,
            &known.header,
            known.counts,
            &known.status,
        )
    }))
}
