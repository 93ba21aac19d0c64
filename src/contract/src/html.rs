//! The report as one page, with nothing from elsewhere.

use std::fmt::Write as _;

use cli::markup::escaped;
use host::Timestamp;

use crate::compare::Difference;
use crate::report::{Asked, Endpoint, Judgement, Report, median, short};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1b1b;background:#fff}\
table{border-collapse:collapse;width:100%;margin:1em 0}th,td{text-align:left;padding:.3em .7em;border-bottom:1px solid #ddd;vertical-align:top}\
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}\
.equal{color:#176639}.differing{color:#a3161b;font-weight:600}.inconclusive{color:#8a5a00;font-weight:600}.left{color:#555}\
@media(prefers-color-scheme:dark){body{color:#e4e4e4;background:#16181b}th,td{border-color:#3a3d42}.equal{color:#6fd39a}.differing{color:#ff8f92}.inconclusive{color:#f0bf62}.left{color:#aaa}}";

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = String::new();
    let when = Timestamp::from_seconds(report.started);
    let node = escaped(&report.node);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>contract-test {node}</title><style>{STYLE}</style></head><body>\n\
         <h1>Does Rust {} as Perl does?</h1>\n<p><span class=\"{}\">{}</span></p>\n\
         <p>Perl at <code>{}</code>, begun {}, seed {}.</p>\n\
         <table><thead><tr><th>endpoint</th><th>verdict</th><th>Perl, ms</th><th>Rust, ms</th></tr></thead><tbody>\n",
        if report.asked == Asked::Writes { "write" } else { "answer" },
        class(report.verdict),
        escaped(&report.summary()),
        escaped(&report.perl_url),
        when,
        report.seed,
    );
    for endpoint in &report.endpoints {
        let ms = |times: &[f64]| median(times).map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"));
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"{}\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(&endpoint.endpoint),
            class(endpoint.verdict),
            endpoint.verdict.name(),
            ms(&endpoint.perl_ms),
            ms(&endpoint.rust_ms),
        );
    }
    out.push_str("</tbody></table>\n");
    let odd: Vec<_> = report.endpoints.iter().filter_map(|e| Some((&e.endpoint, e.why.as_ref()?))).collect();
    if !odd.is_empty() {
        out.push_str("<h2>What nobody can say</h2>\n<ul>\n");
        for (endpoint, why) in odd {
            let _ = writeln!(out, "<li><code>{}</code>: {}</li>", escaped(endpoint), escaped(why));
        }
        out.push_str("</ul>\n");
    }
    type Of = fn(&Endpoint) -> &Vec<Difference>;
    let lists: [(&str, Of); 3] = [
        ("Differences", |e| &e.differences),
        ("Stricter than Perl on purpose", |e| &e.stricter),
        ("Suppressed as noise", |e| &e.suppressed),
    ];
    for (title, of) in lists {
        let each = report.endpoints.iter().flat_map(|e| of(e).iter().map(|d| (e.endpoint.as_str(), d.clone())));
        let all: Vec<(&str, Difference)> = each.collect();
        // Reads have none.
        if title.starts_with("Stricter") && all.is_empty() {
            continue;
        }
        let _ = writeln!(out, "<h2>{title}</h2>");
        table(&mut out, &all);
    }
    out.push_str("</body></html>\n");
    out
}

fn table(out: &mut String, all: &[(&str, Difference)]) {
    if all.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    out.push_str("<table><thead><tr><th>endpoint</th><th>field</th><th>kind</th><th>Perl</th><th>Rust</th></tr></thead><tbody>\n");
    for (endpoint, d) in all {
        let cells = [endpoint, d.field.as_str(), d.kind.name(), &short(&d.perl), &short(&d.rust)];
        out.push_str("<tr>");
        for cell in cells {
            let _ = write!(out, "<td><code>{}</code></td>", escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

fn class(verdict: Judgement) -> &'static str {
    match verdict {
        Judgement::Equal => "equal",
        Judgement::Differing => "differing",
        Judgement::Inconclusive => "inconclusive",
        Judgement::LeftToPerl => "left",
    }
}
