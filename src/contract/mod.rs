//! What another process, or another version of ccp, can see.
