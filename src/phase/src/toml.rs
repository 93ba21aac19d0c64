//! TOML with errors that name file, line and what is allowed there.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use host::{Error, Result};
use toml_edit::{Document, Item, Key, TableLike};

/// A parsed text that still knows where everything stands.
pub(crate) struct Source<'a> {
    file: &'a str,
    document: Document<&'a str>,
}

/// A key with its value and, for messages, its full name (`nodes.a.phase`).
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) key: &'a Key,
    item: &'a Item,
}

impl<'a> Source<'a> {
    pub(crate) fn parse(file: &'a str, text: &'a str) -> Result<Self> {
        let document = Document::parse(text).map_err(|error| {
            let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
            located(file, text, error.span(), message)
        })?;
        Ok(Self { file, document })
    }

    /// The keys of the file itself.
    pub(crate) fn top(&self, allowed: &[&str]) -> Result<Vec<Field<'_>>> {
        self.fields("", self.document.as_table(), Some(allowed))
    }

    /// The keys of a table, in any of TOML's spellings; all must be `allowed` where given.
    pub(crate) fn table<'b>(&self, field: &Field<'b>, allowed: Option<&[&str]>) -> Result<Vec<Field<'b>>> {
        let table = field.item.as_table_like().ok_or_else(|| self.wrong(field, "a table"))?;
        self.fields(&format!("{}.", field.name), table, allowed)
    }

    fn fields<'b>(&self, prefix: &str, table: &'b dyn TableLike, allowed: Option<&[&str]>) -> Result<Vec<Field<'b>>> {
        let mut out = Vec::new();
        for (key, item) in table.iter().filter_map(|(name, _)| table.get_key_value(name)) {
            let field = Field { name: format!("{prefix}{}", key.get()), key, item };
            if let Some(allowed) = allowed.filter(|a| !a.contains(&key.get())) {
                let message = format!("unknown key '{}' (allowed: {})", field.name, allowed.join(", "));
                return Err(self.error(&field, message));
            }
            out.push(field);
        }
        Ok(out)
    }

    /// Where each value stands, by its full name.
    pub(crate) fn lines(&self) -> BTreeMap<String, usize> {
        let mut out = BTreeMap::new();
        let mut todo = self.fields("", self.document.as_table(), None).unwrap_or_default();
        while let Some(field) = todo.pop() {
            if let Some(table) = field.item.as_table_like() {
                todo.extend(self.fields(&format!("{}.", field.name), table, None).unwrap_or_default());
            } else {
                let span = field.key.span().or_else(|| field.item.span());
                out.insert(field.name, line(self.document.raw(), span));
            }
        }
        out
    }

    pub(crate) fn boolean(&self, field: &Field<'_>) -> Result<bool> {
        field.item.as_bool().ok_or_else(|| self.wrong(field, "true or false"))
    }

    pub(crate) fn string<'b>(&self, field: &Field<'b>, allowed: impl fmt::Display) -> Result<&'b str> {
        field.item.as_str().ok_or_else(|| self.wrong(field, allowed))
    }

    pub(crate) fn integer(&self, field: &Field<'_>, range: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let allowed = || format!("a whole number from {} to {}", range.start(), range.end());
        field.item.as_integer().filter(|i| range.contains(i)).ok_or_else(|| self.wrong(field, allowed()))
    }

    pub(crate) fn strings<'b>(&self, field: &Field<'b>, allowed: &str) -> Result<Vec<&'b str>> {
        let strings = field.item.as_array().and_then(|array| array.iter().map(|v| v.as_str()).collect());
        strings.ok_or_else(|| self.wrong(field, allowed))
    }

    /// The value is not one of those allowed.
    pub(crate) fn wrong(&self, field: &Field<'_>, allowed: impl fmt::Display) -> Error {
        // As the operator wrote it, on one line; tables by their kind.
        let written = field.item.as_value().and_then(|v| v.span()).and_then(|span| self.document.raw().get(span));
        let shown = match written {
            Some(value) => value.split_whitespace().collect::<Vec<_>>().join(" "),
            None => field.item.type_name().to_owned(),
        };
        let cut: String = shown.chars().take(60).collect();
        let dots = if cut.len() < shown.len() { "…" } else { "" };
        self.error(field, format!("{} = {cut}{dots} is not allowed (allowed: {allowed})", field.name))
    }

    pub(crate) fn error(&self, field: &Field<'_>, message: impl fmt::Display) -> Error {
        let span = field.key.span().or_else(|| field.item.span());
        located(self.file, self.document.raw(), span, message)
    }
}

fn located(file: &str, text: &str, span: Option<Range<usize>>, message: impl fmt::Display) -> Error {
    Error::new(format!("{file}:{}: {message}", line(text, span)))
}

fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |s| s.start).min(text.len());
    1 + text.as_bytes()[..start].iter().filter(|b| **b == b'\n').count()
}
