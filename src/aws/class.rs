//! What kind of effect an operation has: exactly one [`Class`], and for `disrupt` a finer [`Group`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of an operation, from the catalog. Each class is a Cedar action group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Read,
    Write,
    Tag,
    Destroy,
    Disrupt,
    Unprotect,
    Indirect,
    Credentials,
    Grant,
}

impl Class {
    /// Every class, in the order in which people meet them.
    pub const ALL: [Class; 9] = [
        Class::Read,
        Class::Write,
        Class::Tag,
        Class::Destroy,
        Class::Disrupt,
        Class::Unprotect,
        Class::Indirect,
        Class::Credentials,
        Class::Grant,
    ];

    /// Whether what its calls do can't be taken back, so that they must not be repeated unasked.
    #[must_use]
    pub const fn destroys(self) -> bool {
        match self {
            Class::Destroy | Class::Disrupt | Class::Unprotect | Class::Indirect => true,
            Class::Read | Class::Write | Class::Tag | Class::Credentials | Class::Grant => false,
        }
    }

    /// Which of two classes is more guarded, for a call whose input puts it in several: first those that nobody is permitted
    /// unasked, of these first what can do everything that somebody else may.
    #[must_use]
    pub const fn weight(self) -> u8 {
        match self {
            Class::Read => 0,
            Class::Write => 1,
            Class::Tag => 2,
            Class::Disrupt => 3,
            Class::Destroy => 4,
            Class::Unprotect => 5,
            Class::Grant => 6,
            Class::Credentials => 7,
            Class::Indirect => 8,
        }
    }

    /// The name of the class as policies, metrics and records spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Write => "write",
            Class::Tag => "tag",
            Class::Destroy => "destroy",
            Class::Disrupt => "disrupt",
            Class::Unprotect => "unprotect",
            Class::Indirect => "indirect",
            Class::Credentials => "credentials",
            Class::Grant => "grant",
        }
    }

    /// Whether calls of this class are parsed, looked up and rebuilt without being asked to.
    #[must_use]
    pub const fn is_guarded(self) -> bool {
        !matches!(self, Class::Read | Class::Write)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A finer group inside [`Class::Disrupt`], an action group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Interrupt,
    Detach,
    Release,
    Overwrite,
    Disable,
    Revoke,
    Shrink,
}

impl Group {
    /// Every finer group.
    pub const ALL: [Group; 7] = [
        Group::Interrupt,
        Group::Detach,
        Group::Release,
        Group::Overwrite,
        Group::Disable,
        Group::Revoke,
        Group::Shrink,
    ];

    /// The name of the group as policies spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::Interrupt => "interrupt",
            Group::Detach => "detach",
            Group::Release => "release",
            Group::Overwrite => "overwrite",
            Group::Disable => "disable",
            Group::Revoke => "revoke",
            Group::Shrink => "shrink",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
