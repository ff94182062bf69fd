//! [`KeptSecret`]: the secret, kept while the process is warm, and not longer than it is true.

use std::sync::Arc;

use obsidian_sync::Millis;
use obsync_config::CombinedText;
use obsync_core::clock::Clock;
use tokio::sync::Mutex;

use super::error::{SecretError, SecretErrorKind};
use crate::fresh::is_fresh;

/// The secret as it was last fetched. How it is fetched is the caller's business.
pub(crate) struct KeptSecret {
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    text: CombinedText,
    fetched: Millis,
    /// Something was refused that may come from it.
    doubted: bool,
}

impl KeptSecret {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kept: Mutex::default(),
        }
    }

    /// The secret. One that was fetched a while ago is fetched anew: what was added to it is used
    /// without anything having failed. Where that can't be done just now, the old one still serves.
    ///
    /// # Errors
    /// When it can't be had.
    pub(crate) async fn get<R>(
        &self,
        fetch: impl FnOnce() -> R,
    ) -> Result<CombinedText, SecretError>
    where
        R: Future<Output = Result<CombinedText, SecretError>>,
    {
        // Held while it is fetched: init and an event want it only once.
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let fresh = |kept: &&Kept| !kept.doubted && is_fresh(kept.fetched, now);
        if let Some(known) = kept.as_ref().filter(fresh) {
            return Ok(known.text.clone());
        }
        match (fetch().await, &*kept) {
            (Ok(text), _) => {
                *kept = Some(self.fetched(&text));
                Ok(text)
            }
            (Err(error), Some(old)) if error.kind() == SecretErrorKind::Unavailable => {
                tracing::warn!("the secret is used as it was before: {error}");
                Ok(old.text.clone())
            }
            (Err(error), _) => {
                *kept = None;
                Err(error)
            }
        }
    }

    /// The secret as it is now, if what was refused came from an older one.
    pub(crate) async fn other_than<R>(
        &self,
        refused: &CombinedText,
        fetch: impl FnOnce() -> R,
    ) -> Option<CombinedText>
    where
        R: Future<Output = Result<CombinedText, SecretError>>,
    {
        let mut kept = self.kept.lock().await;
        match fetch().await {
            Ok(text) => {
                *kept = Some(self.fetched(&text));
                (text.text.expose() != refused.text.expose()).then_some(text)
            }
            Err(error) => {
                tracing::warn!("whether the secret was changed could not be asked: {error}");
                if let Some(kept) = &mut *kept {
                    kept.doubted = true;
                }
                None
            }
        }
    }

    /// Has the next [`Self::get`] fetch it, however young it is.
    pub(crate) async fn doubt(&self) {
        if let Some(kept) = &mut *self.kept.lock().await {
            kept.doubted = true;
        }
    }

    fn fetched(&self, text: &CombinedText) -> Kept {
        Kept {
            text: text.clone(),
            fetched: self.clock.now(),
            doubted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use super::*;
    use obsidian_sync::Password;

    /// A clock that is set by hand, and a store of secrets that counts who asks.
    #[derive(Default)]
    struct Scene {
        now: AtomicI64,
        asked: AtomicU32,
        holds: std::sync::Mutex<Option<Result<&'static str, SecretErrorKind>>>,
    }

    impl Clock for Scene {
        fn now(&self) -> Millis {
            Millis(self.now.load(Ordering::Relaxed))
        }
    }

    impl Scene {
        fn start() -> (Arc<Self>, KeptSecret) {
            let scene = Arc::<Self>::default();
            let secret = KeptSecret::new(Arc::<Self>::clone(&scene));
            (scene, secret)
        }

        fn holds(&self, what: Result<&'static str, SecretErrorKind>) {
            *self.holds.lock().unwrap() = Some(what);
        }

        fn minutes_pass(&self, minutes: i64) {
            self.now.fetch_add(minutes * 60_000, Ordering::Relaxed);
        }

        async fn fetch(&self) -> Result<CombinedText, SecretError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let held = self.holds.lock().unwrap().expect("something is held");
            held.map(text).map_err(|kind| SecretError::new(kind, "no"))
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }

        async fn get(&self, secret: &KeptSecret) -> Result<String, SecretErrorKind> {
            let text = secret.get(|| self.fetch()).await;
            let text = text.map_err(|error| error.kind());
            text.map(|text| text.text.expose().to_owned())
        }

        async fn other_than(&self, secret: &KeptSecret, refused: &'static str) -> Option<String> {
            let other = secret.other_than(&text(refused), || self.fetch()).await;
            other.map(|other| other.text.expose().to_owned())
        }
    }

    fn text(text: &'static str) -> CombinedText {
        CombinedText {
            name: "secret x".to_owned(),
            text: Password::new(text),
        }
    }

    #[tokio::test]
    async fn what_was_added_is_seen_after_ten_minutes() {
        let (scene, secret) = Scene::start();
        scene.holds(Ok("old"));
        assert_eq!(scene.get(&secret).await.unwrap(), "old");
        scene.holds(Ok("new"));
        scene.minutes_pass(9);
        assert_eq!(scene.get(&secret).await.unwrap(), "old");
        assert_eq!(scene.asked(), 1);
        scene.minutes_pass(1);
        assert_eq!(scene.get(&secret).await.unwrap(), "new");
        assert_eq!(scene.get(&secret).await.unwrap(), "new");
        assert_eq!(scene.asked(), 2);
        // A clock that was set back.
        scene.minutes_pass(-60);
        scene.get(&secret).await.unwrap();
        assert_eq!(scene.asked(), 3);
    }

    #[tokio::test]
    async fn the_old_one_serves_while_there_is_no_answer() {
        let (scene, secret) = Scene::start();
        scene.holds(Err(SecretErrorKind::Unavailable));
        let none = scene.get(&secret).await;
        assert_eq!(none, Err(SecretErrorKind::Unavailable));
        scene.holds(Ok("old"));
        scene.get(&secret).await.unwrap();
        scene.holds(Err(SecretErrorKind::Unavailable));
        scene.minutes_pass(11);
        assert_eq!(scene.get(&secret).await.unwrap(), "old");
        scene.holds(Ok("new"));
        assert_eq!(
            scene.get(&secret).await.unwrap(),
            "new",
            "as soon as there is"
        );
        // One that may no longer be read is not used on.
        scene.minutes_pass(11);
        scene.holds(Err(SecretErrorKind::Denied));
        for _ in 0..2 {
            assert_eq!(scene.get(&secret).await, Err(SecretErrorKind::Denied));
        }
    }

    #[tokio::test]
    async fn what_was_refused_is_compared_with_what_there_is_now() {
        let (scene, secret) = Scene::start();
        scene.holds(Ok("old"));
        scene.get(&secret).await.unwrap();
        assert_eq!(scene.other_than(&secret, "old").await, None);
        scene.holds(Ok("new"));
        let other = scene.other_than(&secret, "old").await;
        assert_eq!(other.as_deref(), Some("new"));
        assert_eq!(scene.get(&secret).await.unwrap(), "new");
        assert_eq!(scene.asked(), 3);
        // Where it could not be asked, the next one does.
        scene.holds(Err(SecretErrorKind::Unavailable));
        assert_eq!(scene.other_than(&secret, "new").await, None);
        scene.holds(Ok("newer"));
        assert_eq!(scene.get(&secret).await.unwrap(), "newer");
        scene.holds(Ok("newest"));
        secret.doubt().await;
        assert_eq!(scene.get(&secret).await.unwrap(), "newest");
    }
}
