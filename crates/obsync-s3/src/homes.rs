//! [`S3Homes`]: what lives longer than one run. A warm function, or a run over many vaults, keeps one.
//!
//! Connections and credentials are set up once, and a vault's state stays in memory from one run to
//! the next: where nobody else wrote, beginning another run costs one HEAD instead of the document.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::stream::{self, StreamExt as _};
use object_store::aws::AwsCredentialProvider;
use obsidian_sync::VaultId;
use obsync_core::clock::Clock;
use obsync_core::{Counts, Header, LastError, RunStatus, StoreError, StoreErrorKind};

use crate::bucket::Bucket;
use crate::home::{
    About, S3Home, check_prefix, choose, registers, usual_registers, vault_of_state,
    vault_of_status,
};
use crate::lease::{Holder, Lease};
use crate::object::size_of;
use crate::objects::{Inner as Files, S3VaultStore};
use crate::register::Register;
use crate::settings::{S3Settings, folder};
use crate::state::{Core, Found, Head, S3StateStore, read, read_status, read_whole, write_status};

/// How many states are asked for at once while preloading.
const SIDE_BY_SIDE: usize = 8;

/// Homes in one bucket, kept from one run to the next. Clones are one.
///
/// There is never more than one home of a vault at a place: who opens it while another still has it
/// gets a clone of that one. Two runs on one home share its lease, and so do not keep each other
/// out; [`S3Homes::open_alone`] does.
#[derive(Clone)]
pub struct S3Homes(Arc<Inner>);

struct Inner {
    settings: S3Settings,
    bucket: Bucket,
    clock: Arc<dyn Clock>,
    /// By where the state lies.
    slots: Mutex<HashMap<String, Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Place>>;

/// What is known of one vault's home.
#[derive(Default)]
struct Place {
    vault: Option<VaultId>,
    kept: Option<Arc<Parts>>,
    session: Weak<Session>,
}

/// What is known of a vault before its home is made.
struct Beginning {
    prefix: String,
    found: Option<Found>,
    lease: Lease,
    /// Whose the lease was just now, if it was asked for and could be told.
    holder: Option<Holder>,
}

/// Both stores' insides.
struct Parts {
    state: Arc<Core>,
    files: Arc<Files>,
}

/// One use of a home, from `open` until the last clone of its stores is gone.
pub(crate) struct Session {
    state: Arc<Core>,
    files: Arc<Files>,
}

/// A run's end: what it looked at is not kept until the next one looks anew.
impl Drop for Session {
    fn drop(&mut self) {
        self.files.rest();
    }
}

/// One store's insides, as one session uses them.
pub(crate) struct Held<T> {
    inner: Arc<T>,
    _session: Arc<Session>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            _session: Arc::clone(&self._session),
        }
    }
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

/// What the state says of a vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The prefix of its objects, with its last slash; empty where none was chosen yet.
    pub prefix: String,
    /// The state's header.
    pub header: Header,
    /// Files in the state, and their bytes.
    pub counts: Counts,
    /// How runs went.
    pub status: RunStatus,
    /// Whether a run works on it just now.
    pub lease_held: bool,
}

impl std::fmt::Debug for S3Homes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Homes(s3://{})", self.0.bucket.name())
    }
}

