//! maintscript
