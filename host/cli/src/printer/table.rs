//! Rows under headings, aligned with tabs or with spaces.

/// How columns are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Each column ends at the next multiple of eight that leaves at least one character free, filled with tabs.
    Tabs,
    /// Each column is as wide as its widest cell and so many spaces.
    Spaces(usize),
}

impl Align {
    /// Three spaces between columns, as most tables have.
    pub const SPACES: Self = Self::Spaces(3);
}

/// A table; the rows may include headings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// How its columns are aligned.
    pub align: Align,
    /// Its rows, cell by cell.
    pub rows: Vec<Vec<String>>,
}

const TAB: usize = 8;

impl Table {
    /// The text of the table. The last cell of a row is not padded.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                text.push_str(cell);
                if column + 1 < row.len() {
                    self.pad(&mut text, cell.chars().count(), widths[column]);
                }
            }
            text.push('\n');
        }
        text
    }

    /// The width of a column with its padding. Cells that end their row do not count.
    fn width(&self, column: usize) -> usize {
        let widest = self
            .rows
            .iter()
            .filter(|row| column + 1 < row.len())
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0);
        match self.align {
            Align::Tabs => (widest + 1).div_ceil(TAB) * TAB,
            Align::Spaces(gap) => widest + gap,
        }
    }

    fn pad(&self, text: &mut String, used: usize, width: usize) {
        let free = width.saturating_sub(used);
        match self.align {
            Align::Tabs => text.extend(std::iter::repeat_n('\t', free.div_ceil(TAB))),
            Align::Spaces(_) => text.extend(std::iter::repeat_n(' ', free)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(align: Align, rows: &[&[&str]]) -> String {
        let rows = rows
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        Table { align, rows }.render()
    }

    #[test]
    fn tabs_bring_each_column_to_a_multiple_of_eight() {
        let text = table(
            Align::Tabs,
            &[
                &["NAME", "VERSION", "STATUS"],
                &["helloworld", "latest", "running"],
            ],
        );
        assert_eq!(
            text,
            "NAME\t\tVERSION\tSTATUS\nhelloworld\tlatest\trunning\n"
        );
        // A cell of exactly seven fits in one stop, one of eight does not.
        assert_eq!(
            table(Align::Tabs, &[&["1234567", "x"], &["12345678", "y"]]),
            "1234567\t\tx\n12345678\ty\n"
        );
    }

    #[test]
    fn spaces_leave_three_after_the_widest_cell() {
        let text = table(Align::SPACES, &[&["* local", "1"], &["  platform", "2"]]);
        assert_eq!(text, "* local      1\n  platform   2\n");
    }
}
