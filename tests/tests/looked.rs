//! The weekly report in a real browser: it draws, asks nobody for anything, and can be looked at. With `make look` only: a
//! root with Chromium takes 900 MB.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
mod week;

use std::time::Duration;

use common::V1;
use phase::Phase;
use rig::dist::target_dir;
use rig::{Machine, Node, Suite, need_root};
use week::{Week, after};

const BROWSER: &str = "chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                       --disable-component-update --disable-sync --hide-scrollbars --user-data-dir=/root/profile";

#[test]
fn the_report_draws_in_a_browser() {
    if std::env::var_os("LOOK").is_none() {
        eprintln!("skipped: make look renders the report in Chromium, whose root takes 900 MB");
        return;
    }
    if !need_root() {
        return;
    }
    let node = after(&Week::until_now(Phase::RustBasicWrite), &V1);
    node.run(["canary", "report", "--since", "7d", "--html", "/root/report.html"]).ok();
    let page = node.read("/root/report.html");
    let browser = Node::with_packages(Suite::Bookworm, &["chromium"]).named("desk");
    browser.write("/root/report.html", &page);
    let run = |arguments: &str| {
        let script = format!("cd /root && {BROWSER} {arguments} file:///root/report.html 2>/root/said");
        browser.call(["sh", "-euc", &script]).patience(Duration::from_secs(120)).run().ok()
    };
    let dom = run("--dump-dom").stdout;
    assert!(dom.contains("pve1") && dom.matches("<svg").count() >= 2, "{dom}");
    let place = target_dir().join("look");
    std::fs::create_dir_all(&place).unwrap();
    for (name, size) in [("wide", "1280,2400"), ("narrow", "420,2400")] {
        run(&format!("--screenshot=/root/{name}.png --window-size={size}"));
        let picture = browser.read(&format!("/root/{name}.png"));
        // A page that is blank compresses to a few kB.
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{name}: {} bytes", picture.len());
        let file = place.join(format!("report-{name}.png"));
        std::fs::write(&file, picture).unwrap();
        println!("look at {}", file.display());
    }
}
