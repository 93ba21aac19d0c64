//! Throw-away Debian machines, for the system tests and for the fault drill.
//!
//! ```text
//!   roots     a minimal Debian of one release, unpacked once, never written to
//!     └─ Keeper     a thread in a fresh overlay of one (or of several layers), in own namespaces
//!          └─ overlay    how such a root is put together
//! ```
//!
//! A machine is made in milliseconds and goes away with its [`Keeper`], however the program ends:
//! nothing of it outlives its processes, and it sees no directory of the host. It needs root, for
//! mounts and namespaces. It knows nothing of packages, and never writes into the Debian that machines stand on.

mod keeper;
pub mod overlay;
pub mod roots;

pub use keeper::Keeper;
pub use overlay::Scratch;
pub use roots::Suite;
