//! What callers get, and what confused or hostile ones can't do.

mod rig;

use std::io::Write;

use rig::{DAEMON, MIDDLEWARE, Service, Setup, body};

fn answers(service: &Service, request: &[u8]) -> String {
    let mut stream = service.send(request);
    rig::read_all(&mut stream)
}

#[test]
fn health_names_service_version_node_and_phase() {
    let setup = Setup::new(MIDDLEWARE);
    setup.file("etc/hostname", "pve1.example.org\n");
    let service = setup.start();
    let answer = service.get("/health");
    assert!(answer.contains("content-type: application/json"), "{answer}");
    let health = body(&answer);
    assert_eq!(health["schema_version"], 1);
    assert_eq!(health["service"], "pve-network-migration");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["node"], "pve1");
    assert_eq!(health["phase"], "perl-only");
}

#[test]
fn the_phase_is_the_lower_of_file_and_ceiling_and_read_anew() {
    let setup = Setup::new(DAEMON);
    setup.file("etc/pve/network/migration.toml", "phase = \"rust-sdn\"\n");
    setup.file("var/lib/pve-network-rs/ceiling", "rust-read-only\n");
    let service = setup.start();
    let health = body(&service.get("/health"));
    assert_eq!(health["phase"], "rust-read-only", "{health}");
    assert_eq!(health["cluster_phase"], "rust-sdn");
    assert_eq!(health["ceiling"], "rust-read-only");
    assert_eq!(health["problems"].as_array().unwrap().len(), 0, "{health}");

    service.setup().file("etc/pve/network/migration.toml", "phase = \"perl-only\"\n");
    assert_eq!(body(&service.get("/health"))["phase"], "perl-only");
}

#[test]
fn a_broken_file_means_perl_only_loudly_once() {
    let setup = Setup::new(DAEMON);
    setup.file("etc/pve/network/migration.toml", "phase = \"rust-everything\"\n");
    setup.file("var/lib/pve-network-rs/ceiling", "rust-full\n");
    let service = setup.start();
    for _ in 0..3 {
        let health = body(&service.get("/health"));
        assert_eq!(health["phase"], "perl-only");
        let problem = health["problems"][0].as_str().unwrap();
        assert!(problem.contains("migration.toml") && problem.contains("rust-everything"), "{problem}");
    }
    assert_eq!(service.stderr().matches("rust-everything").count(), 1, "{}", service.stderr());
}

#[test]
fn a_broken_ceiling_means_perl_only_too() {
    let setup = Setup::new(DAEMON);
    setup.file("etc/pve/network/migration.toml", "phase = \"rust-full\"\n");
    setup.file("var/lib/pve-network-rs/ceiling", "sky\n");
    let health = body(&setup.start().get("/health"));
    assert_eq!(health["phase"], "perl-only");
    assert!(health["problems"][0].as_str().unwrap().contains("ceiling"), "{health}");
}

#[test]
fn everything_else_is_an_honest_refusal_in_json() {
    let service = Setup::new(DAEMON).start();
    for path in ["/", "/healthy", "/health/", "/api3/json/nodes/x/network"] {
        let answer = service.get(path);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert_eq!(body(&answer)["schema_version"], 1);
        assert!(body(&answer)["error"].as_str().unwrap().contains(path));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = answers(&service, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.to_lowercase().contains("allow: get"), "{answer}");
        assert!(body(&answer)["error"].is_string());
    }
}

#[test]
fn malformed_and_oversized_requests_are_theirs_alone() {
    let service = Setup::new(DAEMON).start();
    let many: String = (0..1000).map(|i| format!("x-{i}: y\r\n")).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("noise", b"\0\xff\xfe\r\n\r\n".to_vec()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("two lengths", b"GET /health HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec()),
        ("long target", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)).into_bytes()),
        ("long field", format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)).into_bytes()),
        ("many fields", format!("GET /health HTTP/1.1\r\n{many}\r\n").into_bytes()),
    ];
    for (name, request) in cases {
        let mut stream = service.connect();
        // It may hang up before it has heard everything.
        let _ = stream.write_all(&request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = rig::read_all(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
        assert!(service.get("/health").contains("200 OK"), "after {name}");
    }
}

#[test]
fn a_body_is_refused_by_its_size_and_never_waited_for() {
    let service = Setup::new(DAEMON).start();
    let huge = b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    assert!(answers(&service, huge).starts_with("HTTP/1.1 413 "));

    let mut endless = service.send(b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let sent = (0..1000).take_while(|_| endless.write_all(chunk.as_bytes()).is_ok()).count();
    assert!(sent < 1000, "64 MB of a body were taken in");
    assert!(service.get("/health").contains("200 OK"));
}

#[test]
fn more_callers_than_places_wait_their_turn() {
    let service = Setup::new(DAEMON).start();
    let crowd: Vec<_> = (0..64).map(|_| service.connect()).collect();
    let mut late = service.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    drop(crowd);
    assert!(rig::read_all(&mut late).contains("200 OK"));
}
