//! Heads of requests and answers: what of them is passed on, and which ones are not.

use std::net::IpAddr;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};

use super::access::Peer;
use super::answer::{Body, strip};
use super::perl::NoAnswer;

/// Perl's answer as it is, without what belongs to the connection to it.
pub(super) fn relayed(answer: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    strip(&mut parts.headers);
    Response::from_parts(parts, body.map_err(Into::into).boxed())
}

/// The status that says so, as a gateway does.
pub(super) fn gateway(why: NoAnswer) -> StatusCode {
    match why {
        NoAnswer::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// Tells pveproxy who asks: it believes this from addresses in its PROXY_REAL_IP_ALLOW_FROM only. What a
/// client says of itself is not passed on.
pub(super) fn forwarded(headers: &mut HeaderMap, peer: Peer) {
    for name in ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-forwarded-proto"] {
        headers.remove(name);
    }
    let address: Option<IpAddr> = match peer {
        Peer::Other(address) => address,
        Peer::Root => None,
    };
    if let Some(value) = address.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
        headers.insert("x-forwarded-for", value.clone());
        headers.insert("x-real-ip", value);
    }
}

/// A target without scheme and authority, as an origin is asked.
pub(super) fn path_and_query(uri: &hyper::Uri) -> hyper::Uri {
    uri.path_and_query().and_then(|p| p.as_str().parse().ok()).unwrap_or_default()
}

/// Whether a body is what the daemon reads: a form, or nothing.
pub(super) fn is_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    body.is_empty() || kind.is_empty() || kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// What no honest client sends, and what two servers may understand differently (RFC 9112, 11.2).
pub(super) fn framing(headers: &HeaderMap) -> Result<(), &'static str> {
    let many = |name| headers.get_all(name).iter().count();
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err("a request must not have both Content-Length and Transfer-Encoding");
    }
    if many(TRANSFER_ENCODING) > 1 || many(CONTENT_LENGTH) > 1 || many(HOST) > 1 {
        return Err("Host, Content-Length and Transfer-Encoding may stand there once");
    }
    Ok(())
}
