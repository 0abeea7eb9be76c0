//! The visitor that builds a [`Tree`] and counts what it costs.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{DecodeError, Limits, MAX_REPORTED};
use crate::{Map, Tree};

/// What is remembered while a body is read.
pub(super) struct State {
    limits: Limits,
    /// YAML writes `1.0` where JSON would write `1`.
    whole_floats_are_integers: bool,
    nodes: usize,
    path: String,
    /// Paths of repeated keys.
    pub(super) duplicates: Vec<String>,
    /// Which limit was exceeded; the deserializers would only hand back its text.
    pub(super) breach: Option<DecodeError>,
}

/// What a map costs beyond a scalar: a B-tree leaf has room for eleven entries.
const MAP_NODES: usize = 20;

impl State {
    pub(super) fn new(limits: Limits, whole_floats_are_integers: bool) -> Self {
        let (path, duplicates) = (String::new(), Vec::new());
        Self { limits, whole_floats_are_integers, nodes: 0, path, duplicates, breach: None }
    }

    fn charge<E: serde::de::Error>(&mut self, nodes: usize) -> Result<(), E> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err(self.refuse(DecodeError::TooLarge(self.limits.nodes)));
        }
        Ok(())
    }

    fn descend<E: serde::de::Error>(&mut self, depth: usize) -> Result<usize, E> {
        if depth >= self.limits.depth {
            return Err(self.refuse(DecodeError::TooDeep(self.limits.depth)));
        }
        Ok(depth + 1)
    }

    fn refuse<E: serde::de::Error>(&mut self, breach: DecodeError) -> E {
        let error = E::custom(&breach);
        self.breach = Some(breach);
        error
    }

    fn duplicate(&mut self) {
        if self.duplicates.len() < MAX_REPORTED && !self.duplicates.contains(&self.path) {
            self.duplicates.push(self.path.clone());
        }
    }
}

pub(super) struct Seed<'s> {
    pub(super) state: &'s mut State,
    /// How many lists and objects are open around this value.
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::from(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 64 bits JSON numbers are floats; no integer field takes them"
    )]
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Tree, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 64 bits JSON numbers are floats; no integer field takes them"
    )]
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Tree, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers below 2^53 are cast")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        self.state.charge(1)?;
        if self.state.whole_floats_are_integers
            && value.fract() == 0.0
            && value.abs() < 9_007_199_254_740_992.0
        {
            return Ok(Tree::from(value as i64));
        }
        serde_json::Number::from_f64(value).map(Tree::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::String(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Tree, E> {
        self.state.charge(1)?;
        Ok(Tree::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Tree, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<Tree, E> {
        match std::str::from_utf8(value) {
            Ok(text) => self.visit_str(text),
            Err(_) => Err(E::custom("binary data is not UTF-8")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        self.state.charge(1)?;
        let depth = self.state.descend(self.depth)?;
        let mut items = Vec::new();
        let outer = self.state.path.len();
        loop {
            use fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(self.state.path, "[{}]", items.len());
            let item = access.next_element_seed(Seed { state: &mut *self.state, depth })?;
            self.state.path.truncate(outer);
            match item {
                Some(item) => items.push(item),
                None => return Ok(Tree::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        self.state.charge(1)?;
        let depth = self.state.descend(self.depth)?;
        let mut fields = Map::new();
        let outer = self.state.path.len();
        while let Some(key) = access.next_key_seed(Key)? {
            // Keys of one map share leaves; charging each eleventh would be exact, charging the first is enough.
            if fields.is_empty() {
                self.state.charge(MAP_NODES)?;
            }
            self.state.charge(1)?;
            if outer > 0 {
                self.state.path.push('.');
            }
            self.state.path.push_str(&key);
            if fields.contains_key(&key) {
                self.state.duplicate();
            }
            let value = access.next_value_seed(Seed { state: &mut *self.state, depth })?;
            self.state.path.truncate(outer);
            fields.insert(key, value);
        }
        Ok(Tree::Object(fields))
    }
}

/// A key: always a text, also where YAML would see a number.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_string(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as key")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<String, E> {
        Ok(value)
    }
}