impl S3Homes {
    /// Sets up connections to the bucket; asks nobody yet.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(
        settings: &S3Settings,
        credentials: AwsCredentialProvider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            bucket: Bucket::open(settings, credentials)?,
            clock,
            slots: Mutex::default(),
        })))
    }

    /// Opens a vault's home for a run, or goes on with the one in memory: what another process wrote
    /// since is read. Writes nothing.
    ///
    /// # Errors
    /// When the bucket can't be read, or the state is damaged or of a newer obsync.
    pub async fn open(&self, about: &About) -> Result<S3Home, StoreError> {
        self.begin(about, false).await
    }

    /// As [`S3Homes::open`], for the only run on this vault in this process.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] while another has this home open; else as [`S3Homes::open`].
    pub async fn open_alone(&self, about: &About) -> Result<S3Home, StoreError> {
        self.begin(about, true).await
    }

    async fn begin(&self, about: &About, alone: bool) -> Result<S3Home, StoreError> {
        let registers = registers(&self.0.bucket, &self.0.settings, about)?;
        let slot = self.slot(&registers[0]);
        let mut place = slot.lock().await;
        if let Some(session) = place.session.upgrade() {
            if alone {
                let what = "another run of this process works on this vault";
                return Err(StoreError::new(StoreErrorKind::Busy, what));
            }
            return Ok(home(&session));
        }
        if let Some(parts) = &place.kept {
            if parts.state.restart().await? {
                parts.files.restart(self.0.clock.now());
                return Ok(place.begin());
            }
            place.kept = None;
        }
        // Whose the lease is matters to every run: one wait for both.
        let lease = Lease::new(&registers[2], Arc::clone(&self.0.clock));
        let (found, holder) = tokio::join!(read(&registers[0]), lease.holder());
        let found = found?;
        let prefix = match &found {
            // Chosen once, whatever the vault is called now.
            Some(found) => found.head.prefix.clone(),
            None => choose(&self.0.bucket, &self.0.settings, about).await?,
        };
        place.vault = Some(about.vault.clone());
        let known = Beginning {
            prefix,
            found,
            lease,
            holder: holder.ok(),
        };
        place.kept = Some(self.parts(&about.vault, registers, known)?);
        Ok(place.begin())
    }

    /// Reads the states of these vaults' usual places ahead of their first runs, as long as the
    /// documents come to no more than `most_bytes`. What goes wrong is logged: the run will tell.
    pub async fn preload(&self, vaults: &[VaultId], most_bytes: u64) {
        let sizes = stream::iter(vaults)
            .map(|vault| async move {
                let registers = usual_registers(&self.0.bucket, &self.0.settings, vault);
                let size = match registers {
                    Ok([state, ..]) => state.stamp().await,
                    Err(error) => Err(error),
                };
                (vault, size)
            })
            .buffered(SIDE_BY_SIDE);
        let sizes: Vec<_> = sizes.collect().await;
        let (mut sum, mut fitting) = (0u64, Vec::new());
        for (vault, size) in sizes {
            match size {
                Ok(None) => {}
                Ok(Some(stamp)) => {
                    sum = sum.saturating_add(size_of(&stamp));
                    if sum > most_bytes {
                        tracing::debug!(%vault, most_bytes, "this and later states are read when needed");
                        break;
                    }
                    fitting.push(vault);
                }
                Err(error) => tracing::warn!(%vault, %error, "a state could not be preloaded"),
            }
        }
        let loads = stream::iter(fitting).map(|vault| async move {
            if let Err(error) = self.preload_one(vault).await {
                tracing::warn!(%vault, %error, "a state could not be preloaded");
            }
        });
        loads.buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
    }

    async fn preload_one(&self, vault: &VaultId) -> Result<(), StoreError> {
        let registers = usual_registers(&self.0.bucket, &self.0.settings, vault)?;
        let slot = self.slot(&registers[0]);
        let mut place = slot.lock().await;
        if place.kept.is_some() || place.session.strong_count() > 0 {
            return Ok(());
        }
        // What is loaded ahead is loaded whole.
        if let Some(found) = read_whole(&registers[0]).await? {
            let prefix = found.head.prefix.clone();
            place.vault = Some(vault.clone());
            let lease = Lease::new(&registers[2], Arc::clone(&self.0.clock));
            let known = Beginning {
                prefix,
                found: Some(found),
                lease,
                holder: None,
            };
            place.kept = Some(self.parts(vault, registers, known)?);
        }
        Ok(())
    }

    /// Keeps nothing of this vault in memory beyond the runs that still use it.
    pub fn forget(&self, vault: &VaultId) {
        let slots: Vec<Slot> = self.slots().values().map(Arc::clone).collect();
        for slot in slots {
            // One that is being opened just now is needed.
            if let Ok(mut place) = slot.try_lock()
                && place.vault.as_ref() == Some(vault)
            {
                place.kept = None;
            }
        }
    }

    /// What the state of a vault's usual place says, and how its runs went, for reports: writes
    /// nothing, takes no lease. `None` if there is neither.
    ///
    /// # Errors
    /// When it can't be read, or is damaged or of a newer obsync.
    pub async fn look(&self, vault: &VaultId) -> Result<Option<Known>, StoreError> {
        let [state, status, lease] = usual_registers(&self.0.bucket, &self.0.settings, vault)?;
        let Some(Found { head, .. }) = read(&state).await? else {
            // The first run may have failed before it had anything to note in a state.
            let status = read_status(&status).await?;
            let known = status != RunStatus::default();
            return Ok(known.then(|| Known {
                status,
                ..Known::default()
            }));
        };
        check_vault(&state, vault, &head)?;
        let lease = Lease::new(&lease, Arc::clone(&self.0.clock));
        let (status, lease_held) =
            futures_util::future::try_join(read_status(&status), lease.is_held_by_anyone()).await?;
        Ok(Some(Known {
            counts: head.counts,
            prefix: head.prefix,
            header: head.header,
            status,
            lease_held,
        }))
    }

    /// Notes at a vault's usual place what went wrong before a run could begin, where runs note how
    /// they went. It is for reports: of two who note at once, one wins.
    ///
    /// # Errors
    /// When the bucket can't be read or written.
    pub async fn note(
        &self,
        vault: &VaultId,
        name: &str,
        error: LastError,
    ) -> Result<(), StoreError> {
        let [_, register, _] = usual_registers(&self.0.bucket, &self.0.settings, vault)?;
        // One that can't be read is replaced, as a run does.
        let mut status = read_status(&register).await.unwrap_or_default();
        status.schema = 1;
        status.vault_id = vault.as_str().to_owned();
        status.vault_name = name.to_owned();
        status.last_run = Some(error.at);
        status.last_error = Some(error);
        write_status(&register, &status).await
    }

    /// The vaults that have a state at their usual place in this bucket, or of whose runs one was
    /// noted there, by id.
    ///
    /// # Errors
    /// When the bucket can't be listed.
    pub async fn known(&self) -> Result<Vec<VaultId>, StoreError> {
        let below = folder(&self.0.settings.state_prefix);
        let objects = self.0.bucket.list_flat(&below).await?;
        let names = objects.iter().filter_map(|object| {
            let name = object.key.strip_prefix(&below)?;
            vault_of_state(name).or_else(|| vault_of_status(name))
        });
        let mut vaults: Vec<VaultId> = names.collect();
        vaults.sort();
        vaults.dedup();
        Ok(vaults)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, state: &Register) -> Slot {
        Arc::clone(self.slots().entry(state.location()).or_default())
    }

    fn parts(
        &self,
        vault: &VaultId,
        registers: [Register; 3],
        known: Beginning,
    ) -> Result<Arc<Parts>, StoreError> {
        let Beginning {
            prefix,
            found,
            lease,
            holder,
        } = known;
        let [state, status, _] = registers;
        let Inner {
            settings,
            bucket,
            clock,
            ..
        } = &*self.0;
        if let Some(found) = &found {
            check_vault(&state, vault, &found.head)?;
        }
        check_prefix(settings, &prefix)?;
        let fresh = Head::new(vault.as_str(), &prefix);
        let state = Core::new(bucket, [state, status], lease, fresh, found, holder);
        let state = Arc::new(state);
        let gate = Arc::<Core>::clone(&state);
        let files = Files::new(bucket.clone(), prefix, gate, clock.now(), settings.trash);
        let files = Arc::new(files);
        Ok(Arc::new(Parts { state, files }))
    }
}

impl Place {
    /// Begins a use of what is kept.
    fn begin(&mut self) -> S3Home {
        let parts = self.kept.as_ref().expect("kept just now");
        let session = Arc::new(Session {
            state: Arc::clone(&parts.state),
            files: Arc::clone(&parts.files),
        });
        self.session = Arc::downgrade(&session);
        home(&session)
    }
}

fn home(session: &Arc<Session>) -> S3Home {
    S3Home {
        files: S3VaultStore::new(Held {
            inner: Arc::clone(&session.files),
            _session: Arc::clone(session),
        }),
        state: S3StateStore::new(Held {
            inner: Arc::clone(&session.state),
            _session: Arc::clone(session),
        }),
    }
}

fn check_vault(state: &Register, vault: &VaultId, head: &Head) -> Result<(), StoreError> {
    if head.vault == vault.as_str() {
        return Ok(());
    }
    let what = format!(
        "the state {} is that of another vault ({})",
        state.location(),
        obsync_core::escape_name(&head.vault)
    );
    Err(StoreError::new(StoreErrorKind::Unusable, what))
}
