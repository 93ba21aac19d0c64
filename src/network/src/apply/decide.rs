//! What is to be done about an apply that is under way. Pure.
//!
//! ```text
//!            the one that applies ──┐
//!   facts ─► its guardian         ──┼─► wait, confirm, go back, kill, leave
//!            whoever comes by     ──┘
//! ```
//!
//! Only who holds the turn (`apply.lock`) moves an apply on; the guardian gets it when the one that applies
//! has died.

use super::record::{State, Wish};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The process that applies; it has the turn.
    Applier,
    /// The process that watches over it.
    Guardian,
    /// A later command, or the next boot.
    Visitor,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// How far it is.
    pub state: State,
    /// Whether we have the turn: then nobody else is at work.
    pub turn: bool,
    /// Whether the guardian lives.
    pub guarded: bool,
    /// Whether the machine was booted since.
    pub rebooted: bool,
    /// Milliseconds until whoever is at work is overdue; negative afterwards.
    pub left_ms: i64,
    /// Whether the package is being removed.
    pub fenced: bool,
    /// Whether the files are still what was written, and the journal has it open.
    pub intact: bool,
    /// What a person wants.
    pub wish: Option<Wish>,
}

/// Why it goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody confirmed in time.
    Unconfirmed,
    /// A person wants it.
    Asked,
    /// The process that applied is gone.
    Killed,
    /// The process that applied is stuck.
    Stuck,
    /// The guardian is gone.
    Unguarded,
    /// The machine was booted.
    PowerCut,
    /// The package is being removed.
    Removed,
    /// Somebody changed the files meanwhile.
    Foreign,
}

impl Why {
    /// For a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unconfirmed => "nobody confirmed it in time",
            Self::Asked => "somebody asked for it",
            Self::Killed => "the pvenet that applied it was ended",
            Self::Stuck => "the pvenet that applied it did not get on and was ended",
            Self::Unguarded => "its guardian was ended",
            Self::PowerCut => "the machine went down before it was confirmed",
            Self::Removed => "the package is being removed",
            Self::Foreign => "its files were changed or taken back by somebody else",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Look again soon.
    Wait,
    /// It stays.
    Confirm,
    /// It goes back.
    Back(Why),
    /// End the process that applies, which holds the turn and is overdue.
    Kill,
    /// It is over, or in good hands.
    Leave,
}

/// How long the guardian lets an overdue applier go on: it takes itself back first. In milliseconds.
pub const GRACE_MS: i64 = 5_000;

