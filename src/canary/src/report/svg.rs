//! Plots as SVG: few, plain, and without anything from outside the page. Colours are the page's.

use std::fmt::Write as _;

use cli::markup::escaped;

use crate::gate::moment;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// A plot over time.
pub(super) struct Plot {
    from: i64,
    to: i64,
    height: f64,
    body: String,
}

impl Plot {
    /// An empty plot of `rows` bands, or of the usual height.
    pub fn new(from: i64, to: i64, rows: Option<usize>) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a few rows")]
        let height = rows.map_or(HEIGHT, |rows| TOP + BOTTOM + 26.0 * rows as f64);
        Self { from, to: to.max(from + 1), height, body: String::new() }
    }

    fn x(&self, at: i64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "seconds of this millennium")]
        let share = (at.clamp(self.from, self.to) - self.from) as f64 / (self.to - self.from) as f64;
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, share: f64) -> f64 {
        self.height - BOTTOM - share.clamp(0.0, 1.0) * (self.height - TOP - BOTTOM)
    }

    /// A value's line across, with its label; `share` is its height, 0 to 1.
    pub fn line(&mut self, share: f64, label: &str) {
        let y = self.y(share);
        let _ = write!(
            self.body,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            escaped(label)
        );
    }

    /// A point.
    pub fn point(&mut self, at: i64, share: f64, class: &str, title: &str) {
        let (x, y) = (self.x(at), self.y(share));
        let title = escaped(title);
        let _ = write!(
            self.body,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{title}</title></circle>"#
        );
    }

    /// A bar from `low` to `high`, from one time to another.
    pub fn bar(&mut self, (from, to): (i64, i64), (low, high): (f64, f64), class: &str, title: &str) {
        let (x, x2, y, y2) = (self.x(from), self.x(to), self.y(high), self.y(low));
        let (width, height, title) = ((x2 - x).max(1.5), (y2 - y).max(0.0), escaped(title));
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{title}</title></rect>"#
        );
    }

    /// A band of the row `row`, with words in it if there is room.
    pub fn band(&mut self, row: usize, span: (i64, i64), class: &str, words: &str) {
        let (x, x2, y) = (self.x(span.0), self.x(span.1), self.row(row));
        let (width, words) = ((x2 - x).max(1.5), escaped(words));
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="20"><title>{words}</title></rect>"#
        );
        #[allow(clippy::cast_precision_loss, reason = "a few words")]
        if width > 7.0 * words.len() as f64 {
            let _ = write!(self.body, r#"<text class="in" x="{:.1}" y="{:.1}">{words}</text>"#, x + 5.0, y + 14.0);
        }
    }

    /// The name of a row.
    pub fn name(&mut self, row: usize, name: &str) {
        let y = self.row(row) + 14.0;
        let _ =
            write!(self.body, r#"<text x="{:.1}" y="{y:.1}" text-anchor="end">{}</text>"#, LEFT - 6.0, escaped(name));
    }

    #[allow(clippy::cast_precision_loss, clippy::unused_self, reason = "a few rows; it is a place in this plot")]
    fn row(&self, row: usize) -> f64 {
        TOP + 26.0 * row as f64
    }

    /// The element, with a description for who can't see it.
    pub fn end(self, description: &str) -> String {
        let axis = self.height - BOTTOM;
        let (first, last) = (moment(self.from), moment(self.to));
        format!(
            r#"<svg viewBox="0 0 {WIDTH} {:.0}" role="img" aria-label="{}">{}<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{axis:.1}" y2="{axis:.1}"/><text x="{LEFT}" y="{:.1}">{first}</text><text x="{:.1}" y="{:.1}" text-anchor="end">{last}</text></svg>"#,
            self.height,
            escaped(description),
            self.body,
            WIDTH - RIGHT,
            self.height - 8.0,
            WIDTH - RIGHT,
            self.height - 8.0,
        )
    }
}
