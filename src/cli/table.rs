//! Tables for people: columns as wide as their widest cell.

/// Lays rows out under their heads, each line ended.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let heads = line(&heads.map(str::to_owned), &widths);
    let rows = rows.iter().map(|row| line(row, &widths));
    std::iter::once(heads).chain(rows).collect()
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, widest) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
    }
    format!("{}\n", line.trim_end())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["ä", "bb"], ["ccc", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["A", "B"], &rows), "A    B\nä    bb\nccc\n");
    }
}
