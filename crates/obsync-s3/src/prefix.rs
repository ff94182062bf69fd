//! A vault's prefix: its name where that is a good one, else a safe and distinct one.

use obsync_core::escape_name;

/// Longer names leave no room for paths in a key of 1,024 bytes.
const LONGEST: usize = 200;

/// The folder for a vault below `S3_PREFIX`. `shared`: another vault bears the same name.
pub(crate) fn folder_name(name: &str, id: &str, shared: bool) -> String {
    if is_plain(name) && !shared {
        return name.to_owned();
    }
    let mut safe: String = name
        .chars()
        .map(|c| if is_awkward(c) { '_' } else { c })
        .collect();
    let mut length = safe.len().min(LONGEST);
    while !safe.is_char_boundary(length) {
        length -= 1;
    }
    safe.truncate(length);
    let safe = safe.trim_matches(['.', ' ']);
    let id: String = id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    if safe.is_empty() {
        format!("vault-{id}")
    } else {
        format!("{safe}-{id}")
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && name.trim_matches(['.', ' ']) == name
        && !name.chars().any(is_awkward)
}

/// Separators, what a terminal acts on, and what hides.
fn is_awkward(c: char) -> bool {
    matches!(c, '/' | '\\')
        || c.is_control()
        || escape_name(c.encode_utf8(&mut [0; 4])).len() != c.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_safe_and_distinct() {
        for (name, shared, expected) in [
            ("My vault", false, "My vault"),
            ("日本語 ✨", false, "日本語 ✨"),
            ("My vault", true, "My vault-0123abcd"),
            ("a/b", false, "a_b-0123abcd"),
            ("..", false, "vault-0123abcd"),
            ("", false, "vault-0123abcd"),
            (".obsync", false, "obsync-0123abcd"),
            ("a\u{202e}b\n", false, "a_b_-0123abcd"),
        ] {
            assert_eq!(
                folder_name(name, "0123abcdef", shared),
                expected,
                "{name:?}"
            );
        }
        let long = folder_name(&"é".repeat(300), "0123abcdef", false);
        assert!(long.len() <= LONGEST + 9, "{long}");
    }
}
