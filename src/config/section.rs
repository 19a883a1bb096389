//! Settings by key, each with the place where it was made: the file's tables and the environment, before
//! they are given meaning. An unknown key ends here.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::keys::{self, Key};
use crate::aws::nearest::nearest;

/// The settings of one table, or of the whole configuration.
#[derive(Debug)]
pub(super) struct Section {
    /// What stands before a key's path in messages: `` or `credentials.prod.`.
    prefix: String,
    settings: BTreeMap<&'static str, (Raw, Place)>,
}

/// A value as it was written.
#[derive(Debug, Clone)]
enum Raw {
    /// Of a variable or a default: text, whatever the key takes.
    Plain(String),
    Text(String),
    Flag(bool),
    Number(String),
    List(Vec<Raw>),
    Table(BTreeMap<String, Raw>),
    /// A type that no key takes, by its TOML name.
    Other(&'static str),
}

/// A value with its key and place, so that whoever finds fault with it can say where it stands.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) place: Place,
}

impl<T> Found<T> {
    /// An error about this value.
    pub(super) fn invalid(
        &self,
        value: &str,
        problem: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> ConfigError {
        ConfigError::Invalid {
            place: self.place.clone(),
            key: self.key.clone(),
            value: value.into(),
            problem: problem.into().into(),
            help: help.into(),
        }
    }

    /// The same key and place with another value.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Found<U> {
        Found {
            value: f(self.value),
            key: self.key,
            place: self.place,
        }
    }
}

impl Section {
    /// A section in which nothing is set.
    pub(super) fn new(prefix: String) -> Self {
        Self {
            prefix,
            settings: BTreeMap::new(),
        }
    }

    /// Takes over every key of a table, going down into those tables that `known` knows.
    ///
    /// # Errors
    /// The first key that `known` does not hold.
    pub(super) fn read(
        &mut self,
        table: &DeTable<'_>,
        known: &'static [Key],
        source: &Source<'_>,
    ) -> Result<(), ConfigError> {
        self.read_at("", table, known, source)
    }

