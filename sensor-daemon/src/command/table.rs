//! Tables for a terminal: columns as wide as what stands in them.

use std::fmt;

/// Rows under headings.
#[derive(Debug)]
pub struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub const fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    /// The last column is as wide as it likes; a column of numbers is aligned to the right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |index: usize| self.rows.iter().map(move |row| row[index].as_str());
        let widths: [usize; N] = std::array::from_fn(|index| {
            let cells = std::iter::once(self.headings[index]).chain(column(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        });
        let numeric: [bool; N] =
            std::array::from_fn(|index| !self.rows.is_empty() && column(index).all(|cell| cell.parse::<f64>().is_ok()));
        let headings = self.headings.map(str::to_owned);
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[index] - cell.chars().count());
                let parts = if numeric[index] { [pad.as_str(), cell] } else { [cell, pad.as_str()] };
                line.extend(parts);
                line.push_str("  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_to_the_right() {
        let mut table = Table::new(["what", "count"]);
        table.row(["ñandú".into(), "7".into()]);
        table.row(["x".into(), "12345".into()]);
        assert_eq!(table.to_string(), "what   count\nñandú      7\nx      12345\n");
    }
}
