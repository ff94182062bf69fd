//! What lies below the prefix, a page at a time: of a large vault the whole listing is large.

use futures_util::stream::{Stream, StreamExt as _, TryStreamExt as _};
use obsync_core::{Listed, Pages, Stamp, StoreError, VaultPath, VaultStore as _, escape_name};

use super::{S3VaultStore, file};
use crate::keys::{IGNORE_FILE, OWN_FOLDER};

/// Objects whose names no vault can have. They are left alone, and told of once.
#[derive(Default)]
struct Strange {
    count: usize,
    first: Option<String>,
}

impl Drop for Strange {
    fn drop(&mut self) {
        if let Some(first) = &self.first {
            tracing::warn!(
                count = self.count,
                first = %escape_name(first),
                "the prefix holds objects whose names no vault can have; they are left alone"
            );
        }
    }
}

impl S3VaultStore {
    /// Every object that can be a vault's, by path.
    pub(super) fn objects(
        &self,
    ) -> impl Stream<Item = Result<Vec<(VaultPath, Stamp)>, StoreError>> + Send + '_ {
        let prefix = self.0.prefix.as_str();
        let mut strange = Strange::default();
        self.0.bucket.pages(prefix, "").map_ok(move |page| {
            let named = page.into_iter().filter_map(|object| {
                let name = object.key.strip_prefix(prefix).unwrap_or_default();
                if name.starts_with(OWN_FOLDER) || name == IGNORE_FILE || name.is_empty() {
                    return None;
                }
                match VaultPath::parse(name) {
                    Ok(path) if self.check_path(&path).is_ok() => Some((path, object.stamp)),
                    // `a/` is how consoles draw a folder.
                    _ if name.ends_with('/') && !name.contains("//") => None,
                    _ => {
                        strange.count += 1;
                        strange.first.get_or_insert(object.key);
                        None
                    }
                }
            });
            named.collect()
        })
    }

    /// The same without what lies below a dot-folder that is not `config_dir`.
    pub(super) fn listed<'a>(&'a self, config_dir: &'a str) -> Pages<'a> {
        let hidden = move |path: &VaultPath| {
            path.ancestors()
                .any(|above| above.file_name().starts_with('.') && above.as_str() != config_dir)
        };
        let pages = self.objects().map_ok(move |page| {
            let page = page.into_iter().filter(|(path, _)| !hidden(path));
            let page = page.map(|(path, stamp)| Listed {
                path,
                found: file(stamp),
            });
            page.collect::<Vec<_>>()
        });
        pages.boxed()
    }

    /// All pages as one.
    pub(super) async fn whole(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        self.listed(config_dir).try_concat().await
    }
}
