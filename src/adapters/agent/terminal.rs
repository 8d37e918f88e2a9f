//! Terminal.
