//! The hot path: from a pick to `execve`.
