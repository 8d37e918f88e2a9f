//! One-shot sampling, on behalf of a command.

use super::context::Context;
use crate::adapters::store::Store;
use crate::core::account::AccountId;

/// The first sample of an account that was just signed in. Without it the account works, with unknown usage.
pub fn first(context: &Context, store: &mut Store, id: AccountId) {
    let _ = (context, store, id);
}
