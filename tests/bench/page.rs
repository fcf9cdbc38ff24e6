//! The page in `docs/`: what stands between markers is written by this program, the rest by people.
//!
//! A section stands between `<!-- bench NAME -->` and `<!-- end -->`. A run that did not measure it leaves it as it is.

use crate::table::Section;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;

const END: &str = "<!-- end -->";

/// Puts the sections into the page. One without a place there is an error, so that nobody forgets to show what is measured.
pub(crate) fn write(path: &Path, sections: &[Section]) -> Result<()> {
    let mut text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    for section in sections {
        text = replaced(&text, section).with_context(|| format!("{}", path.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(page: &str, section: &Section) -> Result<String> {
    let marker = format!("<!-- bench {} -->", section.name);
    let Some((before, rest)) = page.split_once(&marker) else { bail!("it has no line `{marker}`") };
    let (_, after) = rest.split_once(END).with_context(|| format!("no `{END}` follows `{marker}`"))?;
    Ok(format!("{before}{marker}\n{}\n{END}{after}", section.text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::{self, Quantity};
    use crate::report::Isolation;
    use clap::ValueEnum as _;

    /// Found out here, and not after an hour of measuring.
    #[test]
    fn the_page_has_a_place_for_every_section() {
        let page = include_str!("../../docs/performance.md");
        let isolations = [Isolation::Run, Isolation::Event, Isolation::Shared];
        let sweeps = Quantity::value_variants().iter().flat_map(|quantity| plans::sweeps(*quantity, &isolations, &[], None));
        let fixed = ["machine", "targets", "main", "latency", "memory", "recovery", "micro"].map(str::to_owned);
        for name in sweeps.map(|sweep| sweep.name).chain(fixed) {
            replaced(page, &Section { name, text: String::new() }).unwrap();
        }
    }

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let section = |name: &str| Section { name: name.to_owned(), text: "new\n".to_owned() };
        let page = "# Page\n\n<!-- bench a -->\nold\n<!-- end -->\n\nprose\n<!-- bench b -->\n<!-- end -->\n";
        let found = replaced(page, &section("a")).unwrap();
        assert_eq!(found, "# Page\n\n<!-- bench a -->\nnew\n<!-- end -->\n\nprose\n<!-- bench b -->\n<!-- end -->\n");
        assert_eq!(replaced(&found, &section("a")).unwrap(), found);
        assert!(replaced(page, &section("c")).is_err() && replaced("<!-- bench a -->", &section("a")).is_err());
    }
}
