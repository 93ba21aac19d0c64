//! What follows once Rust was asked: the rules of falling back, in one place.
//!
//! ```text
//!   read   anything but a good answer ──────────────────────────────► Perl
//!   write  not sent, or "nothing touched" ──────────────────────────► Perl
//!          lost, or a failure that says nothing ─► fence ─► never begun ─► Perl
//!                                                       └─► anything else ─► 504 outcome unknown
//! ```
//!
//! RFC 9110, 9.2.2: a proxy must not repeat by itself a request that changes something. Perl is therefore
//! asked only where it is *proven* that Rust changed nothing and never will: a fence is up before the
//! journal is believed.

/// Why an answer did not come, in the words of metrics and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No connection: nobody listens.
    Refused,
    /// No connection, or no place in the queue, in time: nothing was sent.
    Overload,
    /// Sent, and nothing came back in time.
    Timeout,
    /// Sent, and the connection broke.
    Reset,
    /// An answer that is none: not HTTP, too long, cut short.
    Garbled,
    /// A failure, by its status.
    ServerError,
    /// It said that it would not, now: busy, removed, or its phase is another.
    Declined,
    /// It said that it does not do such a thing. Nothing failed.
    NotHandled,
}

impl Cause {
    /// Everything there is.
    pub const ALL: [Cause; 8] = [
        Cause::Refused,
        Cause::Overload,
        Cause::Timeout,
        Cause::Reset,
        Cause::Garbled,
        Cause::ServerError,
        Cause::Declined,
        Cause::NotHandled,
    ];

    /// Its name in metrics and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Refused => "refused",
            Cause::Overload => "overload",
            Cause::Timeout => "timeout",
            Cause::Reset => "reset",
            Cause::Garbled => "garbled",
            Cause::ServerError => "server-error",
            Cause::Declined => "declined",
            Cause::NotHandled => "not-handled",
        }
    }

    /// Whether Perl's answering for it is a fallback. What Rust does not do yet is Perl's by right, as
    /// if the phase had said so.
    pub const fn is_fallback(self) -> bool {
        !matches!(self, Cause::NotHandled)
    }

    /// Whether it speaks against Rust, for the [`Breaker`](crate::Breaker).
    pub const fn is_failure(self) -> bool {
        !matches!(self, Cause::NotHandled | Cause::Declined | Cause::Overload)
    }
}

/// What an answer says of what was touched (`pve-network-touched`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// Proof that nothing was.
    Nothing,
    /// Nothing was, and the answer is Proxmox's own refusal, which Perl would give as well.
    Refused,
    /// The operation is over, as the answer says.
    Done,
    /// It does not say.
    Silent,
}

/// What came of asking Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Not a byte was sent.
    NotSent(Cause),
    /// A whole answer.
    Answered {
        /// Its status.
        status: u16,
        /// Its proof.
        touched: Touched,
    },
    /// Something was sent, no whole answer came.
    Lost(Cause),
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Rust's answer goes to the client.
    PassOn,
    /// Perl is asked.
    Perl(Cause),
    /// Nobody is asked: Rust failed, nothing was touched, and there is to be no fallback (503).
    Fail(Cause),
    /// First find out what became of it.
    Fence(Cause),
    /// 504 `outcome unknown`, with the operation's id.
    Unknown(Cause),
}

/// What became of an operation, once it is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never began, and never will.
    NeverBegun,
    /// It is under way.
    Running,
    /// It is done; only its answer was lost.
    Done,
    /// It failed, and may have left something.
    Failed,
    /// It failed and was taken back.
    RolledBack,
    /// Nobody can say.
    Unknown,
}

impl Fate {
    /// Its name for clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fate::NeverBegun => "never-begun",
            Fate::Running => "running",
            Fate::Done => "done",
            Fate::Failed => "failed",
            Fate::RolledBack => "rolled-back",
            Fate::Unknown => "unknown",
        }
    }

    /// The fate of that name; what is not known is unknown.
    pub fn from_name(name: &str) -> Self {
        let all = [Fate::NeverBegun, Fate::Running, Fate::Done, Fate::Failed, Fate::RolledBack];
        all.into_iter().find(|fate| fate.as_str() == name).unwrap_or(Fate::Unknown)
    }
}

/// What follows an attempt. `fallback`: whether the operator lets Perl step in (`fallback_enabled`).
pub fn after_attempt(write: bool, attempt: Attempt, fallback: bool) -> Next {
    match attempt {
        Attempt::NotSent(cause) => step_in(cause, fallback),
        Attempt::Lost(cause) if write => Next::Fence(cause),
        Attempt::Lost(cause) => step_in(cause, fallback),
        Attempt::Answered { status: 200..500, .. } | Attempt::Answered { touched: Touched::Refused, .. } => {
            Next::PassOn
        }
        Attempt::Answered { status, touched } => {
            let cause = match (status, touched) {
                (501, _) => Cause::NotHandled,
                (503, Touched::Nothing) => Cause::Declined,
                (500.., _) => Cause::ServerError,
                _ => Cause::Garbled,
            };
            match touched {
                // Done and failed, as an apply that went back: its outcome is known and is the answer.
                Touched::Done if write => Next::PassOn,
                Touched::Silent if write => Next::Fence(cause),
                _ => step_in(cause, fallback),
            }
        }
    }
}

/// How much an answer to the fence is worth. "Never begun" is a proof only from the process that had received
/// the request (`same`), or once that process is gone (`dead`): another one speaks for itself alone.
pub fn proven(fate: Fate, same: bool, dead: bool) -> Fate {
    if fate == Fate::NeverBegun && !same && !dead { Fate::Unknown } else { fate }
}

/// What follows once an operation is fenced. Perl is asked only if it never began: one that was taken
/// back did touch the network, and what Rust took back for a reason is not for Perl to do again.
pub fn after_fence(cause: Cause, fate: Fate, fallback: bool) -> Next {
    match fate {
        Fate::NeverBegun => step_in(cause, fallback),
        Fate::Running | Fate::Done | Fate::Failed | Fate::RolledBack | Fate::Unknown => Next::Unknown(cause),
    }
}

fn step_in(cause: Cause, fallback: bool) -> Next {
    // What Rust does not do is Perl's, whether Perl may step in for failures or not.
    if fallback || !cause.is_fallback() { Next::Perl(cause) } else { Next::Fail(cause) }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
