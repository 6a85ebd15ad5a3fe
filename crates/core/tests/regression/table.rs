//! The committed values: a line each of a name, a value and what it may differ by.
//!
//! `0`: not at all. `±0.002` and `±1%`: so much either way. `+150%`: so much more, and any less.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Set to replace the committed values by what is measured.
const UPDATE: &str = "VICINAL_UPDATE_FIGURES";

/// What a new figure may differ by, until somebody thinks about it.
const NEW: &str = "±1%";

/// A figure as it is now.
pub struct Measured {
    name: String,
    value: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Value {
    Hash(u64),
    Number(f64),
}

impl Measured {
    pub fn hash(name: impl Into<String>, hash: u64) -> Self {
        Self { name: name.into(), value: Value::Hash(hash) }
    }

    pub fn number(name: impl Into<String>, number: f64) -> Self {
        Self { name: name.into(), value: Value::Number(number) }
    }

    fn text(&self) -> String {
        match self.value {
            Value::Hash(hash) => format!("{hash:016x}"),
            Value::Number(number) => format!("{number:.4}"),
        }
    }
}

struct Line<'a> {
    name: &'a str,
    value: &'a str,
    tolerance: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut cells = line.split('|').map(str::trim);
        Some(Self { name: cells.next()?, value: cells.next()?, tolerance: cells.next()? })
    }

    fn allows(&self, measured: &Measured) -> bool {
        let Value::Number(now) = measured.value else { return self.value == measured.text() };
        let committed: f64 = self.value.parse().unwrap();
        // As it is written, so that digits beyond those do not count.
        let more = measured.text().parse::<f64>().unwrap() - committed;
        let number = |text: &str| match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().unwrap() / 100.0 * committed,
            None => text.parse().unwrap(),
        };
        match (self.tolerance.strip_prefix('±'), self.tolerance.strip_prefix('+')) {
            (Some(either), _) => more.abs() <= number(either) + 1e-9,
            (_, Some(above)) => now <= committed + number(above),
            _ => more.abs() <= number(self.tolerance),
        }
    }
}

/// Panics with all figures that are not as committed, or commits them if that is asked for.
pub fn check(figures: &[Measured]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/regression/committed.txt");
    let text = fs::read_to_string(&path).unwrap();
    if std::env::var_os(UPDATE).is_some() {
        return update(&path, figures);
    }
    let wrong: Vec<String> = figures.iter().filter_map(|figure| complaint(&text, figure)).collect();
    assert!(
        wrong.is_empty(),
        "not as committed:\n{}\nIf that is what you want: CONTRIBUTING.md, \"The regression gate\"",
        wrong.join("\n")
    );
}

fn complaint(text: &str, figure: &Measured) -> Option<String> {
    let (name, now) = (&figure.name, figure.text());
    match text.lines().filter_map(Line::parse).find(|line| line.name == figure.name) {
        None => Some(format!("  {name}: {now}, never committed")),
        Some(line) if line.allows(figure) => None,
        Some(line) => Some(format!("  {name}: {now}, committed {} (may differ by {})", line.value, line.tolerance)),
    }
}

/// One test at a time, since each leaves what the others measure.
fn update(path: &Path, figures: &[Measured]) {
    static TABLE: Mutex<()> = Mutex::new(());
    let _table = TABLE.lock();
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, updated(&text, figures)).unwrap();
}

/// The table with the values of `figures` in place of its own; tolerances stay.
fn updated(text: &str, figures: &[Measured]) -> String {
    let written = |name: &str, value: &str, tolerance: &str| format!("{name:<40} | {value:>16} | {tolerance}\n");
    let mut table = String::new();
    for line in text.lines() {
        let found = Line::parse(line).and_then(|old| Some((figures.iter().find(|f| f.name == old.name)?, old)));
        match found {
            Some((figure, old)) => table += &written(old.name, &figure.text(), old.tolerance),
            None => table += &format!("{line}\n"),
        }
    }
    for figure in figures.iter().filter(|f| !text.lines().filter_map(Line::parse).any(|line| line.name == f.name)) {
        table += &written(&figure.name, &figure.text(), NEW);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "a |  00000000000000ff | 0\nb | 100.0 | ±1%\nc | 2.0 | +50%\nd | 0.0 | 0\n";

    fn red(name: &str, number: f64) -> bool {
        complaint(TABLE, &Measured::number(name, number)).is_some()
    }

    #[test]
    fn tolerances_bound_either_side_or_one() {
        assert!(complaint(TABLE, &Measured::hash("a", 255)).is_none());
        assert!(complaint(TABLE, &Measured::hash("a", 254)).is_some());
        assert_eq!([98.9, 99.1, 100.9, 101.1].map(|value| red("b", value)), [true, false, false, true]);
        assert_eq!([0.1, 2.9, 3.1].map(|value| red("c", value)), [false, false, true]);
        assert_eq!([0.0, 0.001].map(|value| red("d", value)), [false, true]);
        assert!(red("e", 0.0), "what was never committed");
    }

    #[test]
    fn an_update_keeps_tolerances_and_what_was_not_measured() {
        let text = updated(TABLE, &[Measured::number("c", 3.0), Measured::number("e", 1.0)]);
        let cells = |name: &str| {
            let line = text.lines().filter_map(Line::parse).find(|line| line.name == name).unwrap();
            (line.value.to_string(), line.tolerance.to_string())
        };
        assert_eq!(cells("b"), ("100.0".into(), "±1%".into()));
        assert_eq!(cells("c"), ("3.0000".into(), "+50%".into()));
        assert_eq!(cells("e"), ("1.0000".into(), NEW.into()));
    }
}
