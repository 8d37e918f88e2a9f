//! A local stand-in of the service Claude Code talks to.
