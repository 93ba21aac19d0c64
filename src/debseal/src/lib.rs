//! debseal
