//! Every environment variable that obsync knows, in one place.
//!
//! The S3 and Lambda variables are listed so that they are never called unknown, whichever front
//! end runs; `AWS_*` variables belong to others and are not listed.

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds a secret. Such a variable may also be given as `NAME_FILE`, the path of a
    /// file that holds the secret.
    pub secret: bool,
    /// What it means, for help and docs.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($konst:ident $($kind:ident)? $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            pub const $konst: &str = stringify!($konst);
        )*
        /// All variables, in the order of the docs.
        pub const ALL: &[Variable] = &[$(
            Variable { name: $konst, secret: variables!(@ $($kind)?), meaning: $meaning },
        )*];
    };
    (@ secret) => { true };
    (@) => { false };
}

variables! {
    OBSIDIAN_EMAIL                    "E-mail address of the account"
    OBSIDIAN_PASSWORD          secret "Password of the account"
    OBSIDIAN_TOTP_SECRET       secret "Two-factor secret of the account, base32 or an otpauth:// URL"
    OBSIDIAN_AUTH_TOKEN        secret "Use this token and do not sign in"
    OBSIDIAN_VAULT_PASSWORD    secret "End-to-end password of the vault at hand"
    OBSIDIAN_API_URL                  "Base of the account API: https, or http on loopback"
    OBSYNC_CONFIG                     "The config file"
    OBSYNC_STATE_DIR                  "Folder for state, token and trash"
    OBSYNC_CREDENTIALS                "The combined credentials file"
    OBSYNC_CONNECTIONS                "Download connections, 1 to 16"
    OBSYNC_LOG_FORMAT                 "Log lines as text or json"
    OBSYNC_VAULTS                     "Vaults of a schedule, ids or names with commas between"
    OBSYNC_SECRET_NAME                "Secrets Manager secret with the combined credentials"
    LOG_LEVEL                         "How much to log: error, warn, info, debug or trace"
    LAMBDA_BATCH_SIZE                 "Files per checkpoint batch"
    LAMBDA_MAX_CONCURRENT             "Connections per vault in a Lambda function"
    LAMBDA_DOWNLOAD_ON_STARTUP        "Load states while a Lambda function starts"
    LAMBDA_TIMEOUT_BUFFER             "Seconds kept back before a Lambda function's deadline"
    S3_BUCKET                         "Bucket for files and state"
    S3_PREFIX                         "Prefix of vault files in the bucket"
    S3_STATE_PREFIX                   "Prefix of state objects in the bucket"
    S3_SSE                            "Server-side encryption: AES256, aws:kms or none"
    S3_SSE_KMS_KEY_ID                 "Key for aws:kms"
    S3_STORAGE_CLASS                  "Storage class of objects"
    S3_TAGS                           "Tags of objects, k=v&k=v"
    S3_EXPECTED_OWNER                 "Account that must own the bucket"
    S3_ALLOW_HTTP                     "1: the S3 endpoint may be http beyond this machine"
}

/// The prefixes under which a variable looks like ours.
const OURS: [&str; 2] = ["OBSYNC_", "OBSIDIAN_"];

/// Whether a variable has one of our prefixes and yet is none of ours.
pub fn is_unknown(name: &str) -> bool {
    OURS.iter().any(|prefix| name.starts_with(prefix)) && !names().any(|known| known == name)
}

/// All names, the `NAME_FILE` forms included.
pub fn names() -> impl Iterator<Item = String> {
    ALL.iter().flat_map(|variable| {
        let file = variable.secret.then(|| file_form(variable.name));
        std::iter::once(variable.name.to_owned()).chain(file)
    })
}

/// The name of the variable that holds the path of a file with the secret.
pub fn file_form(name: &str) -> String {
    format!("{name}_FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_our_prefixes_can_be_unknown() {
        for (name, unknown) in [
            ("OBSIDIAN_PASWORD", true),
            ("OBSYNC_CONNECTIONS_FILE", true),
            ("OBSIDIAN_PASSWORD_FILE", false),
            ("OBSYNC_VAULTS", false),
            ("S3_BUCKETS", false),
            ("PATH", false),
        ] {
            assert_eq!(is_unknown(name), unknown, "{name}");
        }
    }
}
