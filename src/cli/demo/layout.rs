//! How the demonstration is laid out: a table that fits the terminal, each reason below its row, colours where they
//! are wanted.

use std::io::IsTerminal as _;

use crate::cli::table::printable;

/// Columns of the verdict and the policy, and what stands between columns.
const VERDICT: usize = 7;
const POLICY: usize = 20;
const GAP: usize = 2;

/// The call's column: whole actions from [`WIDE`] on, else broken after their service.
const CALL_WIDE: usize = 44;
const CALL_NARROW: usize = 28;
const WIDE: usize = 96;
/// The resources' column takes what is left, up to this.
const RESOURCES_MAX: usize = 40;
/// How far a reason stands in.
const INDENT: usize = 4;

/// Narrower terminals wrap by themselves; wider ones are left empty at the right.
const WIDTH_MIN: usize = 72;
const WIDTH_MAX: usize = 140;
/// Where nobody says how wide it is.
const WIDTH_USUAL: usize = 100;

/// What the output may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) width: usize,
    pub(super) paint: Paint,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Colours,
}

/// One call, as the table tells it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) call: String,
    pub(super) resources: String,
    pub(super) is_allowed: bool,
    pub(super) policies: String,
    /// Empty where there is nothing to say.
    pub(super) reason: String,
}

/// How a text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    None,
    Bold,
    Dim,
    Green,
    Red,
}

