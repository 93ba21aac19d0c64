//! A client that does what a browser does before Proxmox's web interface: TLS by the cluster's authority, one
//! connection that is kept for many requests, its cookies with each of them, and a websocket.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

/// Long enough for a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// One kept connection.
pub struct Browser<S = Tls> {
    stream: S,
    host: String,
    cookies: String,
    /// What was read and belongs to the next answer.
    ahead: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// By their names in small letters.
    pub headers: HashMap<String, String>,
    /// All of it.
    pub body: String,
}

impl Page {
    /// The value of a header; nothing if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Its body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Browser {
    /// Connects to `address` as to `host`, whose certificate `authority` (PEM) has to have signed.
    ///
    /// # Errors
    /// It can't be reached, or its certificate is not good.
    pub fn open(address: SocketAddr, host: &str, authority: &str, cookies: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = host.to_owned().try_into().unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self::over(StreamOwned::new(connection, stream), host, cookies))
    }

    /// The certificate that was shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone()
    }

    /// The bare connection, for who speaks over it otherwise.
    pub fn into_stream(self) -> impl Read + Write {
        self.stream
    }

    /// Makes this connection a websocket, as noVNC does. The other side has to prove that it understood
    /// (`Sec-WebSocket-Accept`).
    ///
    /// # Errors
    /// It is refused.
    pub fn websocket(self, target: &str) -> Result<WebSocket> {
        let mut request = format!("wss://{}:8006{target}", self.host).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", self.cookies.parse().unwrap());
        headers.insert("origin", format!("https://{}:8006", self.host).parse().unwrap());
        headers.insert("sec-websocket-protocol", "binary".parse().unwrap());
        let opened = tungstenite::client(request, self.stream).map_err(|e| Error::other(e.to_string()))?;
        Ok(WebSocket(opened.0))
    }
}

impl<S: Read + Write> Browser<S> {
    /// The same without TLS, over a connection that is there.
    pub fn over(stream: S, host: &str, cookies: &str) -> Self {
        Self { stream, host: host.to_owned(), cookies: cookies.to_owned(), ahead: Vec::new() }
    }

    /// Asks for a page on this connection.
    ///
    /// # Errors
    /// The connection broke.
    pub fn get(&mut self, target: &str) -> Result<Page> {
        self.ask("GET", target, &[], "")
    }

    /// Asks on this connection, with these headers; a body is a form.
    ///
    /// # Errors
    /// The connection broke.
    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Result<Page> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}:8006\r\n", self.host);
        let kept = [("Connection", "keep-alive"), ("Accept", "*/*"), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")];
        for (name, value) in kept.iter().chain(headers) {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", self.cookies);
        }
        if !body.is_empty() || method != "GET" {
            let kind = "application/x-www-form-urlencoded; charset=UTF-8";
            head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        self.stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        self.page()
    }

    fn page(&mut self) -> Result<Page> {
        let head = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> = fields.map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
        let body = if let Some(length) = headers.get("content-length") {
            self.exactly(length.parse().map_err(|_| Error::from(ErrorKind::InvalidData))?)?
        } else if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            let mut body = Vec::new();
            loop {
                let length = self.until(b"\r\n")?;
                let length = String::from_utf8_lossy(&length).trim().to_owned();
                let length = usize::from_str_radix(&length, 16).map_err(|_| Error::from(ErrorKind::InvalidData))?;
                let chunk = self.exactly(length + 2)?;
                if length == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..length]);
            }
            body
        } else {
            Vec::new()
        };
        Ok(Page { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => {
                self.ahead.extend_from_slice(&buffer[..length]);
                Ok(())
            }
        }
    }

    fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return Ok(self.ahead.drain(..at + end.len()).collect());
            }
            self.more()?;
        }
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.more()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }
}

/// An open websocket.
pub struct WebSocket(tungstenite::WebSocket<Tls>);

impl WebSocket {
    /// Sends a message and waits for the next that comes.
    ///
    /// # Errors
    /// The connection broke, or what came is no frame of a websocket.
    pub fn echo(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let broke = |e: tungstenite::Error| Error::other(e.to_string());
        self.0.send(Message::binary(message.to_vec())).map_err(broke)?;
        loop {
            match self.0.read().map_err(broke)? {
                Message::Binary(bytes) => return Ok(bytes.to_vec()),
                Message::Ping(_) | Message::Pong(_) => {}
                other => return Err(Error::other(format!("{other:?}"))),
            }
        }
    }

    /// Says goodbye, and waits for the other side's.
    ///
    /// # Errors
    /// The connection broke before.
    pub fn close(mut self) -> Result<()> {
        self.0.close(None).map_err(|e| Error::other(e.to_string()))?;
        loop {
            match self.0.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(Error::other(error.to_string())),
            }
        }
    }
}
