//! Attachment types and config groups, by the service's own names (protocol section 5).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown name '{name}'; expected one of: {expected}")]
pub struct UnknownName {
    /// What was given.
    pub name: String,
    /// What would have been right, with commas between.
    pub expected: String,
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$vdoc])* #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// All of them, in the order in which they are listed for people.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name that settings and flags use.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownName {
                    name: name.to_owned(),
                    expected: Self::ALL.map(Self::name).join(", "),
                })
            }
        }
    };
}

named! {
    /// A group of attachments.
    FileType {
        /// bmp, png, jpg, jpeg, gif, svg, webp, avif.
        Image = "image",
        /// mp3, wav, m4a, 3gp, flac, ogg, oga, opus, webm.
        Audio = "audio",
        /// mp4, webm, ogv, mov, mkv.
        Video = "video",
        /// pdf.
        Pdf = "pdf",
        /// Everything else.
        Unsupported = "unsupported",
    }
}

impl FileType {
    /// Whether files with this lower-case extension are notes, which are always synced.
    pub fn is_note(extension: &str) -> bool {
        matches!(extension, "md" | "canvas" | "base")
    }

    /// The groups of a lower-case extension; two for `webm`.
    pub fn of_extension(extension: &str) -> impl Iterator<Item = Self> {
        let (first, second) = match extension {
            "bmp" | "png" | "jpg" | "jpeg" | "gif" | "svg" | "webp" | "avif" => (Self::Image, None),
            "mp3" | "wav" | "m4a" | "3gp" | "flac" | "ogg" | "oga" | "opus" => (Self::Audio, None),
            "webm" => (Self::Audio, Some(Self::Video)),
            "mp4" | "ogv" | "mov" | "mkv" => (Self::Video, None),
            "pdf" => (Self::Pdf, None),
            _ => (Self::Unsupported, None),
        };
        std::iter::once(first).chain(second)
    }
}

named! {
    /// A group of files in the config folder.
    ConfigGroup {
        /// app.json, types.json.
        App = "app",
        /// appearance.json.
        Appearance = "appearance",
        /// Themes and CSS snippets.
        AppearanceData = "appearance-data",
        /// hotkeys.json.
        Hotkey = "hotkey",
        /// core-plugins.json, core-plugins-migration.json.
        CorePlugin = "core-plugin",
        /// Other JSON files right in the config folder.
        CorePluginData = "core-plugin-data",
        /// community-plugins.json.
        CommunityPlugin = "community-plugin",
        /// Installed plugins and their settings.
        CommunityPluginData = "community-plugin-data",
    }
}

impl ConfigGroup {
    /// The group of a file, by its path inside the config folder; `None` if it is never synced.
    pub(super) fn of_file(inside: &str) -> Option<Self> {
        let segments: Vec<&str> = inside.split('/').collect();
        match segments.as_slice() {
            ["workspace.json" | "workspace-mobile.json"] => None,
            ["app.json" | "types.json"] => Some(Self::App),
            ["appearance.json"] => Some(Self::Appearance),
            ["hotkeys.json"] => Some(Self::Hotkey),
            ["core-plugins.json" | "core-plugins-migration.json"] => Some(Self::CorePlugin),
            ["community-plugins.json"] => Some(Self::CommunityPlugin),
            [file] if file.ends_with(".json") => Some(Self::CorePluginData),
            ["themes", _, "theme.css" | "manifest.json"] => Some(Self::AppearanceData),
            ["snippets", file] if file.ends_with(".css") => Some(Self::AppearanceData),
            [
                "plugins",
                _,
                "manifest.json" | "main.js" | "styles.css" | "data.json",
            ] => Some(Self::CommunityPluginData),
            _ => None,
        }
    }

    /// The group of a folder that holds such files, by its path inside the config folder.
    pub(super) fn of_folder(inside: &str) -> Option<Self> {
        let segments: Vec<&str> = inside.split('/').collect();
        match segments.as_slice() {
            ["themes"] | ["themes", _] | ["snippets"] => Some(Self::AppearanceData),
            ["plugins"] | ["plugins", _] => Some(Self::CommunityPluginData),
            _ => None,
        }
    }
}
