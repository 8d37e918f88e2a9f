//! `ccp list`: who the accounts are and where they live. Says nothing about usage.

use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::creds::name;
use crate::adapters::store::{Account, Store};
use crate::contract::settings::{Provider, Settings};
use crate::contract::{exit, path_text};
use crate::core::claude_json::identity::Identity;
use crate::tui::rows::printable;
use serde::Serialize;
use std::io::Write as _;
use unicode_width::UnicodeWidthStr;

/// Version of the JSON.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Listing {
    schema: u32,
    accounts: Vec<Listed>,
}

/// One account, as it is listed.
#[derive(Serialize)]
struct Listed {
    /// `acct-NN`.
    id: String,
    number: u16,
    label: String,
    email: Option<String>,
    organization: Option<String>,
    overlay: OverlayStatus,
    /// A path that is no Unicode is written as a NUL and hexadecimal digits.
    config_dir: String,
    /// The name of the Keychain item that claude keeps this account's login in on macOS.
    keychain_service: String,
}

#[derive(Serialize)]
struct OverlayStatus {
    provider: &'static str,
    /// `in order`, `unchecked` (to be looked at by the next launch) or `missing`.
    state: &'static str,
}

/// Runs `ccp list`.
pub fn run(context: &Context, json: bool) -> Outcome {
    let accounts = match context.existing_store()? {
        Some(store) => listed(context, &store)?,
        None => Vec::new(),
    };
    let mut stdout = std::io::stdout().lock();
    let text = if json {
        let listing = Listing {
            schema: SCHEMA,
            accounts,
        };
        serde_json::to_string_pretty(&listing).map_err(Failure::new)? + "\n"
    } else if accounts.is_empty() {
        eprintln!("no accounts yet: `ccp add` signs one in");
        String::new()
    } else {
        table(&accounts)
    };
    match stdout.write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot print: {error}")))
        }
        _ => Ok(exit::OK),
    }
}

fn listed(context: &Context, store: &Store) -> Result<Vec<Listed>, Failure> {
    let settings = context.settings()?;
    let pictured = store.picture(context.now)?.accounts;
    let list = pictured.iter().map(|p| Listed {
        id: p.account.id.to_string(),
        number: p.account.id.number(),
        label: p.account.label.clone(),
        email: identity(&p.account, |i| i.email.clone()),
        organization: identity(&p.account, |i| i.organization_name.clone()),
        overlay: OverlayStatus {
            provider: provider(&settings),
            state: if !p.account.config_dir.is_dir() {
                "missing"
            } else if p.overlay.stamp.is_some() {
                "in order"
            } else {
                "unchecked"
            },
        },
        config_dir: path_text::encode(&p.account.config_dir),
        keychain_service: name::service(&p.account.config_dir),
    });
    Ok(list.collect())
}

fn identity<T>(account: &Account, part: impl Fn(&Identity) -> Option<T>) -> Option<T> {
    account.identity.as_ref().and_then(part)
}

fn provider(settings: &Settings) -> &'static str {
    match settings.provider {
        Provider::Symlink => "symlink",
    }
}

fn table(accounts: &[Listed]) -> String {
    let head = ["ID", "LABEL", "EMAIL", "OVERLAY", "CONFIG DIR", "KEYCHAIN"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(accounts.iter().map(|a| {
        let or_dash = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
        [
            a.id.clone(),
            printable(&a.label),
            or_dash(&a.email),
            format!("{}, {}", a.overlay.provider, a.overlay.state),
            printable(&a.config_dir),
            a.keychain_service.clone(),
        ]
    }));
    let widths: [usize; 6] =
        std::array::from_fn(|c| lines.iter().map(|l| l[c].width()).max().unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
