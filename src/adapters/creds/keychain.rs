//! The Keychain item of an account's directory. Asking for attributes and deleting cause no prompt; reading may.

use super::{CredsError, Presence, name};
use crate::adapters::procs::user_name;
use crate::contract::snapshot::FileStamp;
use crate::core::account::AccountId;
use crate::core::hash::hash;
use security_framework::base::Error;
use security_framework::item::{ItemClass, ItemSearchOptions, Limit};
use security_framework::passwords::{
    delete_generic_password, get_generic_password, set_generic_password,
};
use std::path::Path;
use zeroize::Zeroizing;

/// `errSecItemNotFound` (Security/SecBase.h).
const NOT_FOUND: i32 = -25300;

pub(super) fn presence(dir: &Path) -> Presence {
    let mut query = ItemSearchOptions::new();
    query
        .class(ItemClass::generic_password())
        .service(&name::service(dir))
        .account(name::account(&user()))
        .load_attributes(true)
        .skip_authenticated_items(true)
        .limit(Limit::Max(1));
    match query.search() {
        Ok(found) => found.first().map_or(Presence::Absent, |item| {
            let attributes = item.simplify_dict().unwrap_or_default();
            let modified = attributes.get("mdat").map_or("", |text| date_in(text));
            Presence::Present(FileStamp {
                inode: 0,
                len: 1,
                // Only compared with itself, so any number that changes with the date will do.
                modified_ns: i64::from_ne_bytes(hash(modified.as_bytes()).to_ne_bytes()),
            })
        }),
        Err(error) if error.code() == NOT_FOUND => Presence::Absent,
        Err(_) => Presence::Unknown,
    }
}

/// The date in a description of a date, which may hold the address of the object too.
fn date_in(description: &str) -> &str {
    const LENGTH: usize = "2026-11-20 18:00:00".len();
    let is_date = |text: &str| {
        text.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
    };
    (0..description.len())
        .filter_map(|start| description.get(start..start + LENGTH))
        .find(|text| is_date(text))
        .unwrap_or_default()
}

pub(super) fn remove(dir: &Path, account: AccountId) -> Result<bool, CredsError> {
    match delete_generic_password(&name::service(dir), name::account(&user())) {
        Ok(()) => Ok(true),
        Err(error) if error.code() == NOT_FOUND => Ok(false),
        Err(error) => Err(refused("remove", account, error)),
    }
}

pub(super) fn read(
    dir: &Path,
    account: AccountId,
) -> Result<Option<Zeroizing<Vec<u8>>>, CredsError> {
    match get_generic_password(&name::service(dir), name::account(&user())) {
        Ok(blob) => Ok(Some(Zeroizing::new(blob))),
        Err(error) if error.code() == NOT_FOUND => Ok(None),
        Err(error) => Err(refused("read", account, error)),
    }
}

/// Puts `blob` in the place of what the item holds; who may read it stays as it is.
pub(super) fn write(dir: &Path, account: AccountId, blob: &[u8]) -> Result<(), CredsError> {
    set_generic_password(&name::service(dir), name::account(&user()), blob)
        .map_err(|error| refused("write", account, error))
}

fn refused(action: &'static str, account: AccountId, error: Error) -> CredsError {
    CredsError::Keychain {
        action,
        account,
        code: error.code(),
    }
}

/// `$USER`, else the name the system has for this user; empty when there is none.
fn user() -> String {
    let user = std::env::var_os("USER").filter(|user| !user.is_empty());
    user.map_or_else(user_name, |user| user.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_found_in_any_description() {
        let date = "2026-11-20 18:00:00";
        for text in [
            "2026-11-20 18:00:00 +0000",
            "<CFDate 0x600 [0x1f]>{contents = 2026-11-20 18:00:00 +0000}",
        ] {
            assert_eq!(date_in(text), date);
        }
        assert_eq!(date_in("unknown \u{e9}"), "");
    }
}
