//! What a whole bench leaves: figures as JSON, a plot, and the README's table.

use std::fs;
use std::path::PathBuf;

use crate::Result;
use crate::plot;
use crate::table::Table;

const BEGIN: &str = "<!-- figures: written by make bench -->\n";
const END: &str = "<!-- end of figures -->";

/// Writes `results/` beside the sources, whose place Cargo tells at run time, and the README's table.
pub(crate) fn save(table: &Table) -> Result<()> {
    let own = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or("bench".into()));
    let mut json = serde_json::to_string_pretty(table)?;
    json.push('\n');
    fs::create_dir_all(own.join("results"))?;
    fs::write(own.join("results/latest.json"), json)?;
    fs::write(own.join("results/plot.svg"), plot::draw(&table.lines))?;
    let readme = own.join("../README.md");
    let text = fs::read_to_string(&readme)?;
    if let Some(text) = with_figures(&text, &table.headlines()) {
        fs::write(&readme, text)?;
    }
    Ok(())
}

/// The text with other figures between its two marks; `None` where it has no marks.
fn with_figures(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{figures}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_replaced_between_their_marks() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        let new = with_figures(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert_eq!(with_figures("none", "new"), None);
    }

    #[test]
    fn the_readme_has_the_marks() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let text = fs::read_to_string(readme).unwrap();
        assert!(with_figures(&text, "").is_some());
    }
}
