//! `ccp man`: the man page of ccp, or one page for it and each command.

use super::arguments::CommandLine;
use super::failure::{Failure, Outcome};
use crate::adapters::files;
use crate::contract::exit;
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The mode of a page: everybody may read it.
const PAGE: u32 = 0o644;

/// Prints `ccp.1`, or writes all pages into `out`.
pub fn run(out: Option<&Path>) -> Outcome {
    let Some(dir) = out else {
        let page = page(CommandLine::command())?;
        io::stdout()
            .write_all(&page)
            .map_err(|e| Failure::new(format!("cannot print the page: {e}")))?;
        return Ok(exit::OK);
    };
    fs::create_dir_all(dir)
        .map_err(|e| Failure::new(format!("cannot make {}: {e}", dir.display())))?;
    for (name, page) in pages()? {
        let path = dir.join(name);
        files::replace_rebuildable(&path, &page, PAGE)
            .map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(exit::OK)
}

/// Every page with its file name.
fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let command = CommandLine::command();
    let mut pages = vec![("ccp.1".to_owned(), page(command.clone())?)];
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = format!("ccp-{}", sub.get_name());
        // clap keeps names for the life of the process; there are two dozen.
        let title: &'static str = Box::leak(name.clone().into_boxed_str());
        pages.push((
            format!("{name}.1"),
            page(sub.clone().name(title).bin_name(title))?,
        ));
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(|e| Failure::new(format!("cannot write the page: {e}")))?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let pages = pages().expect("renders");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            names.contains(&"ccp.1") && names.contains(&"ccp-add.1"),
            "{names:?}"
        );
        assert!(
            !names.iter().any(|n| n.contains("demo-client")),
            "hidden ones have none"
        );
        for (name, page) in pages {
            let text = String::from_utf8(page).expect("is text");
            assert!(
                text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
                "{name}"
            );
        }
    }
}
