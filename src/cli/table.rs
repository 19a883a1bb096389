//! Tables for people.

use std::io::{self, Write};

/// Prints rows under a head, each column as wide as its widest cell. What a terminal would act on is escaped.
///
/// # Errors
/// Where the output can't be written.
pub(crate) fn table<const N: usize>(
    out: &mut dyn Write,
    head: &[&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printable(cell)))
        .collect();
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    line(out, head, &widths)?;
    rows.iter().try_for_each(|row| line(out, row, &widths))
}

/// The text with control characters, and those that turn its direction, written as escapes.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                clean.extend(c.escape_unicode());
            }
            c if c.is_control() => clean.extend(c.escape_default()),
            c => clean.push(c),
        }
    }
    clean
}

/// The same as text.
pub(crate) fn text<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let mut out = Vec::new();
    // Writing to memory doesn't fail.
    let _ = table(&mut out, head, rows);
    String::from_utf8_lossy(&out).into_owned()
}

/// Rows of as many cells as the head, the cells but the first to the right, as numbers stand.
pub(crate) fn columns(head: &[String], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)) {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = printable(cell);
            if at == 0 {
                out.push_str(&format!("{cell:width$}"));
            } else {
                out.push_str(&format!("  {cell:>width$}"));
            }
        }
        out.push('\n');
    }
    out
}

fn line<S: AsRef<str>>(out: &mut dyn Write, cells: &[S], widths: &[usize]) -> io::Result<()> {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cell.as_ref();
        text.push_str(cell);
        let gap = width.saturating_sub(cell.chars().count()) + 2;
        text.extend(std::iter::repeat_n(' ', gap));
    }
    writeln!(out, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = [
            ["ä".to_owned(), "x".to_owned()],
            ["long".to_owned(), String::new()],
        ];
        table(&mut out, &["A", "B"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "A     B\nä     x\nlong\n");
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("größe"), "größe");
    }
}
