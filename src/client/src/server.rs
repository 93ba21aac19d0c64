//! Whom to ask, and how it is reached.

use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::Tls;

/// A server, by the name that errors call it.
#[derive(Clone)]
pub struct Server {
    name: String,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Socket(PathBuf),
}

impl Server {
    /// At a name or address; that of IPv6 with or without its brackets. With TLS, `host` is whose certificate it has to show.
    pub fn at(name: impl Into<String>, host: &str, port: u16, tls: Option<Tls>) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        Self { name: name.into(), way: Way::Tcp { host, port, tls } }
    }

    /// At a socket of this host, by whose path it is called.
    pub fn socket(path: &Path) -> Self {
        Self { name: path.display().to_string(), way: Way::Socket(path.to_owned()) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks, and reads an answer of at most `length` bytes, whatever its status. The request's address is path and query.
    ///
    /// # Errors
    /// It can't be reached, is another than its certificate has to say, breaks off, or says more.
    pub async fn ask(&self, mut request: Request<Bytes>, length: usize) -> Result<Response<Bytes>> {
        let reach = || format!("cannot reach {}", self.name);
        if let Ok(value) = HeaderValue::from_str(&self.authority()) {
            request.headers_mut().insert(HOST, value);
        }
        match &self.way {
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).await.doing(reach)?;
                self.talk(stream, request, length).await
            }
            Way::Tcp { host, port, tls: None } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.doing(reach)?;
                self.talk(stream, request, length).await
            }
            Way::Tcp { host, port, tls: Some(tls) } => {
                let theirs = ServerName::try_from(host.clone()).map_err(|e| Error::new(format!("{host}: {e}")))?;
                let stream = TcpStream::connect((host.as_str(), *port)).await.doing(reach)?;
                let stream = tls.connector().connect(theirs, stream).await.doing(reach)?;
                self.talk(stream, request, length).await
            }
        }
    }

    /// What a request calls it (RFC 9112, 3.2).
    fn authority(&self) -> String {
        match &self.way {
            Way::Socket(_) => "localhost".to_owned(),
            Way::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Way::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    async fn talk<S>(&self, stream: S, request: Request<Bytes>, length: usize) -> Result<Response<Bytes>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |e: &dyn std::fmt::Display| Error::new(format!("{} broke off: {e}", self.name));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
        // Ends the connection when it is dropped, also where nobody waits for the answer any longer.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let response = sender.send_request(request.map(Full::new)).await.map_err(|e| failed(&e))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, length).collect().await.map_err(|e| failed(&e))?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use pveproxy::{Authority, Perl};

    use super::*;
    use crate::{StatusCode, Unusable, run, within};

    const LENGTH: usize = 64;

    fn ask(server: &Server, path: &str) -> Result<Response<Bytes>> {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        run(within(Duration::from_secs(1), "it", server.ask(request, LENGTH)))
    }

    fn why(server: &Server) -> String {
        ask(server, "/").err().map(|e| e.to_string()).unwrap_or_default()
    }

    /// Who connects is told this, whatever is asked, and what was asked is told us.
    fn answering(mut stream: impl Read + Write, answer: &str) -> String {
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    }

    fn tcp(answer: &'static str) -> (Server, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::at("the test", "127.0.0.1", listener.local_addr().unwrap().port(), None);
        (server, std::thread::spawn(move || answering(listener.accept().unwrap().0, answer)))
    }

    #[test]
    fn an_answer_comes_whole_whatever_its_status() {
        let (server, asked) = tcp("HTTP/1.1 501 No\r\nx: y\r\ncontent-length: 4\r\n\r\nleft");
        let answer = ask(&server, "/a?b=c").unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
        assert_eq!((&answer.headers()["x"], &answer.body()[..]), (&HeaderValue::from_static("y"), &b"left"[..]));
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\n") && asked.contains("host: 127.0.0.1:"), "{asked}");
    }

    #[test]
    fn a_socket_is_called_localhost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let server = Server::socket(&path);
        assert_eq!(why(&server), format!("cannot reach {}: No such file or directory", path.display()));
        let listener = UnixListener::bind(&path).unwrap();
        let asked = std::thread::spawn(move || {
            answering(listener.accept().unwrap().0, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        });
        assert_eq!(ask(&server, "/").unwrap().status(), StatusCode::OK);
        assert!(asked.join().unwrap().contains("host: localhost\r\n"));
    }

    #[test]
    fn an_address_of_ipv6_has_brackets_in_a_request_alone() {
        for host in ["::1", "[::1]"] {
            let server = Server::at("it", host, 80, None);
            assert_eq!(server.authority(), "[::1]:80");
            assert!(matches!(&server.way, Way::Tcp { host, .. } if host == "::1"));
        }
    }

    #[test]
    fn what_is_too_long_or_half_or_late_is_no_answer() {
        let long = "HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n\
            0123456789012345678901234567890123456789012345678901234567890123x";
        for answer in [long, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", ""] {
            let why = why(&tcp(answer).0);
            assert!(why.starts_with("the test broke off: "), "{why}");
        }
        // Nobody accepts.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::at("silence", "127.0.0.1", silent.local_addr().unwrap().port(), None);
        assert_eq!(why(&server), "it has not answered for 1 s");
    }

    #[test]
    fn nobody_is_asked_whom_our_certificates_do_not_vouch_for() {
        let folder = tempfile::tempdir().unwrap();
        let trusting = |authority: &Authority| {
            let file = folder.path().join("ca.pem");
            std::fs::write(&file, authority.pem()).unwrap();
            Tls::trusting(&file, Unusable::Refused).unwrap()
        };
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let perl = Perl::start(&ours.sign("127.0.0.1"));
        let at = |tls| Server::at("Perl", "127.0.0.1", perl.address.port(), Some(tls));
        // It was asked, by somebody whom it does not know.
        assert_eq!(ask(&at(trusting(&ours)), "/api2/json/x").unwrap().status(), StatusCode::UNAUTHORIZED);
        let why = why(&at(trusting(&theirs)));
        assert!(why.starts_with("cannot reach Perl: "), "{why}");
        let other = Perl::start(&ours.sign("127.0.0.2"));
        let why = ask(&Server::at("Perl", "127.0.0.1", other.address.port(), Some(trusting(&ours))), "/").err();
        assert!(why.is_some_and(|e| e.to_string().starts_with("cannot reach Perl: ")));
        assert_eq!((perl.came().len(), other.came().len()), (1, 0));
    }
}
