//! The table that is printed at the end.

use std::{fmt, time::Duration};

/// Rows of a name, two measured things and what they come to.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// A row of ours beside something else, and their ratio.
    pub(crate) fn ratio(&mut self, name: impl Into<String>, ours: f64, other: f64, unit: &str) {
        self.rows.push([
            name.into(),
            format!("{ours:.0} {unit}"),
            format!("{other:.0} {unit}"),
            format!("{:.2}", ours / other),
        ]);
    }

    /// A row of one figure.
    pub(crate) fn figure(&mut self, name: impl Into<String>, figure: impl Into<String>) {
        self.rows
            .push([name.into(), figure.into(), String::new(), String::new()]);
    }
}

/// A short time as people read it.
pub(crate) fn short(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1e3 {
        format!("{micros:.1} µs")
    } else {
        format!("{:.1} ms", micros / 1e3)
    }
}

/// The median of some measurements.
pub(crate) fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("measurements can be compared"));
    values[values.len() / 2]
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "ours", "beside", "ratio"].map(str::to_owned);
        let all: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| {
            let cells = all.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2), width(3)];
        for row in all {
            writeln!(
                f,
                "{:<w0$}  {:>w1$}  {:>w2$}  {:>w3$}",
                row[0],
                row[1],
                row[2],
                row[3],
                w0 = widths[0],
                w1 = widths[1],
                w2 = widths[2],
                w3 = widths[3],
            )?;
        }
        Ok(())
    }
}
