//! What is asked of index tables.

use narvi_types::{
    Matcher, Tenant, TimeRange,
    wire::{Reader, WireError, Writer as _},
};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::VERSION;
use crate::{Error, ErrorKind, Result, matchers};

/// What is asked of one or several index tables.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct IndexQuestion {
    /// Whose streams.
    pub tenant: Tenant,
    /// What of them.
    pub wanted: IndexWanted,
    /// Which of them; without matchers all.
    pub matchers: Vec<Matcher>,
}

/// What is wanted of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum IndexWanted {
    /// Their labels and blocks.
    Blocks,
    /// The names of their labels.
    LabelNames,
    /// The values of a label.
    LabelValues(String),
}

/// A table that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct IndexTable {
    /// Its key in the store.
    pub key: String,
    /// At which times; both ends inside. No more than the table holds, so that whatever covers it asks the same.
    pub range: TimeRange,
}

impl IndexQuestion {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_str(self.tenant.as_str());
        match &self.wanted {
            IndexWanted::Blocks => out.put_u8(0),
            IndexWanted::LabelNames => out.put_u8(1),
            IndexWanted::LabelValues(name) => {
                out.put_u8(2);
                out.put_str(name);
            }
        }
        matchers::encode(&self.matchers, out);
    }

    /// The question for some tables as bytes, for [`IndexQuestion::decode`] of any build with the same version byte.
    pub fn encode(&self, tables: &[IndexTable]) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out.put_varint(tables.len() as u64);
        tables.iter().for_each(|table| table.put(&mut out));
        out
    }

    /// Reads a question and the tables that are asked.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the bytes are no question, or of a version this build does not know.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<IndexTable>)> {
        let wrong = |error: WireError| invalid(error.to_string());
        let mut reader = Reader::new(bytes);
        match reader.u8("version").map_err(wrong)? {
            VERSION => {}
            other => return Err(invalid(format!("it has version {other}, this build reads {VERSION}"))),
        }
        let tenant = Tenant::new(reader.str("tenant").map_err(wrong)?).map_err(|error| invalid(error.to_string()))?;
        let wanted = match reader.u8("kind").map_err(wrong)? {
            0 => IndexWanted::Blocks,
            1 => IndexWanted::LabelNames,
            2 => IndexWanted::LabelValues(reader.str("label").map_err(wrong)?.to_owned()),
            other => return Err(invalid(format!("there is no kind {other}"))),
        };
        let matchers = matchers::decode(&mut reader).map_err(invalid)?;
        let count = reader.count(17, "number of tables").map_err(wrong)?;
        let table = |reader: &mut Reader<'_>| {
            let key = reader.str("table")?.to_owned();
            Ok(IndexTable { key, range: TimeRange::new(reader.i64("start")?, reader.i64("end")?) })
        };
        let tables = (0..count).map(|_| table(&mut reader)).collect::<Result<_, WireError>>().map_err(wrong)?;
        if !reader.is_empty() {
            return Err(invalid(format!("{} bytes are left over", reader.remaining())));
        }
        Ok((Self { tenant, wanted, matchers }, tables))
    }

    /// What the answer of a table may be kept under: the table's key, and a hash of the rest. The answer itself tells whether it
    /// is one to this question.
    pub fn cache_key(&self, table: &IndexTable) -> String {
        format!("{}?{:032x}", table.key, xxh3_128(&self.encode(std::slice::from_ref(table))))
    }

    /// Begins the checksum of an answer.
    pub(super) fn begin_sum(&self, table: &IndexTable) -> Xxh3 {
        let mut sum = Xxh3::new();
        let question = self.encode(std::slice::from_ref(table));
        sum.update(&(question.len() as u64).to_le_bytes());
        sum.update(&question);
        sum
    }
}

impl IndexTable {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_str(&self.key);
        out.put_i64(self.range.min);
        out.put_i64(self.range.max);
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, format!("cannot read a question to the index: {why}"))
}
