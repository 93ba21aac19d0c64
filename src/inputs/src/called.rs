//! How dpkg calls a script: its arguments and environment, which anybody can imitate.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use host::Root;
use maintscript::call::{Call, Invocation};
use maintscript::context::{admindir, identify};
use maintscript::decide::{OnError, Situation, Step, decide};

/// Fields separated by NUL: what is on disk (a byte of flags), `DPKG_MAINTSCRIPT_NAME`, argv\[0\], `DPKG_ROOT`,
/// `DPKG_ADMINDIR`, arguments.
pub fn call(bytes: &[u8]) {
    let mut fields = bytes.split(|b| *b == 0).map(|f| OsString::from_vec(f.to_vec()));
    let mut next = || fields.next().unwrap_or_default();
    let flags = next().as_encoded_bytes().first().copied().unwrap_or_default();
    let (name, executable, root, told) = (next(), PathBuf::from(next()), next(), next());
    let root = if root.is_empty() { Root::system() } else { Root::at(PathBuf::from(root)) };
    let database = admindir(&root, Some(told));
    assert!(database.starts_with(root.base()), "{database:?} lies in the root");
    let Ok((script, _)) = identify(&name.to_string_lossy(), &executable) else { return };
    let called = executable.file_name().unwrap_or_default().to_string_lossy();
    assert!(called.ends_with(script.name()), "{called:?} is {script:?}");
    let arguments: Vec<String> = fields.map(|a| a.to_string_lossy().into_owned()).collect();
    let call = Call::parse(script, &arguments);
    let said = Invocation { script, arguments }.to_string();
    assert!(!said.contains('\n'), "one line in journals and messages: {said:?}");
    let bit = |n: u8| flags & (1 << n) != 0;
    let plan = decide(
        &call,
        Situation {
            transaction: bit(0).then_some(if bit(1) { history::Stage::Open } else { history::Stage::Restored }),
            successor: bit(2),
            reconfigure: bit(3),
            removal_pending: bit(4),
            removal_begun: bit(5),
            phase_pending: bit(6),
            unfinished: bit(7),
        },
    );
    let never_fails =
        !matches!(call, Call::Install { .. } | Call::Upgrade { .. } | Call::Configure { .. } | Call::Replace { .. });
    if never_fails {
        assert!(plan.steps.iter().all(|(_, on_error)| *on_error == OnError::Say), "{call:?} never fails");
        assert!(plan.on_failure.is_empty());
    }
    match call {
        Call::Unknown => assert_eq!(plan.steps, [(Step::Unknown, OnError::Say)]),
        Call::Nothing | Call::Triggered | Call::AbortDeconfigure => assert_eq!(plan.steps, []),
        _ => assert_eq!(plan.steps.iter().filter(|(s, _)| *s == Step::Purge).count(), usize::from(call == Call::Purge)),
    }
}
