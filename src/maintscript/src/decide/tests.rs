//! Every call of Debian Policy 6.5 to 6.8, in every situation that changes the answer.

use super::*;
use crate::call::Script;

fn steps(call: &str, now: Situation) -> String {
    let mut words = call.split_whitespace().map(|w| w.trim_matches('"').to_owned());
    let script = Script::from_name(&words.next().unwrap()).unwrap();
    let plan = decide(&Call::parse(script, &words.collect::<Vec<_>>()), now);
    let name = |step: &Step| {
        let debug = format!("{step:?}");
        debug.split([' ', '{']).next().unwrap_or_default().to_owned()
    };
    let mut out: Vec<String> =
        plan.steps.iter().map(|(s, e)| format!("{}{}", name(s), if *e == OnError::Fail { "!" } else { "" })).collect();
    if !plan.on_failure.is_empty() {
        out.push(format!("else {}", plan.on_failure.iter().map(name).collect::<Vec<_>>().join(" ")));
    }
    out.join(" ")
}

const NONE: Situation = Situation {
    transaction: None,
    successor: false,
    reconfigure: false,
    removal_pending: false,
    removal_begun: false,
    phase_pending: false,
    unfinished: false,
};

#[test]
fn every_call_of_policy_6_5_to_6_8() {
    let open = Situation { transaction: Some(Stage::Open), ..NONE };
    let failed = Situation { transaction: Some(Stage::Restored), ..NONE };
    let successor = Situation { successor: true, ..NONE };
    let reconfigure = Situation { reconfigure: true, ..NONE };
    let pending = Situation { removal_pending: true, removal_begun: true, ..NONE };
    let removing = Situation { removal_begun: true, ..NONE };
    let configured = "CheckFiles! Defaults! Unfence! Units! Remember! Close! Prune else TakeBack SafePhase";
    let removal = "Fence BeginRemoval SafePhase Stop GoBack";
    for (call, now, want) in [
        // 6.6 install and upgrade
        ("preinst install", NONE, "CheckControl! Finish Open!"),
        ("preinst install 1.0-1", NONE, "CheckControl! Finish Open!"),
        ("preinst install 1.0-1 1.1-1", NONE, "CheckControl! Finish Open!"),
        ("preinst upgrade 1.0-1 1.1-1", NONE, "CheckControl! Finish Open!"),
        ("preinst upgrade 1.0-1", open, "CheckControl! Finish TakeBack Open!"),
        ("preinst upgrade 1.0-1", failed, "CheckControl! Finish Open!"),
        ("preinst upgrade 1.0-1", reconfigure, "Finish Open!"),
        ("prerm upgrade 1.1-1", NONE, ""),
        ("prerm upgrade 1.1-1", successor, "Successor!"),
        ("prerm failed-upgrade 1.0-1 1.1-1", NONE, ""),
        ("prerm failed-upgrade 1.0-1 1.1-1", successor, ""),
        ("postrm upgrade 1.1-1", open, ""),
        ("postrm failed-upgrade 1.0-1 1.1-1", open, ""),
        ("postinst configure", open, &format!("Finish {configured}")),
        ("postinst configure 1.0-1", open, &format!("Finish {configured}")),
        ("postinst configure 1.0-1", NONE, &format!("Finish Open! {configured}")),
        ("postinst configure 1.0-1", failed, &format!("Finish Open! {configured}")),
        // the aborts
        ("preinst abort-upgrade 1.1-1", open, "Finish TakeBack Close"),
        ("postinst abort-upgrade 1.1-1", open, "Finish TakeBack Close"),
        ("postinst abort-upgrade 1.1-1", NONE, "Finish"),
        ("postrm abort-install", open, "Finish TakeBack Close"),
        ("postrm abort-install 1.0-1 1.1-1", open, "Finish TakeBack Close Settle"),
        ("postrm abort-install 1.0-1 1.1-1", NONE, "Finish Settle"),
        ("postrm abort-install \"\"", open, "Finish TakeBack Close"),
        ("postrm abort-upgrade 1.0-1 1.1-1", open, "Finish TakeBack Close"),
        ("postrm abort-upgrade 1.0-1 1.1-1", failed, "Finish Close"),
        ("postinst abort-remove", NONE, "Finish Unfence"),
        ("postinst abort-remove in-favour other 2.0", removing, "Finish UndoRemoval Unfence"),
        ("postinst abort-deconfigure in-favour other 2.0", NONE, ""),
        ("postinst abort-deconfigure in-favour other 2.0 removing third 1.0", NONE, ""),
        // 6.8 remove and purge, 6.6 conflicts and deconfiguration
        ("prerm remove", NONE, &format!("Finish {removal}")),
        ("prerm remove in-favour other 2.0", NONE, &format!("Finish {removal}")),
        ("prerm remove", open, &format!("Finish TakeBack Close {removal}")),
        ("prerm remove", failed, &format!("Finish Close {removal}")),
        ("prerm deconfigure in-favour other 2.0", NONE, ""),
        ("prerm deconfigure in-favour other 2.0 removing third 1.0", NONE, ""),
        ("postrm remove", removing, "Finish Reload"),
        // unpacked and never configured, so prerm was not asked
        ("postrm remove", Situation { removal_pending: true, ..open }, &format!("Finish TakeBack Close {removal} Reload")),
        ("postrm remove", Situation { removal_pending: true, ..failed }, &format!("Finish Close {removal} Reload")),
        ("postrm purge", Situation { removal_pending: true, ..NONE }, &format!("Finish {removal} Purge Reload")),
        ("postrm remove", pending, "Finish GoBack Reload"),
        ("postrm remove", Situation { phase_pending: true, ..removing }, "Finish SafePhase Reload"),
        ("preinst upgrade 1.0-1", Situation { unfinished: true, ..NONE }, "CheckControl! Finish TakeBack Open!"),
        ("prerm remove", Situation { unfinished: true, ..NONE }, &format!("Finish TakeBack {removal}")),
        ("postrm purge", NONE, "Finish Purge Reload"),
        ("postrm purge", pending, "Finish GoBack Purge Reload"),
        ("postrm disappear other 2.0", NONE, ""),
        ("postinst triggered /usr/lib/x", NONE, ""),
        // empty versions, as dpkg passes them
        ("postinst configure \"\"", open, &format!("Finish {configured}")),
        // calls that dpkg may grow, and calls of the wrong script
        ("preinst", NONE, "Unknown"),
        ("preinst remove", NONE, "Unknown"),
        ("postinst purge", NONE, "Unknown"),
        ("prerm configure", NONE, "Unknown"),
        ("postrm install", NONE, "Unknown"),
        ("postinst hibernate now", NONE, "Unknown"),
    ] {
        assert_eq!(steps(call, now), want, "{call} {now:?}");
    }
}

#[test]
fn no_removal_can_fail_and_no_abort_either() {
    for call in [Call::Remove, Call::Removed, Call::Purge, Call::Abort, Call::AbortReinstall, Call::AbortRemove, Call::Unknown, Call::Nothing]
    {
        for bits in 0..=255u8 {
            let now = Situation {
                transaction: [None, Some(Stage::Open), Some(Stage::Restored)][usize::from(bits % 3)],
                successor: bits & 4 != 0,
                reconfigure: bits & 8 != 0,
                removal_pending: bits & 16 != 0,
                removal_begun: bits & 32 != 0,
                phase_pending: bits & 64 != 0,
                unfinished: bits & 128 != 0,
            };
            assert!(decide(&call, now).steps.iter().all(|(_, e)| *e == OnError::Say), "{call:?} {now:?}");
        }
    }
}
