//! Where in a call's parameters something stands: `TerminateWorkspaceRequests[3].Foo`.

use std::fmt;

/// Characters of one name that a message shows.
const NAME_SHOWN_MAX: usize = 80;

/// A path from the top of an input to one of its values, as names on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// Innermost first: an error collects its path on the way out.
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Index(usize),
}

impl Path {
    /// The path of the whole input.
    #[must_use]
    pub const fn top() -> Self {
        Self {
            segments: Vec::new(),
        }
    }

    /// The path of a member of the whole input.
    #[must_use]
    pub fn of(member: &str) -> Self {
        Self::top().within(member)
    }

    /// The same place, seen from one level further out, where it lies in the member `name`.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.segments.push(Segment::Member(shown(name)));
        self
    }

    /// The same place, seen from one level further out, where it lies in the item `index` of a list.
    #[must_use]
    pub fn within_item(mut self, index: usize) -> Self {
        self.segments.push(Segment::Index(index));
        self
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("the input");
        }
        f.write_str("`")?;
        for (at, segment) in self.segments.iter().rev().enumerate() {
            match segment {
                Segment::Member(name) if at == 0 => f.write_str(name)?,
                Segment::Member(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str("`")
    }
}

/// A text from outside, fit for a message: control characters escaped, its length bounded.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == NAME_SHOWN_MAX {
            out.push('…');
            break;
        }
        if c.is_control() || c == '`' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_from_the_top() {
        let path = Path::of("Foo")
            .within_item(3)
            .within("TerminateWorkspaceRequests");
        assert_eq!(path.to_string(), "`TerminateWorkspaceRequests[3].Foo`");
        assert_eq!(Path::top().to_string(), "the input");
    }

    #[test]
    fn a_hostile_name_is_shortened_and_escaped() {
        let name = format!("a\n`{}", "x".repeat(500));
        let path = Path::of(&name).to_string();
        assert!(path.len() < 110, "{path}");
        assert!(path.starts_with("`a\\u{a}\\u{60}x"), "{path}");
    }
}
