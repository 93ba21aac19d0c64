use super::*;
use Attempt::{Answered, Lost, NotSent};

/// One attempt's row: for a read, for a write, and whether that is a fallback.
#[test]
fn the_table() {
    let answered = |status, touched| Answered { status, touched };
    use Cause::*;
    for (attempt, read, write) in [
        (NotSent(Refused), Next::Perl(Refused), Next::Perl(Refused)),
        (NotSent(Overload), Next::Perl(Overload), Next::Perl(Overload)),
        (Lost(Timeout), Next::Perl(Timeout), Next::Fence(Timeout)),
        (Lost(Reset), Next::Perl(Reset), Next::Fence(Reset)),
        (Lost(Garbled), Next::Perl(Garbled), Next::Fence(Garbled)),
        (answered(200, Touched::Done), Next::PassOn, Next::PassOn),
        (answered(200, Touched::Silent), Next::PassOn, Next::PassOn),
        (answered(400, Touched::Nothing), Next::PassOn, Next::PassOn),
        (answered(404, Touched::Silent), Next::PassOn, Next::PassOn),
        (answered(500, Touched::Refused), Next::PassOn, Next::PassOn),
        (answered(500, Touched::Nothing), Next::Perl(ServerError), Next::Perl(ServerError)),
        (answered(500, Touched::Silent), Next::Perl(ServerError), Next::Fence(ServerError)),
        (answered(500, Touched::Done), Next::Perl(ServerError), Next::PassOn),
        (answered(501, Touched::Nothing), Next::Perl(NotHandled), Next::Perl(NotHandled)),
        (answered(501, Touched::Silent), Next::Perl(NotHandled), Next::Fence(NotHandled)),
        (answered(503, Touched::Nothing), Next::Perl(Declined), Next::Perl(Declined)),
        (answered(503, Touched::Silent), Next::Perl(ServerError), Next::Fence(ServerError)),
        (answered(599, Touched::Silent), Next::Perl(ServerError), Next::Fence(ServerError)),
        (answered(101, Touched::Silent), Next::Perl(Garbled), Next::Fence(Garbled)),
    ] {
        assert_eq!(after_attempt(false, attempt, true), read, "{attempt:?}");
        assert_eq!(after_attempt(true, attempt, true), write, "{attempt:?}");
        for (is_write, with) in [(false, read), (true, write)] {
            let without = match with {
                Next::Perl(NotHandled) => with,
                Next::Perl(cause) => Next::Fail(cause),
                other => other,
            };
            assert_eq!(after_attempt(is_write, attempt, false), without, "{attempt:?} without fallback");
        }
    }
    for fate in [Fate::NeverBegun, Fate::Running, Fate::Done, Fate::Failed, Fate::RolledBack, Fate::Unknown] {
        let expected = if fate == Fate::NeverBegun { Next::Perl(Reset) } else { Next::Unknown(Reset) };
        assert_eq!(after_fence(Reset, fate, true), expected);
        let expected = if fate == Fate::NeverBegun { Next::Fail(Reset) } else { Next::Unknown(Reset) };
        assert_eq!(after_fence(Reset, fate, false), expected);
        assert_eq!(Fate::from_name(fate.as_str()), fate);
    }
    assert_eq!(Fate::from_name("on-holiday"), Fate::Unknown);
}
