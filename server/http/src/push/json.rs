//! The JSON pushes, old and new shape, as leniently as Loki reads them: unknown keys and what follows the document are
//! ignored, label values may be numbers, strings need not be UTF-8.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use narvi_distributor::RawStream;
use narvi_types::{Entry, Metadata, Timestamp};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{JsonShape, PushError, parse_labels};
use crate::params::rfc3339;

/// Decodes a push. Lines without escapes are slices of the body.
pub(crate) fn decode(shape: JsonShape, body: &Bytes) -> Result<Vec<RawStream>, PushError> {
    if body.trim_ascii().is_empty() {
        return Err(PushError::bad("EOF"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let context = Context { shape, body };
    // What follows the document is not looked at, so no call of `end`.
    context.deserialize(&mut deserializer).map_err(|error| PushError::bad(error.to_string()))
}

#[derive(Clone, Copy)]
struct Context<'b> {
    shape: JsonShape,
    body: &'b Bytes,
}

impl Context<'_> {
    fn bytes(self, text: Cow<'_, [u8]>) -> Bytes {
        match text {
            Cow::Borrowed(text) => self.body.slice_ref(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// Makes a visitor of one kind of value that also takes `null` as its default.
macro_rules! seed {
    ($name:ident, $value:ty, $expecting:literal, { $($visit:tt)* }) => {
        #[derive(Clone, Copy)]
        struct $name<'b>(Context<'b>);
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $value;
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
        impl<'de> Visitor<'de> for $name<'_> {
            type Value = $value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }
            fn visit_unit<E: de::Error>(self) -> Result<$value, E> {
                Ok(Default::default())
            }
            $($visit)*
        }
    };
}

impl<'de> DeserializeSeed<'de> for Context<'_> {
    type Value = Vec<RawStream>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Request(self))
    }
}

seed!(Request, Vec<RawStream>, "an object with \"streams\"", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(key) = map.next_key_seed(Text)? {
            match &*key {
                b"streams" => streams = map.next_value_seed(Streams(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(streams)
    }
});

seed!(Streams, Vec<RawStream>, "a list of streams", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(stream) = seq.next_element_seed(Stream(self.0))? {
            streams.push(stream);
        }
        Ok(streams)
    }
});

seed!(Stream, RawStream, "a stream", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut stream = RawStream::default();
        let mut text = None;
        while let Some(key) = map.next_key_seed(Text)? {
            match (self.0.shape, &*key) {
                (JsonShape::V1, b"stream") => stream.labels = map.next_value_seed(LabelSet)?,
                (JsonShape::V1, b"values") => stream.entries = map.next_value_seed(Values(self.0))?,
                (JsonShape::Legacy, b"labels") => text = Some(map.next_value_seed(Text)?),
                (JsonShape::Legacy, b"entries") => stream.entries = map.next_value_seed(Values(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let parse = |text: &str| parse_labels(text).map_err(de::Error::custom);
        if let Some(text) = text {
            stream.labels = parse(&String::from_utf8_lossy(&text))?;
        }
        if !stream.labels.iter().all(|(name, _)| is_name(name)) {
            // Said as if the set had been written out, since that is what Loki checks.
            stream.labels.sort();
            parse(&print(&stream.labels))?;
        }
        Ok(stream)
    }
});

fn is_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b.is_ascii_digit())
}

fn print(pairs: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (name, value) in pairs {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        // Writing to a string cannot fail.
        let _ = narvi_types::go_quote(&mut out, value);
    }
    out + "}"
}

/// The labels of a stream; `null` is none.
struct LabelSet;

impl<'de> DeserializeSeed<'de> for LabelSet {
    type Value = Vec<(String, String)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LabelSet {
    type Value = Vec<(String, String)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut labels: Vec<(String, String)> = Vec::new();
        while let Some(name) = map.next_key_seed(Text)? {
            let name = String::from_utf8_lossy(&name).into_owned();
            let value = match map.next_value::<&serde_json::value::RawValue>()?.get() {
                "null" => String::new(),
                text if text.starts_with('"') => serde_json::from_str(text).map_err(de::Error::custom)?,
                text => text.to_owned(),
            };
            match labels.iter_mut().find(|(n, _)| *n == name) {
                Some(label) => label.1 = value,
                None => labels.push((name, value)),
            }
        }
        Ok(labels)
    }
}

seed!(Values, Vec<Entry>, "a list of entries", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        loop {
            let entry = match self.0.shape {
                JsonShape::V1 => seq.next_element_seed(Value(self.0))?,
                JsonShape::Legacy => seq.next_element_seed(LegacyEntry(self.0))?,
            };
            match entry {
                Some(Some(entry)) => entries.push(entry),
                Some(None) => return Err(de::Error::custom("an entry is null")),
                None => return Ok(entries),
            }
        }
    }
});

seed!(Value, Option<Entry>, "an entry: [\"<ns>\", \"<line>\"] or [\"<ns>\", \"<line>\", {metadata}]", {
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let time = seq.next_element_seed(Text)?.unwrap_or(Cow::Borrowed(b""));
        let time = std::str::from_utf8(&time).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let text = String::from_utf8_lossy(&time);
            de::Error::custom(format!("\"{text}\" is not a timestamp: a string of nanoseconds since 1970 is expected"))
        })?;
        let line = seq.next_element_seed(Text)?.unwrap_or(Cow::Borrowed(b""));
        let mut entry = Entry::new(Timestamp::from_ns(time), Bytes::new());
        if !line.is_empty() {
            entry.line = self.0.bytes(line);
        }
        if let Some(metadata) = seq.next_element_seed(Pairs)? {
            entry.metadata = metadata;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(entry))
    }
});

seed!(LegacyEntry, Option<Entry>, "an entry: {\"ts\": \"<RFC 3339>\", \"line\": \"...\"}", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entry = Entry::new(Timestamp::from_ns(0), Bytes::new());
        while let Some(key) = map.next_key_seed(Text)? {
            match &*key {
                b"ts" => {
                    let text = map.next_value_seed(Text)?;
                    let text = String::from_utf8_lossy(&text);
                    entry.timestamp = Timestamp::from_ns(rfc3339(&text).ok_or_else(|| {
                        de::Error::custom(format!("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\""))
                    })?);
                }
                b"line" => entry.line = self.0.bytes(map.next_value_seed(Text)?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(entry))
    }
});

/// A string, borrowed where it has no escapes, not checked for UTF-8.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, [u8]>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, [u8]>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }
    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }
}

/// The third element of an entry: an object whose values are strings.
struct Pairs;

impl<'de> DeserializeSeed<'de> for Pairs {
    type Value = Metadata;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Metadata;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of structured metadata")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        while let Some(name) = map.next_key_seed(Text)? {
            let value = map.next_value_seed(Text)?;
            let name = String::from_utf8_lossy(&name).into_owned();
            pairs.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
        Metadata::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).map_err(de::Error::custom)
    }
}
