//! Which rows a reader asks a writer for.

use narvi_logql::{NeedleGroup, Needles, ScanRequest, StreamShard};
use narvi_types::{
    Labels, Selector, Tenant, TimeRange,
    wire::{Reader, WireError, Writer as _},
};

use crate::{Error, ErrorKind, Result, matchers};

/// Which rows of heads are wanted. Rows beyond these may be given, so that nothing needs to be decided twice.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HeadsRequest {
    /// Whose.
    pub tenant: Tenant,
    /// Of which streams; an empty selector means all.
    pub selector: Selector,
    /// At which times; both ends inside.
    pub range: TimeRange,
    /// Text that wanted lines hold.
    pub needles: Needles,
    /// Only the streams of this shard.
    pub shard: Option<StreamShard>,
}

const VERSION: u8 = 1;

impl HeadsRequest {
    /// Asks for all rows of some streams.
    pub fn new(tenant: &Tenant, selector: Selector, range: TimeRange) -> Self {
        Self { tenant: tenant.clone(), selector, range, needles: Needles::default(), shard: None }
    }

    /// Asks for what a leaf of a query asks a source for.
    pub fn of_scan(tenant: &Tenant, scan: &ScanRequest) -> Self {
        Self {
            tenant: tenant.clone(),
            selector: scan.selector.clone(),
            range: scan.range,
            needles: scan.needles.clone(),
            shard: scan.shard,
        }
    }

    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.shard.is_none_or(|shard| shard.holds(labels))
    }

    /// The request as bytes, for [`HeadsRequest::decode`] of any build with the same version byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_str(self.tenant.as_str());
        matchers::encode(self.selector.matchers(), &mut out);
        out.put_i64(self.range.min);
        out.put_i64(self.range.max);
        out.put_varint(self.needles.0.len() as u64);
        for group in &self.needles.0 {
            out.put_u8(u8::from(group.ignore_case));
            out.put_varint(group.any.len() as u64);
            group.any.iter().for_each(|needle| out.put_blob(needle));
        }
        let shard = self.shard.unwrap_or(StreamShard { index: 0, of: 0 });
        out.put_u32(shard.index);
        out.put_u32(shard.of);
        out
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the bytes are no request, or of a version this build does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let wrong = |error: WireError| invalid(error.to_string());
        match reader.u8("version").map_err(wrong)? {
            VERSION => {}
            other => return Err(invalid(format!("it has version {other}, this build reads {VERSION}"))),
        }
        let tenant = Tenant::new(reader.str("tenant").map_err(wrong)?).map_err(|error| invalid(error.to_string()))?;
        let selector = Selector::new(matchers::decode(&mut reader).map_err(invalid)?);
        let (min, max) = (reader.i64("start").map_err(wrong)?, reader.i64("end").map_err(wrong)?);
        let needles = needles(&mut reader).map_err(wrong)?;
        let (index, of) = (reader.u32("shard").map_err(wrong)?, reader.u32("shards").map_err(wrong)?);
        if !reader.is_empty() {
            return Err(invalid(format!("{} bytes are left over", reader.remaining())));
        }
        let shard = (of > 0).then_some(StreamShard { index, of });
        Ok(Self { tenant, selector, range: TimeRange::new(min, max), needles, shard })
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, format!("cannot read a request for rows in memory: {why}"))
}

fn needles(reader: &mut Reader<'_>) -> std::result::Result<Needles, WireError> {
    let count = reader.count(2, "number of groups of needles")?;
    let group = |reader: &mut Reader<'_>| {
        let ignore_case = reader.u8("case")? != 0;
        let count = reader.count(1, "number of needles")?;
        let any = (0..count).map(|_| Ok(reader.blob("needle")?.to_vec())).collect::<Result<_, WireError>>()?;
        Ok(NeedleGroup { any, ignore_case })
    };
    Ok(Needles((0..count).map(|_| group(reader)).collect::<Result<_, WireError>>()?))
}
