//! Prometheus' HTTP API: `query` for the scrapes themselves and for its clock, `query_range` for counters. It is asked
//! and never told anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::header::{ACCEPT, HeaderValue};
use client::{Bytes, Request, StatusCode, Tls, Unusable, Uri};
use host::{Error, Kind, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::alerts::{Alert, Rule, Rules};
use crate::facts::{Prometheus, Query, Series};
use crate::gate::Question;

/// An answer that takes longer is none. Prometheus itself gives a query two minutes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer: a week of scrapes, one a second, is 20 MB.
const BODY: usize = 128 << 20;
/// Debian's certificates, for https.
pub const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where Prometheus is.
#[derive(Clone)]
pub struct Server {
    url: String,
    /// What lies before the paths of its API.
    prefix: String,
    server: client::Server,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Prometheus at `url`, as its own pages are reached; for https, `ca` holds the certificates that count.
    ///
    /// # Errors
    /// It is no such address; the certificates can't be read.
    pub fn at(url: &str, ca: &Path) -> Result<Self> {
        let wrong = || {
            Error::of(Kind::Usage, format!("{url} is not of the form http://HOST:9090 or https://HOST[:PORT][/PATH]"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (Some(host), Some(scheme)) = (uri.host(), uri.scheme_str()) else { return Err(wrong()) };
        let authority = uri.authority().map_or("", |a| a.as_str());
        if uri.query().is_some() || authority.contains('@') {
            return Err(wrong());
        }
        let (tls, port) = match scheme {
            "http" => (None, 80),
            "https" => (Some(Tls::trusting(ca, Unusable::PassedOver)?), 443),
            _ => return Err(wrong()),
        };
        let url = url.trim_end_matches('/').to_owned();
        let name = format!("Prometheus at {url}");
        let server = client::Server::at(name, host, uri.port_u16().unwrap_or(port), tls);
        Ok(Self { url, prefix: uri.path().trim_end_matches('/').to_owned(), server })
    }

    /// Asks everything.
    ///
    /// # Errors
    /// It can't be reached, or does not tell the time. What it does not answer else stands in the answer.
    pub fn ask(&self, questions: &[Question], selector: &str) -> Result<Prometheus> {
        client::run(self.ask_all(questions, selector))
    }

    async fn ask_all(&self, questions: &[Question], selector: &str) -> Result<Prometheus> {
        // The first connection costs more; the second call measures.
        self.time().await?;
        let (began, before) = (Instant::now(), now_ms());
        let theirs = self.time().await?;
        let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut queries = Vec::new();
        for question in questions {
            let answer = self.one(question).await;
            queries.push(Query {
                name: question.name.clone(),
                expr: question.expr.clone(),
                step: question.step,
                from: question.window.from,
                to: question.window.to,
                answer: answer.into(),
            });
        }
        let skew_ms = theirs - (before + took / 2);
        Ok(Prometheus {
            url: self.url.clone(),
            selector: selector.to_owned(),
            skew_ms,
            within_ms: took / 2 + 1,
            queries,
        })
    }

    /// Its alerting rules with what fires, and how many series `up` has.
    ///
    /// # Errors
    /// It can't be reached, or does not answer one of the questions.
    pub fn rules(&self, up: &str) -> Result<Rules> {
        client::run(async {
            let now_ms = self.time().await?;
            let query = utf8_percent_encode(up, NON_ALPHANUMERIC);
            let up: Answer<Vector> = parse(&self.get(&format!("/api/v1/query?query={query}")).await?)?;
            let told: Answer<Groups> = parse(&self.get("/api/v1/rules?type=alert").await?)?;
            let nothing = || Error::new("the answer holds no data");
            let groups = told.data.ok_or_else(nothing)?.groups;
            let targets = up.data.ok_or_else(nothing)?.result.len();
            let mut rules = Vec::new();
            for Group { interval, rules: own } in groups {
                for rule in own {
                    rules.push(rule.read(interval)?);
                }
            }
            Ok(Rules { url: self.url.clone(), now_ms, targets, rules })
        })
    }

    /// Its clock, in milliseconds since the epoch.
    async fn time(&self) -> Result<i64> {
        let answer = self.get("/api/v1/query?query=time%28%29").await?;
        let told: Answer<Scalar> = parse(&answer)?;
        let text = &told.data.ok_or_else(|| Error::new("Prometheus does not tell the time"))?.result.1;
        let seconds: f64 = text.parse().map_err(|_| Error::new(format!("Prometheus says that it is {text}")))?;
        Ok(milliseconds(seconds))
    }

    async fn one(&self, question: &Question) -> Result<Vec<Series>> {
        let Question { expr, step, window, .. } = question;
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = if *step == 0 {
            let range = escaped(&format!("{expr}[{}s]", window.to - window.from));
            format!("/api/v1/query?query={range}&time={}", window.to)
        } else {
            let (query, from, to) = (escaped(expr), window.from, window.to);
            format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}")
        };
        let told: Answer<Matrix> = parse(&self.get(&path).await?)?;
        let matrix = told.data.ok_or_else(|| Error::new("the answer holds no data"))?;
        if matrix.result_type != "matrix" {
            return Err(Error::new(format!("the answer is a {}, and no matrix", matrix.result_type)));
        }
        let series = matrix.result.into_iter().map(|one| {
            let labels = one.metric.into_iter().filter(|(name, _)| name != "__name__").collect();
            Series::of(labels, one.values.into_iter().map(|(at, value)| (milliseconds(at), value)))
        });
        Ok(series.collect())
    }

    async fn get(&self, path: &str) -> Result<Bytes> {
        client::within(PATIENCE, &self.url, self.once(path)).await
    }

    async fn once(&self, path: &str) -> Result<Bytes> {
        let mut request = Request::get(format!("{}{path}", self.prefix))
            .body(Bytes::new())
            .map_err(|e| Error::new(format!("{path} is no path: {e}")))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.server.ask(request, BODY).await?;
        let status = response.status();
        let body = response.into_body();
        if status == StatusCode::OK {
            return Ok(body);
        }
        let why = serde_json::from_slice::<Refusal>(&body).map(|r| r.error);
        let why = why.unwrap_or_else(|_| "no reason given".into());
        Err(Error::new(format!("{} answers {status}: {why}", self.server.name())))
    }
}

#[derive(Debug, Deserialize)]
struct Answer<T> {
    status: String,
    data: Option<T>,
    warnings: Option<Vec<String>>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Debug, Deserialize)]
struct Scalar {
    result: (f64, String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matrix {
    result_type: String,
    result: Vec<One>,
}

#[derive(Debug, Deserialize)]
struct One {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(Debug, Deserialize)]
struct Vector {
    result: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    interval: f64,
    rules: Vec<ToldRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldRule {
    name: String,
    health: String,
    #[serde(default)]
    last_error: String,
    last_evaluation: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    alerts: Vec<ToldAlert>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: String,
    active_at: String,
}

impl ToldRule {
    fn read(self, interval: f64) -> Result<Rule> {
        let Self { name, health, last_error, last_evaluation, labels, alerts } = self;
        let alert = |told: ToldAlert| {
            let ToldAlert { labels, annotations, state, active_at } = told;
            let active_ms = rfc3339(&active_at)?;
            Ok(Alert { name: name.clone(), labels, annotations, firing: state == "firing", active_ms })
        };
        let alerts = alerts.into_iter().map(alert).collect::<Result<_>>()?;
        // Never, in Go's words: the year 1.
        let evaluated = last_evaluation.as_deref().map(rfc3339).transpose()?.filter(|at| *at > 0);
        let trouble = match health.as_str() {
            "err" if last_error.is_empty() => "Prometheus does not say why".to_owned(),
            "err" => last_error,
            _ => String::new(),
        };
        let interval_ms = milliseconds(interval);
        Ok(Rule { labels, trouble, evaluated_ms: evaluated, interval_ms, alerts, name })
    }
}

/// Milliseconds since the epoch.
fn rfc3339(text: &str) -> Result<i64> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let time = time.map_err(|e| Error::new(format!("Prometheus names a time that is none, {text}: {e}")))?;
    Ok(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Answer<T>> {
    let answer: Answer<T> =
        serde_json::from_slice(body).map_err(|e| Error::new(format!("this is no answer of Prometheus': {e}")))?;
    match answer.status.as_str() {
        // Some storages answer with what they could reach, and say so here.
        "success" => match answer.warnings.iter().flatten().next() {
            Some(warning) => Err(Error::new(format!("it answered in part only: {warning}"))),
            None => Ok(answer),
        },
        _ => Err(Error::new(answer.error.unwrap_or_else(|| "Prometheus reports an error without a reason".into()))),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "times of this millennium")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_prometheus_tells_them() {
        // Cut down from what Prometheus 2.42 answers.
        let body = r#"{"status":"success","data":{"groups":[{"name":"pve-network","file":"/etc/prometheus/rules.yml","rules":[
            {"state":"firing","name":"PveNetworkFallback","query":"x","duration":0,"keepFiringFor":0,
             "labels":{"severity":"critical","demote":"yes"},"annotations":{"summary":"s {{ $labels.node }}"},
             "alerts":[{"labels":{"alertname":"PveNetworkFallback","node":"pve1","severity":"critical","demote":"yes"},
                        "annotations":{"summary":"s pve1"},"state":"firing","activeAt":"2026-11-29T10:00:01.5Z","value":"1e+00"}],
             "health":"ok","evaluationTime":0.0003,"lastEvaluation":"2026-11-29T12:00:05.123456789+02:00","type":"alerting"},
            {"state":"unknown","name":"New","query":"y","duration":0,"labels":{},"annotations":{},"alerts":[],
             "health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"},
            {"state":"inactive","name":"Broken","query":"z","duration":0,"labels":{},"annotations":{},"alerts":[],
             "health":"err","lastError":"found duplicate series","lastEvaluation":"2026-11-29T10:00:05Z","type":"alerting"}],
            "interval":60,"limit":0,"evaluationTime":0.001,"lastEvaluation":"2026-11-29T10:00:05Z"}]}}"#;
        let told: Answer<Groups> = parse(body.as_bytes()).unwrap();
        let read = |rule: ToldRule| rule.read(60.0).unwrap();
        let rules: Vec<Rule> = told.data.unwrap().groups.into_iter().flat_map(|g| g.rules).map(read).collect();
        let at = 1_795_946_401_500;
        assert_eq!((rules[0].alerts[0].active_ms, rules[0].alerts[0].firing), (at, true));
        assert_eq!(rules[0].evaluated_ms, Some(at + 3623));
        assert_eq!((rules[1].evaluated_ms, rules[1].trouble.as_str()), (None, ""));
        assert_eq!((rules[2].trouble.as_str(), rules[2].interval_ms), ("found duplicate series", 60_000));
        assert!(rfc3339("yesterday").is_err());
    }
}
