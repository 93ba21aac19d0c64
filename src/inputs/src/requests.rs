//! What callers of the network API send: methods, targets, cookies, form bodies.

use migration::access::{Credential, credential, csrf_is_good};
use migration::route::{Route, by_type, for_daemon, form_value};
use migration::{Operation, route};

/// Fields separated by NUL: method, target, `Cookie`, `CSRFPreventionToken`, form body.
pub fn request(bytes: &[u8]) {
    let mut fields = bytes.splitn(5, |b| *b == 0);
    let mut next = || fields.next().unwrap_or_default();
    let (method, target) = (String::from_utf8_lossy(next()), String::from_utf8_lossy(next()));
    let (cookie, token, form) = (next(), next(), next());
    if let Route::Network(found) = route(&method, &target, "pve1") {
        let path = target.split('?').next().unwrap_or_default();
        let sdn = matches!(found.operation, Operation::SdnRead | Operation::SdnWrite);
        let begins = if sdn { "/api2/json/cluster/sdn" } else { "/api2/json/nodes/pve1/network" };
        assert!(for_daemon(&target).starts_with(begins), "{path} is {found:?}");
        let dots = path.split('/').any(|part| matches!(part, "." | ".."));
        assert!(!path.contains("//") && !path.contains('%') && !dots, "{path} is written plainly");
        assert_eq!(method == "GET", !found.operation.is_write(), "{method} {path}");
        assert_eq!(found.what.is_write(), found.operation.is_write(), "{method} {path}");
    }
    if let Credential::Ticket(user) = credential(&[cookie], &[]) {
        assert!(user.contains('@') && !user.contains(':'), "{user}");
        let token = String::from_utf8_lossy(token);
        let _ = csrf_is_good(b"0123456789abcdef", &user, &token, 0x65A1_B2C3);
    }
    if let Some(kind) = form_value(form, "type") {
        assert!(!kind.contains(['&', '=', '%']), "{kind}");
    }
    let _ = by_type(form_value(form, "type"));
}
