//! The real programs, from READY=1 to an exit code.

mod rig;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rig::{DAEMON, MIDDLEWARE, Service, Setup};

#[test]
fn both_say_ready_answer_and_stop_within_a_second() {
    for program in [DAEMON, MIDDLEWARE] {
        for signal in ["TERM", "INT"] {
            let mut service = Setup::new(program).start();
            assert!(service.get("/health").starts_with("HTTP/1.1 200 OK\r\n"));
            service.signal(signal);
            assert_eq!(service.notified(), "STOPPING=1");
            let (code, took) = service.end();
            assert_eq!(code, Some(0), "{program} {signal}: {}", service.stderr());
            assert!(took < Duration::from_secs(1), "{program} {signal} took {took:?}");
            assert!(!service.socket().exists());
        }
    }
}

#[test]
fn ready_comes_after_the_socket_and_the_socket_is_not_for_others() {
    let service = Setup::new(DAEMON).start();
    let meta = std::fs::metadata(service.socket()).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o7777, 0o660);
}

#[test]
fn an_idle_and_a_half_spoken_connection_do_not_hold_up_the_end() {
    let mut service = Setup::new(DAEMON).start();
    let _idle = service.connect();
    let _half = service.send(b"GET /health HT");
    let mut alive = service.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(rig::read_some(&mut alive).contains("200 OK"));
    service.signal("TERM");
    let (code, took) = service.end();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_dead_ones_socket_is_replaced() {
    let setup = Setup::new(DAEMON);
    drop(UnixListener::bind(setup.socket()).unwrap());
    let service = setup.start();
    assert!(service.get("/health").contains("200 OK"));
    assert!(service.stderr().contains("left by a process that is gone"));
}

#[test]
fn a_live_ones_socket_is_a_clear_error_and_stays_its_owners() {
    let mut first = Setup::new(DAEMON).start();
    let second = first.setup().run();
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("another process answers there"), "{said}");
    assert!(first.get("/health").contains("200 OK"));
    first.signal("TERM");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn without_systemd_it_runs_all_the_same() {
    let mut service = Setup::new(MIDDLEWARE).without_systemd().start();
    assert!(service.get("/health").contains("200 OK"));
    service.signal("TERM");
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn a_missing_runtime_directory_is_named() {
    let setup = Setup::new(DAEMON);
    std::fs::remove_dir_all(setup.socket().parent().unwrap()).unwrap();
    let out = setup.run();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("--socket"), "{said}");
}

#[test]
fn killed_and_started_again_it_serves() {
    let mut first = Setup::new(DAEMON).start();
    first.signal("KILL");
    assert_eq!(first.end().0, None);
    assert!(first.socket().exists());
    let again: Service = first.restart();
    assert!(again.get("/health").contains("200 OK"));
}

#[test]
fn the_watchdog_hears_from_it_twice_in_its_span_and_only_if_there_is_one() {
    for program in [DAEMON, MIDDLEWARE] {
        let mut service = Setup::new(program).watched(Duration::from_millis(200)).start();
        let begin = std::time::Instant::now();
        for _ in 0..5 {
            assert_eq!(service.notified(), "WATCHDOG=1");
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        service.signal("TERM");
        while service.notified() != "STOPPING=1" {}
        assert_eq!(service.end().0, Some(0));
        let mut unwatched = Setup::new(program).start();
        std::thread::sleep(Duration::from_millis(300));
        unwatched.signal("TERM");
        assert_eq!(unwatched.notified(), "STOPPING=1", "nobody asked for signs of life");
        unwatched.end();
    }
}
