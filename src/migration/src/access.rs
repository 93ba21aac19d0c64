//! Whom Rust may answer. Nobody but Perl can check a ticket or a token, so Perl is asked what a caller
//! may do; and whoever can't be shown to be allowed is not refused here, but sent to Perl, whose refusal
//! is then the right one to the letter.
//!
//! One thing Perl can't be asked: whether the `CSRFPreventionToken` of a write belongs to the ticket.
//! It is checked here by the rule of Proxmox's `PVE::Ticket`: `TIME:MAC`, the MAC being HMAC-SHA-256 over
//! `TIME:USER`, keyed with the Base64 text of an HMAC-SHA-256 over nothing, keyed with `/etc/pve/pve-www.key`
//! (Perl's `Digest::SHA` takes a lone argument for the key).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::Operation;

/// The cookie, and word in `Authorization`, of Proxmox's tickets.
const TICKET: &str = "PVEAuthCookie";

/// The word of API tokens in `Authorization`.
const TOKEN: &str = "PVEAPIToken";

/// How long before and after its time a CSRF token is good, in seconds: clocks of two nodes may
/// differ, a ticket lives for two hours.
const CSRF_AGE: std::ops::Range<i64> = -299..7200;

/// What a request carries to say who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A ticket of this user, as far as it says itself.
    Ticket(String),
    /// An API token.
    Token,
    /// Something that is not one of these for certain: Perl may make of it what it will.
    Unclear,
}

/// Reads the values of all `Cookie` and all `Authorization` fields.
pub fn credential(cookies: &[&[u8]], authorizations: &[&[u8]]) -> Credential {
    if cookies.len() > 1 || authorizations.len() > 1 {
        return Credential::Unclear;
    }
    let text = |values: &[&[u8]]| std::str::from_utf8(values.first().unwrap_or(&&b""[..])).map(str::to_owned);
    let (Ok(cookie), Ok(authorization)) = (text(cookies), text(authorizations)) else {
        return Credential::Unclear;
    };
    let tickets = cookie.matches(TICKET).count() + authorization.matches(TICKET).count();
    match tickets {
        0 if authorization.is_empty() => Credential::None,
        0 if authorization.starts_with(TOKEN) => Credential::Token,
        0 => Credential::Unclear,
        1 => {
            let value = [&cookie, &authorization].into_iter().find_map(|field| {
                let pairs = field.split(';').map(str::trim);
                pairs.filter_map(|pair| pair.strip_prefix(TICKET)?.strip_prefix('=')).next()
            });
            value.and_then(user).map_or(Credential::Unclear, Credential::Ticket)
        }
        _ => Credential::Unclear,
    }
}

/// The user in a ticket: `PVE:USER:TIME::SIGNATURE`, percent-escaped as a browser sends it.
fn user(ticket: &str) -> Option<String> {
    let ticket = ticket.replace("%3A", ":").replace("%3a", ":").replace("%40", "@");
    let (head, _) = ticket.strip_prefix("PVE:")?.split_once("::")?;
    let (user, time) = head.rsplit_once(':')?;
    let plain = |b: u8| b.is_ascii_graphic() && !b"%:!".contains(&b);
    let good = time.len() == 8 && time.bytes().all(|b| b.is_ascii_hexdigit());
    (good && user.contains('@') && user.bytes().all(plain)).then(|| user.to_owned())
}

/// Whether a `CSRFPreventionToken` is this user's; `key` is the content of `/etc/pve/pve-www.key`, `now`
/// the seconds since the epoch.
pub fn csrf_is_good(key: &[u8], user: &str, token: &str, now: i64) -> bool {
    let Some((time, mac)) = token.split_once(':') else { return false };
    let upper = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    let (8, true, Ok(seconds)) = (time.len(), time.bytes().all(upper), i64::from_str_radix(time, 16)) else {
        return false;
    };
    let Ok(mac) = STANDARD_NO_PAD.decode(mac) else { return false };
    let secret = STANDARD_NO_PAD.encode(hmac(key, b"").finalize().into_bytes());
    // verify_slice compares in constant time.
    let good = hmac(secret.as_bytes(), format!("{time}:{user}").as_bytes()).verify_slice(&mac).is_ok();
    good && CSRF_AGE.contains(&(now - seconds))
}

fn hmac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(data);
    mac
}

/// A privilege that Perl has to vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Proxmox's access control path.
    pub path: String,
    /// Any of these privileges.
    pub any: &'static [&'static str],
    /// Whether it has to hold for everything below as well.
    pub below: bool,
}

/// What a caller needs for Rust to answer. For the node's network these are Proxmox's own rules; a list,
/// from which Proxmox leaves out bridges that the caller may not see, is Rust's only for callers who
/// may see them all. For the SDN, whose objects each have rules, they are stricter.
pub fn needs(operation: Operation, node: &str) -> Vec<Need> {
    let need = |path: &str, any, below| Need { path: path.to_owned(), any, below };
    let this = format!("/nodes/{node}");
    match operation {
        Operation::List => {
            vec![need(&this, &["Sys.Audit"], false), need("/sdn/zones/localnetwork", &["SDN.Audit", "SDN.Use"], true)]
        }
        Operation::Get => vec![need(&this, &["Sys.Audit"], false)],
        Operation::SdnRead => vec![need("/sdn", &["SDN.Audit"], true)],
        Operation::SdnWrite => vec![need("/sdn", &["SDN.Allocate"], true)],
        Operation::Create | Operation::Update | Operation::Delete | Operation::Revert | Operation::Reload => {
            vec![need(&this, &["Sys.Modify"], false)]
        }
    }
}

/// Whether Perl's answer to `GET /access/permissions?path=PATH` grants it: an object of paths, each an
/// object of privileges, whose values say whether they hold below.
pub fn grants(answer: &[u8], need: &Need) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return false };
    let granted = &answer["data"][&need.path];
    need.any.iter().any(|privilege| match granted.get(*privilege) {
        None | Some(Value::Null) => false,
        Some(value) => !need.below || value == 1 || value == "1" || value == &Value::Bool(true),
    })
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