    fn read_at(
        &mut self,
        above: &str,
        table: &DeTable<'_>,
        known: &'static [Key],
        source: &Source<'_>,
    ) -> Result<(), ConfigError> {
        for (name, value) in in_order(table) {
            let path = format!("{above}{}", name.get_ref());
            let is_top_level = above.is_empty() && self.prefix.is_empty();
            if is_top_level && is_table_of_tables(&path) {
                continue;
            }
            let dotted = name.get_ref().contains('.');
            let key = known.iter().find(|k| k.path == path && !dotted);
            let inner = format!("{path}.");
            let leads_on = known.iter().any(|k| k.path.starts_with(&inner)) && !dotted;
            match (key, value.get_ref()) {
                (Some(key), value) => {
                    let place = source.place(name.span());
                    self.settings.insert(key.path, (Raw::of(value), place));
                }
                (None, DeValue::Table(table)) if leads_on => {
                    self.read_at(&inner, table, known, source)?;
                }
                (None, _) if leads_on => {
                    return Err(ConfigError::WrongType {
                        place: source.place(name.span()),
                        key: path,
                        wants: "a table",
                        found: Raw::of(value.get_ref()).kind().to_owned(),
                    });
                }
                (None, _) => {
                    return Err(self.unknown(&path, known, source.place(name.span())));
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, path: &str, known: &'static [Key], place: Place) -> ConfigError {
        let leaf = path.rsplit_once('.').map_or(path, |(_, leaf)| leaf);
        let tables = [keys::CALLER, keys::CREDENTIALS, keys::BUDGET];
        let sections = known.iter().filter_map(|k| k.path.split_once('.'));
        let candidates = known
            .iter()
            .map(|k| k.path)
            .chain(sections.map(|(section, _)| section))
            .chain(tables.into_iter().filter(|_| self.prefix.is_empty()));
        let nearest = nearest(path, candidates).or_else(|| {
            // The right name in the wrong table.
            known.iter().find(|k| k.leaf() == leaf).map(|k| k.path)
        });
        ConfigError::UnknownKey {
            place,
            key: format!("{}{path}", self.prefix),
            nearest: nearest.map(|n| format!("{}{n}", self.prefix)),
        }
    }

    /// Lays the environment's `PALISADE_…` variables over what is set.
    ///
    /// # Errors
    /// A variable that begins with `PALISADE_` and sets nothing.
    pub(super) fn overlay(
        &mut self,
        environment: &[(String, String)],
        known: &'static [Key],
    ) -> Result<(), ConfigError> {
        for (name, value) in environment {
            if !name.starts_with("PALISADE_") || keys::OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let Some(key) = known.iter().find(|k| k.variable() == *name) else {
                let variables: Vec<String> = known.iter().map(Key::variable).collect();
                let candidates = variables
                    .iter()
                    .map(String::as_str)
                    .chain(keys::OTHER_VARIABLES.iter().copied());
                return Err(ConfigError::UnknownVariable {
                    name: name.clone(),
                    nearest: nearest(name, candidates).map(str::to_owned),
                });
            };
            let setting = (Raw::Plain(value.clone()), Place::Variable(name.clone()));
            self.settings.insert(key.path, setting);
        }
        Ok(())
    }

    fn find(&self, key: Key) -> Found<Raw> {
        let (value, place) = self.settings.get(key.path).cloned().unwrap_or_else(|| {
            let default = Raw::Plain(key.default.to_owned());
            (default, Place::Default)
        });
        Found {
            value,
            key: format!("{}{}", self.prefix, key.path),
            place,
        }
    }

    /// Whether somebody set the key, be it to its default.
    pub(super) fn is_set(&self, key: Key) -> bool {
        self.settings.contains_key(key.path)
    }

    /// The key's text.
    ///
    /// # Errors
    /// The value is no text, or holds a control character.
    pub(super) fn text(&self, key: Key) -> Result<Found<String>, ConfigError> {
        let found = self.find(key);
        let text = match &found.value {
            Raw::Plain(text) | Raw::Text(text) => text.clone(),
            Raw::Flag(_) | Raw::Number(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                return Err(wrong_type(&found, "a string"));
            }
        };
        let found = found.map(|_| text);
        if found.value.chars().any(char::is_control) {
            let shown: String = found.value.escape_debug().collect();
            return Err(found.invalid(&shown, "holds a control character", None));
        }
        Ok(found)
    }

    /// The key's flag.
    ///
    /// # Errors
    /// The value is neither `true` nor `false`.
    pub(super) fn flag(&self, key: Key) -> Result<Found<bool>, ConfigError> {
        let found = self.find(key);
        let flag = match &found.value {
            Raw::Flag(flag) => *flag,
            Raw::Plain(text) if text == "true" => true,
            Raw::Plain(text) if text == "false" => false,
            Raw::Plain(_)
            | Raw::Text(_)
            | Raw::Number(_)
            | Raw::List(_)
            | Raw::Table(_)
            | Raw::Other(_) => {
                return Err(wrong_type(&found, "`true` or `false`"));
            }
        };
        Ok(found.map(|_| flag))
    }

    /// The key's whole number.
    ///
    /// # Errors
    /// The value is no whole number, or a negative one.
    pub(super) fn number(&self, key: Key) -> Result<Found<u64>, ConfigError> {
        let found = self.find(key);
        let digits = match &found.value {
            Raw::Number(digits) | Raw::Plain(digits) => digits.replace('_', ""),
            Raw::Text(_) | Raw::Flag(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                String::new()
            }
        };
        match digits.parse::<u64>() {
            Ok(number) => Ok(found.map(|_| number)),
            Err(_) => Err(wrong_type(&found, "a whole number")),
        }
    }

    /// The key's list of texts.
    ///
    /// # Errors
    /// The value is no list, or holds something else than texts.
    pub(super) fn list(&self, key: Key) -> Result<Found<Vec<String>>, ConfigError> {
        const WANTS: &str = "a list of strings";
        let found = self.find(key);
        let list = match &found.value {
            Raw::Plain(text) if text.is_empty() => Vec::new(),
            Raw::Plain(text) => text.split(',').map(|t| t.trim().to_owned()).collect(),
            Raw::List(items) => items
                .iter()
                .map(|item| match item {
                    Raw::Text(text) => Ok(text.clone()),
                    Raw::Plain(_)
                    | Raw::Flag(_)
                    | Raw::Number(_)
                    | Raw::List(_)
                    | Raw::Table(_)
                    | Raw::Other(_) => Err(wrong_type(&found, WANTS)),
                })
                .collect::<Result<_, _>>()?,
            Raw::Text(_) | Raw::Flag(_) | Raw::Number(_) | Raw::Table(_) | Raw::Other(_) => {
                return Err(wrong_type(&found, WANTS));
            }
        };
        Ok(found.map(|_| list))
    }

    /// The key's list of tables of two texts each, `{ first = "…", second = "…" }`; in a variable `a=b,c=d`.
    ///
    /// # Errors
    /// The value is no list, or holds something else than such tables.
    pub(super) fn pairs(
        &self,
        key: Key,
        names: [&str; 2],
        wants: &'static str,
    ) -> Result<Found<Vec<(String, String)>>, ConfigError> {
        let found = self.find(key);
        let pair = |item: &Raw| match item {
            Raw::Table(table) if table.len() == names.len() => {
                let mut texts = names.iter().map(|name| match table.get(*name) {
                    Some(Raw::Text(text)) => Some(text.clone()),
                    Some(_) | None => None,
                });
                Some((texts.next()??, texts.next()??))
            }
            Raw::Plain(text) => {
                let (first, second) = text.split_once('=')?;
                Some((first.trim().to_owned(), second.trim().to_owned()))
            }
            Raw::Table(_)
            | Raw::Text(_)
            | Raw::Flag(_)
            | Raw::Number(_)
            | Raw::List(_)
            | Raw::Other(_) => None,
        };
        let pairs: Option<Vec<_>> = match &found.value {
            Raw::Plain(text) if text.is_empty() => Some(Vec::new()),
            Raw::Plain(text) => {
                let each = text.split(',');
                each.map(|t| pair(&Raw::Plain(t.to_owned()))).collect()
            }
            Raw::List(items) => items.iter().map(pair).collect(),
            Raw::Text(_) | Raw::Flag(_) | Raw::Number(_) | Raw::Table(_) | Raw::Other(_) => None,
        };
        match pairs {
            Some(pairs) => Ok(found.map(|_| pairs)),
            None => Err(wrong_type(&found, wants)),
        }
    }

    /// Checks that a key whose feature isn't built has no value: `""`, `[]`.
    ///
    /// # Errors
    /// [`ConfigError::Unbuilt`] for any other value.
    pub(super) fn unbuilt(&self, key: Key) -> Result<(), ConfigError> {
        let found = self.find(key);
        let is_empty = match &found.value {
            Raw::Plain(text) | Raw::Text(text) => text.is_empty(),
            Raw::List(items) => items.is_empty(),
            Raw::Flag(_) | Raw::Number(_) | Raw::Table(_) | Raw::Other(_) => false,
        };
        if is_empty {
            return Ok(());
        }
        Err(ConfigError::Unbuilt {
            place: found.place,
            what: found.key,
            help: "take the key out, or leave it empty".to_owned(),
        })
    }

    /// A key's value out of a few; `unbuilt` holds those whose feature doesn't exist yet.
    ///
    /// # Errors
    /// [`ConfigError::Unbuilt`], or [`ConfigError::Invalid`] naming what there is.
    pub(super) fn choice<T: Copy>(
        &self,
        key: Key,
        built: &[(&'static str, T)],
        unbuilt: &[&'static str],
    ) -> Result<T, ConfigError> {
        let found = self.text(key)?;
        if let Some((_, value)) = built.iter().find(|(name, _)| *name == found.value) {
            return Ok(*value);
        }
        let names: Vec<String> = built.iter().map(|(n, _)| format!("`{n}`")).collect();
        if unbuilt.contains(&found.value.as_str()) {
            return Err(ConfigError::Unbuilt {
                what: format!("{} = \"{}\"", found.key, found.value),
                place: found.place,
                help: format!("what there is: {}", names.join(", ")),
            });
        }
        let candidates = built.iter().map(|(name, _)| *name);
        let help = nearest(&found.value, candidates).map_or_else(
            || format!("what there is: {}", names.join(", ")),
            |n| format!("did you mean `{n}`?"),
        );
        Err(found.invalid(&found.value, "not one of its values", help))
    }
}

/// The file that settings come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The file's name as messages show it.
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Where a span of bytes begins.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        Place::File {
            path: self.path.into(),
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
        }
    }
}

/// A table's entries in the order in which they stand in the file.
pub(super) fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t Spanned<std::borrow::Cow<'i, str>>,
    &'t Spanned<DeValue<'i>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn is_table_of_tables(name: &str) -> bool {
    [keys::CALLER, keys::CREDENTIALS, keys::BUDGET].contains(&name)
}

fn wrong_type(found: &Found<Raw>, wants: &'static str) -> ConfigError {
    ConfigError::WrongType {
        place: found.place.clone(),
        key: found.key.clone(),
        wants,
        found: match &found.value {
            Raw::Plain(text) => format!("`{text}`"),
            Raw::Number(digits) => format!("`{digits}`"),
            Raw::Text(_) | Raw::Flag(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => {
                found.value.kind().to_owned()
            }
        },
    }
}

impl Raw {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Boolean(flag) => Raw::Flag(*flag),
            DeValue::Integer(number) if number.radix() == 10 => {
                Raw::Number(number.as_str().to_owned())
            }
            DeValue::Integer(_) => Raw::Other("a number that isn't decimal"),
            DeValue::Array(items) => {
                Raw::List(items.iter().map(|i| Raw::of(i.get_ref())).collect())
            }
            DeValue::Float(_) => Raw::Other("a fraction"),
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Table(table) => {
                let entries = table.iter();
                Raw::Table(
                    entries
                        .map(|(name, value)| (name.get_ref().to_string(), Raw::of(value.get_ref())))
                        .collect(),
                )
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Raw::Plain(_) | Raw::Text(_) => "a string",
            Raw::Flag(_) => "a flag",
            Raw::Number(_) => "a number",
            Raw::List(_) => "such a list",
            Raw::Table(_) => "a table",
            Raw::Other(name) => name,
        }
    }
}
