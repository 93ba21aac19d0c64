//! `contract-test`: asks Perl, Rust and Perl again, and says field by field where Rust answers otherwise.
//!
//! ```text
//!   cli ─┬─► run ─┬─► ask      one request: Perl by https, Rust by its daemon's socket
//!        │        ├─► compare  two answers of Perl, one of Rust (pure)
//!        │        └─► report   the verdict, as text, JSON, JUnit and one HTML page (pure)
//!        └─► writes            the same for writes, in scratch copies of what they write
//! ```
//!
//! It never changes anything of the node. Where Perl's own two answers differ there is noise, and what it hides is listed.
//! Nothing compared is never a pass.

mod ask;
mod cli;
mod compare;
mod html;
mod report;
mod run;
mod writes;

pub use cli::{cli, main, with};
