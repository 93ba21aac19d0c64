//! ifreload(8), and orders to the kernel.

use std::time::{Duration, Instant};

use host::{Command, Error, Result};

use super::mend::{self, Order};
use super::wanted::Wanted;
use crate::kernel::{Hand, Kernel};

/// How long ifreload may take, in seconds; a hook of its own that hangs is ended with it.
pub const PATIENCE: u64 = 120;

/// How ifupdown2 says that another instance of it is at work.
const BUSY: i32 = 89;

/// How long a guest may be without its bridge.
const PAUSE: Duration = Duration::from_millis(50);

/// How many lines of what it says are repeated.
const LINES: usize = 3;

/// The same where nothing failed: a file with a fault in each of its stanzas is no reason to fill the journal.
const WARNINGS: usize = 20;

/// Runs it. Its own time limit (timeout(1)) holds also when we are killed meanwhile. Returns what it complained of
/// although it ended well: ifupdown2 lets it pass when a command such as `post-up` fails.
///
/// # Errors
/// It is not installed, fails, or does not end in time; with what it said.
fn run() -> Result<Vec<String>> {
    if Command::new("ifreload").find().is_none() {
        return Err(Error::new("cannot run ifreload: it is not installed; it comes with package ifupdown2"));
    }
    let patience = Duration::from_secs(PATIENCE);
    let limit = PATIENCE.to_string();
    let command = Command::new("timeout")
        .args(["--kill-after=2", &limit, "ifreload", "-a"])
        .patience(patience + Duration::from_secs(10));
    let begin = Instant::now();
    loop {
        let out = command.run()?;
        match out.code {
            Some(0) => return Ok(complaints(&out.stderr)),
            Some(BUSY) if begin.elapsed() < patience => std::thread::sleep(Duration::from_millis(100)),
            Some(124 | 137) => {
                return Err(Error::new(format!("ifreload -a did not end within {PATIENCE} s and was ended")));
            }
            code => {
                let how = code.map_or_else(|| "was killed".to_owned(), |code| format!("failed with exit code {code}"));
                return Err(Error::new(format!("ifreload -a {how}: {}", reason(&out.stderr))));
            }
        }
    }
}

/// Runs it, and gives guests' ports their bridge back the moment that ifupdown2 takes it, rather than when it has
/// seen to all the others. Returns how it ended and what was given back.
pub(super) fn run_and_mend(old: &Wanted, new: &Wanted, before: &Kernel) -> (Result<Vec<String>>, Vec<Order>) {
    let guests = !mend::lost_ports(old, new, before, &without_masters(before)).is_empty();
    let mut mended = Vec::new();
    let done = std::thread::scope(|scope| {
        let reload = scope.spawn(run);
        while guests && !reload.is_finished() {
            std::thread::sleep(PAUSE);
            // What can't be done now is tried again afterwards, and told then.
            if let Ok(now) = Kernel::links() {
                let orders = mend::lost_ports(old, new, before, &now);
                if carry_out(&orders, before).is_ok_and(|failed| failed.is_empty()) {
                    mended.extend(orders);
                }
            }
        }
        reload.join().unwrap_or_else(|_| Err(Error::new("ifreload could not be waited for")))
    });
    (done, mended)
}

/// As if every port had lost its bridge.
pub(super) fn without_masters(kernel: &Kernel) -> Kernel {
    let mut out = kernel.clone();
    out.devices.values_mut().for_each(|device| device.master = None);
    out
}

/// Its `error:` and `warning:` lines.
fn complaints(stderr: &str) -> Vec<String> {
    let all = stderr.lines().map(str::trim).filter(|l| l.starts_with("error:") || l.starts_with("warning:"));
    all.take(WARNINGS).map(|line| format!("ifreload: {line}")).collect()
}

/// Its last `error:` lines, or else its last lines.
fn reason(stderr: &str) -> String {
    let said: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let errors: Vec<&str> = said.iter().copied().filter(|l| l.starts_with("error:")).collect();
    let lines = if errors.is_empty() { said } else { errors };
    match lines.as_slice() {
        [] => "it gave no reason".to_owned(),
        lines => lines[lines.len().saturating_sub(LINES)..].join("; "),
    }
}

/// Carries orders out; what could not be done, a line each.
pub(super) fn carry_out(orders: &[Order], before: &Kernel) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    if orders.is_empty() {
        return Ok(failed);
    }
    let mut hand = Hand::open()?;
    for order in orders {
        // Anew for each: one order may change what the next one finds.
        let now = Kernel::read()?;
        if let Err(error) = one(&mut hand, order, before, &now) {
            failed.push(format!("could not have {order}: {error}"));
        }
    }
    Ok(failed)
}

fn one(hand: &mut Hand, order: &Order, before: &Kernel, now: &Kernel) -> Result<()> {
    let device = |name: &str| now.devices.get(name).ok_or_else(|| Error::new(format!("{name} is not there")));
    match order {
        Order::Delete(name) => hand.delete(device(name)?),
        Order::Enslave(port, master) => {
            hand.enslave(device(port)?, device(master)?)?;
            let had =
                before.devices.get(port).filter(|d| d.master.as_ref() == Some(master)).map(|d| d.vlans.as_slice());
            // A bridge that knows no VLANs has none to give back; one that does gave the port its default.
            match had.filter(|vlans| !vlans.is_empty()) {
                Some(vlans) => {
                    let now = Kernel::read()?;
                    now.devices.get(port).map_or(Ok(()), |port| hand.set_vlans(port, vlans))
                }
                None => Ok(()),
            }
        }
        Order::Release(port) => hand.release(device(port)?),
        Order::Up(name, up) => hand.set_up(device(name)?, *up),
        Order::Mtu(name, mtu) => hand.set_mtu(device(name)?, *mtu),
        Order::Address(name, address, add) => hand.set_address(device(name)?, *address, *add),
        Order::Route(route, add) => hand.set_default(device(&route.device)?, route, *add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ifreload_says_is_reduced_to_its_errors() {
        assert_eq!(reason("warning: a\nerror: b\nerror: c\n"), "error: b; error: c");
        assert_eq!(reason("a\n\nb\n"), "a; b");
        assert_eq!(reason(""), "it gave no reason");
        assert_eq!(complaints("x\nwarning: a\n error: b\n"), ["ifreload: warning: a", "ifreload: error: b"]);
        assert_eq!(complaints(&"error: b\n".repeat(100)).len(), WARNINGS);
    }
}
