//! What keeps the accounts fresh: sampling, publishing, folding leases. One-shot commands call the same functions.

pub mod fold;
pub mod publish;
pub mod refresh;
pub mod renew;
pub mod roster;
pub mod sampling;
