//! Everything that is published about the accounts, read at one instant.

use super::{
    Account, DirectoryPin, Meta, Outcome, OverlayState, Store, accounts, overlay, pins, samples,
};
use crate::core::time::Timestamp;
use crate::core::usage::{Burn, Sample};

/// All accounts and pins as they were at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The accounts, by number.
    pub accounts: Vec<PicturedAccount>,
    /// All pins, by directory.
    pub pins: Vec<DirectoryPin>,
    /// Since when sampling is paused on purpose.
    pub paused_since: Option<Timestamp>,
}

/// One account with what is measured of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PicturedAccount {
    /// The account.
    pub account: Account,
    /// Its newest sample.
    pub sample: Option<Sample>,
    /// Its pace.
    pub burn: Burn,
    /// What is known of its overlay.
    pub overlay: OverlayState,
}

impl Store {
    /// Everything that is published, read in one transaction: no half of it is older than the other.
    pub fn picture(&self, now: Timestamp) -> Outcome<Picture> {
        self.read(|c| {
            let transaction = c.unchecked_transaction()?;
            let mut pictured = Vec::new();
            for account in accounts::list(&transaction)? {
                pictured.push(PicturedAccount {
                    sample: samples::latest(&transaction, account.id)?,
                    burn: samples::pace(&transaction, account.id, now)?,
                    overlay: overlay::load(&transaction, account.id)?,
                    account,
                });
            }
            Ok(Picture {
                accounts: pictured,
                pins: pins::list(&transaction)?,
                paused_since: overlay::meta(&transaction, Meta::PausedSince)?
                    .and_then(|text| text.parse().ok())
                    .map(Timestamp::from_unix_ms),
            })
        })
    }
}