/// What `who` does.
pub fn decide(who: Who, now: &Facts) -> Move {
    if now.state.is_end() {
        return Move::Leave;
    }
    if !now.turn {
        return match who {
            // In good hands.
            Who::Visitor | Who::Applier => Move::Leave,
            Who::Guardian if now.left_ms < -GRACE_MS => Move::Kill,
            Who::Guardian => Move::Wait,
        };
    }
    if who != Who::Applier || now.state == State::RollingBack {
        return Move::Back(if now.rebooted {
            Why::PowerCut
        } else if now.fenced {
            Why::Removed
        } else if now.left_ms < -GRACE_MS && who == Who::Guardian {
            Why::Stuck
        } else {
            Why::Killed
        });
    }
    if now.fenced {
        return Move::Back(Why::Removed);
    }
    if !now.intact {
        return Move::Back(Why::Foreign);
    }
    if now.wish == Some(Wish::RollBack) {
        return Move::Back(Why::Asked);
    }
    if !now.guarded {
        return Move::Back(Why::Unguarded);
    }
    match now.state {
        State::Waiting if now.left_ms <= 0 => Move::Back(Why::Unconfirmed),
        State::Waiting if now.wish == Some(Wish::Confirm) => Move::Confirm,
        _ => Move::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Facts = Facts {
        state: State::Waiting,
        turn: true,
        guarded: true,
        rebooted: false,
        left_ms: 1000,
        fenced: false,
        intact: true,
        wish: None,
    };

    #[test]
    fn the_table() {
        use Move::{Back, Confirm, Kill, Leave, Wait};
        use Who::{Applier, Guardian, Visitor};
        let yes = Some(Wish::Confirm);
        let no = Some(Wish::RollBack);
        for (who, facts, expected) in [
            (Applier, CALM, Wait),
            (Applier, Facts { wish: yes, ..CALM }, Confirm),
            (Applier, Facts { wish: no, ..CALM }, Back(Why::Asked)),
            (Applier, Facts { left_ms: 0, ..CALM }, Back(Why::Unconfirmed)),
            // Too late is too late.
            (Applier, Facts { left_ms: 0, wish: yes, ..CALM }, Back(Why::Unconfirmed)),
            // Nothing is confirmed that was not checked.
            (Applier, Facts { state: State::Checked, wish: yes, ..CALM }, Wait),
            (Applier, Facts { state: State::Reloaded, wish: no, ..CALM }, Back(Why::Asked)),
            (Applier, Facts { fenced: true, wish: yes, ..CALM }, Back(Why::Removed)),
            (Applier, Facts { intact: false, wish: yes, ..CALM }, Back(Why::Foreign)),
            (Applier, Facts { guarded: false, wish: yes, ..CALM }, Back(Why::Unguarded)),
            (Guardian, Facts { turn: false, ..CALM }, Wait),
            (Guardian, Facts { turn: false, left_ms: -1, ..CALM }, Wait),
            (Guardian, Facts { turn: false, left_ms: -GRACE_MS - 1, ..CALM }, Kill),
            (Guardian, CALM, Back(Why::Killed)),
            // A wish that nobody was there to grant is not granted by the guardian.
            (Guardian, Facts { wish: yes, ..CALM }, Back(Why::Killed)),
            (Guardian, Facts { fenced: true, ..CALM }, Back(Why::Removed)),
            (Guardian, Facts { left_ms: -GRACE_MS - 1, ..CALM }, Back(Why::Stuck)),
            (Guardian, Facts { state: State::Armed, ..CALM }, Back(Why::Killed)),
            (Visitor, Facts { turn: false, ..CALM }, Leave),
            (Visitor, CALM, Back(Why::Killed)),
            (Visitor, Facts { rebooted: true, guarded: false, ..CALM }, Back(Why::PowerCut)),
            (Visitor, Facts { state: State::RollingBack, guarded: false, ..CALM }, Back(Why::Killed)),
        ] {
            assert_eq!(decide(who, &facts), expected, "{who:?} {facts:?}");
        }
    }

    #[test]
    fn only_the_one_that_applies_confirms_and_only_what_waits_in_time_and_is_sound() {
        let bools = [false, true];
        let wishes = [None, Some(Wish::Confirm), Some(Wish::RollBack)];
        let mut seen = 0;
        for who in [Who::Applier, Who::Guardian, Who::Visitor] {
            for state in State::ALL {
                for bits in 0..32u8 {
                    let bit = |n: u8| bools[usize::from(bits >> n & 1)];
                    for left_ms in [-GRACE_MS - 1, -1, 0, 1] {
                        for wish in wishes {
                            let facts = Facts {
                                state,
                                turn: bit(0),
                                guarded: bit(1),
                                rebooted: bit(2),
                                fenced: bit(3),
                                intact: bit(4),
                                left_ms,
                                wish,
                            };
                            let done = decide(who, &facts);
                            if done == Move::Confirm {
                                seen += 1;
                                let sound = facts.turn && facts.guarded && facts.intact && !facts.fenced && left_ms > 0;
                                assert!(who == Who::Applier && state == State::Waiting && sound, "{facts:?}");
                            }
                            if matches!(done, Move::Back(_)) {
                                assert!(facts.turn && !state.is_end(), "{who:?} {facts:?}");
                            }
                            // What is open and in nobody's hands never stays.
                            if facts.turn && who != Who::Applier && !state.is_end() {
                                assert!(matches!(done, Move::Back(_)), "{who:?} {facts:?}");
                            }
                        }
                    }
                }
            }
        }
        assert!(seen > 0);
    }
}
