//! A [`Node`] as serde reads it.
//!
//! Stricter than a `serde_json::Value` in one thing: a list is never taken for a mapping's values in order. A key with
//! nothing after it is not there.

use serde::Deserializer;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Error as _, IntoDeserializer, Unexpected, Visitor};
use serde_json::{Error, Value};

use super::tree::{Kind, Node};

impl<'de> IntoDeserializer<'de, Error> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Node {
    fn given_entries(&self) -> Option<impl Iterator<Item = (&str, &Self)>> {
        let Kind::Mapping(entries) = &self.kind else { return None };
        let given = entries.iter().filter(|entry| entry.value.kind != Kind::Empty);
        Some(given.map(|entry| (entry.key.as_str(), &entry.value)))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.kind {
            Kind::Empty => visitor.visit_unit(),
            Kind::Scalar(value) => value.deserialize_any(visitor),
            Kind::Sequence(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Kind::Mapping(_) => visitor.visit_map(MapDeserializer::new(self.given_entries().into_iter().flatten())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.kind {
            Kind::Empty | Kind::Scalar(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.kind {
            Kind::Sequence(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.kind {
            Kind::Scalar(value) => value.deserialize_enum(name, variants, visitor),
            Kind::Mapping(_) => {
                let mut entries = self.given_entries().into_iter().flatten();
                match (entries.next(), entries.next()) {
                    (Some(entry), None) => {
                        let single = MapDeserializer::new(std::iter::once(entry));
                        visitor.visit_enum(serde::de::value::MapAccessDeserializer::new(single))
                    }
                    _ => Err(Error::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            Kind::Sequence(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            Kind::Empty => Err(Error::invalid_type(Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}