impl Style {
    /// By what standard output is and the environment says.
    pub(super) fn of_stdout() -> Self {
        let out = std::io::stdout();
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let terminal = out
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(&out).ok())
            .flatten()
            .map(|size| usize::from(size.ws_col));
        let told = set("COLUMNS").and_then(|columns| columns.parse().ok());
        let width = terminal.filter(|columns| *columns > 0).or(told);
        let plain = !out.is_terminal()
            || set("NO_COLOR").is_some()
            || set("TERM").as_deref() == Some("dumb");
        Self {
            width: width.unwrap_or(WIDTH_USUAL).clamp(WIDTH_MIN, WIDTH_MAX),
            paint: if plain { Paint::Plain } else { Paint::Colours },
        }
    }

    /// A title and its table.
    pub(super) fn table(self, title: &str, rows: &[Row]) -> String {
        let mut out = format!("{}\n", self.ink(Ink::Bold, &printable(title)));
        let (call, resources) = self.columns();
        let row = |texts: [&str; 4], verdict: Ink, rest: Ink| {
            let [action, ids, said, policies] = texts;
            [
                Cell::new(action, call, rest),
                Cell::new(ids, resources, rest),
                Cell::new(said, VERDICT, verdict),
                Cell::new(policies, POLICY, rest),
            ]
        };
        let head = ["CALL", "RESOURCES", "VERDICT", "POLICY"];
        self.lines(&mut out, &row(head, Ink::Dim, Ink::Dim));
        for one in rows {
            let (said, ink) = if one.is_allowed {
                ("allowed", Ink::Green)
            } else {
                ("refused", Ink::Red)
            };
            let texts = [&one.call, &one.resources, said, &one.policies];
            self.lines(&mut out, &row(texts, ink, Ink::None));
            for line in wrap(
                &printable(&one.reason),
                self.width.saturating_sub(INDENT),
                &WORDS,
            ) {
                out.extend(std::iter::repeat_n(' ', INDENT));
                out.push_str(&self.ink(Ink::Dim, &line));
                out.push('\n');
            }
        }
        out
    }

    /// Paragraphs, each a line of `text`, broken between words.
    pub(super) fn paragraphs(self, text: &str) -> String {
        let lines = text.lines().flat_map(|line| {
            let wrapped = wrap(line, self.width, &WORDS);
            if wrapped.is_empty() {
                vec![String::new()]
            } else {
                wrapped
            }
        });
        lines.map(|line| line + "\n").collect()
    }

    /// How wide the call's and the resources' columns are.
    fn columns(self) -> (usize, usize) {
        let call = if self.width >= WIDE {
            CALL_WIDE
        } else {
            CALL_NARROW
        };
        let left = self.width.saturating_sub(call + VERDICT + POLICY + 3 * GAP);
        (call, left.min(RESOURCES_MAX))
    }

    /// A row: as many lines as its tallest cell has.
    fn lines(self, out: &mut String, cells: &[Cell]) {
        let height = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
        for at in 0..height {
            let mut line = String::new();
            let mut owed = 0;
            for cell in cells {
                let text = cell.lines.get(at).map_or("", String::as_str);
                let chars = text.chars().count();
                if chars > 0 {
                    line.extend(std::iter::repeat_n(' ', owed));
                    line.push_str(&self.ink(cell.ink, text));
                    owed = 0;
                }
                owed += cell.width.saturating_sub(chars) + GAP;
            }
            out.push_str(&line);
            out.push('\n');
        }
    }

    fn ink(self, ink: Ink, text: &str) -> String {
        let code = match (self.paint, ink) {
            (Paint::Plain, _) | (Paint::Colours, Ink::None) => return text.to_owned(),
            (Paint::Colours, Ink::Bold) => "1",
            (Paint::Colours, Ink::Dim) => "2",
            (Paint::Colours, Ink::Green) => "32",
            (Paint::Colours, Ink::Red) => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

struct Cell {
    lines: Vec<String>,
    width: usize,
    ink: Ink,
}

impl Cell {
    fn new(text: &str, width: usize, ink: Ink) -> Self {
        Self {
            lines: wrap(&printable(text), width, &NAMES),
            width,
            ink,
        }
    }
}

/// Where a text may be broken: after spaces; in a cell after what joins the parts of a name too.
const WORDS: [char; 1] = [' '];
const NAMES: [char; 3] = [' ', ':', '/'];

/// Breaks a text into lines of at most `width` characters, after `joints`; anywhere where a part alone is too long.
fn wrap(text: &str, width: usize, joints: &[char]) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for part in text.split_inclusive(joints) {
        let fits = part.trim_end().chars().count();
        if length > 0 && length + fits > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            length = 0;
        }
        for c in part.chars() {
            if length == width {
                if c == ' ' {
                    continue;
                }
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            line.push(c);
            length += 1;
        }
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row {
                call: "servicecatalog:TerminateProvisionedProduct".to_owned(),
                resources: "s-plain000000000001 +20".to_owned(),
                is_allowed: false,
                policies: "max-batch-workspaces".to_owned(),
                reason: "It is tagged protected. Someone decided that it must not be lost: ask them, or have an admin take the tag off.".to_owned(),
            },
            Row {
                call: "sts:GetCallerIdentity".to_owned(),
                resources: "-".to_owned(),
                is_allowed: true,
                policies: "base".to_owned(),
                reason: String::new(),
            },
        ]
    }

    #[test]
    fn a_table_stays_within_the_terminal() {
        for width in [72, 80, 95, 96, 100, 120, 140] {
            let style = Style {
                width,
                paint: Paint::Plain,
            };
            let text = style.table("me: what may be done", &rows());
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }

    #[test]
    fn a_narrow_one_breaks_names_where_they_join() {
        let style = Style {
            width: 80,
            paint: Paint::Plain,
        };
        assert_eq!(
            style.table("a title", &rows()),
            "\
a title
CALL                          RESOURCES            VERDICT  POLICY
servicecatalog:               s-plain000000000001  refused  max-batch-workspaces
TerminateProvisionedProduct   +20
    It is tagged protected. Someone decided that it must not be lost: ask them,
    or have an admin take the tag off.
sts:GetCallerIdentity         -                    allowed  base
"
        );
    }

    #[test]
    fn a_wide_one_has_them_whole() {
        let style = Style {
            width: 100,
            paint: Paint::Plain,
        };
        let text = style.table("a title", &rows());
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "servicecatalog:TerminateProvisionedProduct    s-plain000000000001 +20  refused  max-batch-workspaces"
        );
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let paint = |paint| Style { width: 100, paint }.table("a title", &rows());
        let colours = paint(Paint::Colours);
        assert!(colours.contains("\u{1b}[31mrefused\u{1b}[0m"));
        let mut plain = colours;
        for code in ["0", "1", "2", "31", "32"] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(plain, paint(Paint::Plain));
    }

    #[test]
    fn a_terminal_is_told_nothing_that_it_would_act_on() {
        let style = Style {
            width: 80,
            paint: Paint::Plain,
        };
        let mut rows = rows();
        rows[0].reason = "\u{1b}[2J".to_owned();
        assert!(!style.table("t", &rows).contains('\u{1b}'));
    }

    #[test]
    fn texts_break_where_they_may() {
        let check = |text: &str, width: usize, expected: &[&str]| {
            assert_eq!(wrap(text, width, &NAMES), expected, "{text}");
        };
        check("", 5, &[]);
        check("abc", 3, &["abc"]);
        check("abc def", 3, &["abc", "def"]);
        check("abcdefg", 3, &["abc", "def", "g"]);
        check("ab:cdef gh", 7, &["ab:cdef", "gh"]);
        check("env-1/cnctr-1/vm-1", 9, &["env-1/", "cnctr-1/", "vm-1"]);
        assert_eq!(wrap("at /tmp/a", 7, &WORDS), ["at", "/tmp/a"]);
    }
}
