//! What keeps the accounts fresh: sampling, publishing, folding leases. One-shot commands call the same functions.

pub mod sampling;
