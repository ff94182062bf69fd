//! How long what was asked for is taken for true while the process is warm.

use obsidian_sync::Millis;

/// Vaults are renamed, secrets are filled in: ten minutes, in milliseconds.
const FRESH: i64 = 10 * 60 * 1000;

/// Whether what was learned then is still taken for true.
///
/// By the clock on the wall: while the process is frozen between two invocations, its own may stand
/// still. One that was set back makes nothing fresh.
pub(crate) fn is_fresh(learned: Millis, now: Millis) -> bool {
    (0..FRESH).contains(&now.0.saturating_sub(learned.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_by_the_clock_on_the_wall() {
        let noon = Millis(1_705_314_600_000);
        for (later, fresh) in [(0, true), (FRESH - 1, true), (FRESH, false), (-1, false)] {
            assert_eq!(is_fresh(noon, Millis(noon.0 + later)), fresh, "{later}");
        }
    }
}
