//! Answers as Loki's JSON, written without an intermediate tree.

use std::io::Write;

use narvi::{
    Labels, Pairs,
    logql::{Answer, Data, ResultEntry},
};

/// How long the query took, for the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timing {
    pub(crate) exec_secs: f64,
    pub(crate) queue_secs: f64,
}

/// The envelope of `query` and `query_range`. `flags` are the encoding flags as the client sent them; one of them makes lines
/// carry the categories of their labels.
pub(crate) fn answer(answer: &Answer, flags: &[String], categorize: bool, timing: Timing) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"{\"status\":\"success\",");
    if !answer.warnings.is_empty() {
        out.extend_from_slice(b"\"warnings\":");
        list(&mut out, &answer.warnings, |out, warning| string(out, warning.as_bytes(), false));
        out.push(b',');
    }
    let kind = match &answer.data {
        Data::Streams(_) => "streams",
        Data::Matrix(_) => "matrix",
        Data::Vector(_) => "vector",
        Data::Scalar { .. } => "scalar",
    };
    put(&mut out, format_args!("\"data\":{{\"resultType\":\"{kind}\","));
    if !flags.is_empty() && matches!(answer.data, Data::Streams(_)) {
        out.extend_from_slice(b"\"encodingFlags\":");
        list(&mut out, flags, |out, flag| string(out, flag.as_bytes(), false));
        out.push(b',');
    }
    out.extend_from_slice(b"\"result\":");
    let entries = data(&mut out, &answer.data, categorize);
    out.extend_from_slice(b",\"stats\":");
    stats(&mut out, answer, entries, timing);
    out.extend_from_slice(b"}}");
    out
}

fn data(out: &mut Vec<u8>, data: &Data, categorize: bool) -> usize {
    match data {
        Data::Streams(streams) => {
            list(out, streams, |out, stream| {
                out.extend_from_slice(b"{\"stream\":");
                labels(out, &stream.labels);
                out.extend_from_slice(b",\"values\":");
                list(out, &stream.entries, |out, entry| value(out, entry, categorize));
                out.push(b'}');
            });
            streams.iter().map(|stream| stream.entries.len()).sum()
        }
        Data::Matrix(series) => {
            list(out, series, |out, series| {
                out.extend_from_slice(b"{\"metric\":");
                labels(out, &series.labels);
                out.extend_from_slice(b",\"values\":");
                list(out, &series.points, |out, (time, value)| point(out, *time, *value));
                out.push(b'}');
            });
            series.len()
        }
        Data::Vector(samples) => {
            list(out, samples, |out, sample| {
                out.extend_from_slice(b"{\"metric\":");
                labels(out, &sample.labels);
                out.extend_from_slice(b",\"value\":");
                point(out, sample.time_ms, sample.value);
                out.push(b'}');
            });
            samples.len()
        }
        Data::Scalar { time_ms, value } => {
            point(out, *time_ms, *value);
            1
        }
    }
}

/// A line: time, text and, if asked for, the categories of its labels.
pub(crate) fn value(out: &mut Vec<u8>, entry: &ResultEntry, categorize: bool) {
    put(out, format_args!("[\"{}\",", entry.ts));
    string(out, &entry.line, true);
    if categorize {
        out.extend_from_slice(b",{");
        let mut first = true;
        for (name, pairs) in [("structuredMetadata", &*entry.structured), ("parsed", &entry.parsed)] {
            if pairs.is_empty() {
                continue;
            }
            put(out, format_args!("{}\"{name}\":", if first { "" } else { "," }));
            object(out, pairs);
            first = false;
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// A point: seconds and the value as text.
pub(crate) fn point(out: &mut Vec<u8>, time_ms: i64, value: f64) {
    let (sign, ms) = (if time_ms < 0 { "-" } else { "" }, time_ms.unsigned_abs());
    put(out, format_args!("[{sign}{}", ms / 1000));
    match ms % 1000 {
        0 => {}
        ms => {
            let text = format!("{ms:03}");
            put(out, format_args!(".{}", text.trim_end_matches('0')));
        }
    }
    put(out, format_args!(",\"{}\"]", Float(value)));
}

/// Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
pub(crate) struct Float(pub(crate) f64);

impl std::fmt::Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            n => write!(f, "{n}"),
        }
    }
}

/// The statistics of an answer that needed no query.
pub(crate) fn no_stats(out: &mut Vec<u8>) {
    stats(out, &Answer::default(), 0, Timing::default());
}

/// The answer of `/api/prom/query`.
pub(crate) fn legacy_answer(answer: &Answer) -> Vec<u8> {
    let mut out = b"{\"streams\":".to_vec();
    let streams = match &answer.data {
        Data::Streams(streams) => streams.as_slice(),
        _ => &[],
    };
    list(&mut out, streams, |out, stream| {
        out.extend_from_slice(b"{\"labels\":");
        string(out, stream.labels.to_string().as_bytes(), true);
        out.extend_from_slice(b",\"entries\":");
        list(out, &stream.entries, |out, entry| legacy_entry(out, entry.ts, &entry.line));
        out.push(b'}');
    });
    out.extend_from_slice(b",\"stats\":");
    let entries = streams.iter().map(|stream| stream.entries.len()).sum();
    stats(&mut out, answer, entries, Timing::default());
    out.push(b'}');
    out
}

/// A line as the old API has it.
pub(crate) fn legacy_entry(out: &mut Vec<u8>, ts: i64, line: &[u8]) {
    put(out, format_args!("{{\"ts\":\"{}\",\"line\":", rfc3339(ts)));
    string(out, line, true);
    out.push(b'}');
}

/// Go's RFC 3339 with as many digits as needed.
pub(crate) fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |time| time.to_string())
}

/// Labels as an object.
pub(crate) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    pairs(out, labels.iter());
}

fn object(out: &mut Vec<u8>, all: &Pairs) {
    pairs(out, all.iter());
}

fn pairs<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, name.as_bytes(), false);
        out.push(b':');
        string(out, value.as_bytes(), false);
    }
    out.push(b'}');
}

/// A list.
pub(crate) fn list<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// `{"status":"success","data":[...]}`; without the key where Loki leaves it out.
pub(crate) fn strings(items: &[String]) -> Vec<u8> {
    let mut out = b"{\"status\":\"success\"".to_vec();
    if !items.is_empty() {
        out.extend_from_slice(b",\"data\":");
        list(&mut out, items, |out, item| string(out, item.as_bytes(), false));
    }
    out.push(b'}');
    out
}

/// The answer of `series`.
pub(crate) fn series(items: &[Labels]) -> Vec<u8> {
    let mut out = b"{\"status\":\"success\",\"data\":".to_vec();
    list(&mut out, items, labels);
    out.push(b'}');
    out
}

/// A JSON string. Bytes that are not UTF-8 become U+FFFD, as in Go. `html`: also escapes what Go escapes in lines.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8], html: bool) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        escape(out, chunk.valid().as_bytes(), html);
        // Go replaces every bad byte, not every run of them.
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, text: &[u8], html: bool) {
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let special = match byte {
            b'"' | b'\\' | 0..=0x1f => true,
            b'<' | b'>' | b'&' => html,
            _ => false,
        };
        if !special {
            continue;
        }
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => put(out, format_args!("\\u{byte:04x}")),
        }
    }
    out.extend_from_slice(&text[plain..]);
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

/// The statistics, with every key that Loki 3 has; those without a meaning here are 0.
fn stats(out: &mut Vec<u8>, answer: &Answer, entries: usize, timing: Timing) {
    let s = &answer.statistics;
    let per_second = |n: u64| if timing.exec_secs > 0.0 { (n as f64 / timing.exec_secs) as u64 } else { 0 };
    put(
        out,
        format_args!(
            "{{\"summary\":{{\"bytesProcessedPerSecond\":{},\"linesProcessedPerSecond\":{},\"totalBytesProcessed\":{},\
             \"totalLinesProcessed\":{},\"execTime\":{},\"queueTime\":{},\"subqueries\":0,\"totalEntriesReturned\":{entries},\
             \"splits\":0,\"shards\":0,\"totalPostFilterLines\":{},\"totalStructuredMetadataBytesProcessed\":0}},",
            per_second(s.bytes),
            per_second(s.lines),
            s.bytes,
            s.lines,
            timing.exec_secs,
            timing.queue_secs,
            s.lines_kept,
        ),
    );
    let store = |chunks: u64, bytes: u64, lines: u64, kept: u64| {
        format!(
            "\"store\":{{\"totalChunksRef\":{chunks},\"totalChunksDownloaded\":{chunks},\"chunksDownloadTime\":0,\
             \"queryReferencedStructuredMetadata\":false,\"queryUsedV2Engine\":false,\"chunk\":{{\"headChunkBytes\":0,\
             \"headChunkLines\":0,\"decompressedBytes\":{bytes},\"decompressedLines\":{lines},\"compressedBytes\":0,\
             \"totalDuplicates\":0,\"postFilterLines\":{kept},\"headChunkStructuredMetadataBytes\":0,\
             \"decompressedStructuredMetadataBytes\":0}},\"chunkRefsFetchTime\":0,\"congestionControlLatency\":0,\
             \"pipelineWrapperFilteredLines\":0,\"dataobj\":{{\"prePredicateDecompressedRows\":0,\
             \"prePredicateDecompressedBytes\":0,\"prePredicateDecompressedStructuredMetadataBytes\":0,\
             \"postPredicateRows\":0,\"postPredicateDecompressedBytes\":0,\"postPredicateStructuredMetadataBytes\":0,\
             \"postFilterRows\":0,\"pagesScanned\":0,\"pagesDownloaded\":0,\"pagesDownloadedBytes\":0,\"pageBatches\":0,\
             \"totalRowsAvailable\":0,\"totalPageDownloadTime\":0}}}}"
        )
    };
    let read = store(s.parts, s.bytes, s.lines, s.lines_kept);
    put(out, format_args!("\"querier\":{{{read},\"querierExecTime\":{}}},", timing.exec_secs));
    let none = store(0, 0, 0, 0);
    put(
        out,
        format_args!(
            "\"ingester\":{{\"totalReached\":0,\"totalChunksMatched\":0,\"totalBatches\":0,\"totalLinesSent\":0,{none},\
             \"recvWaitTime\":0}},\"cache\":{{"
        ),
    );
    let caches = [
        "chunk",
        "index",
        "result",
        "statsResult",
        "volumeResult",
        "seriesResult",
        "labelResult",
        "instantMetricResult",
    ];
    for (at, cache) in caches.iter().enumerate() {
        put(
            out,
            format_args!(
                "{}\"{cache}\":{{\"entriesFound\":0,\"entriesRequested\":0,\"entriesStored\":0,\"bytesReceived\":0,\
                 \"bytesSent\":0,\"requests\":0,\"downloadTime\":0,\"queryLengthServed\":0}}",
                if at > 0 { "," } else { "" }
            ),
        );
    }
    put(
        out,
        format_args!(
            "}},\"index\":{{\"totalChunks\":{0},\"postFilterChunks\":{0},\"shardsDuration\":0,\"usedBloomFilters\":false,\
             \"totalStreams\":0,\"chunkRefsLookupTime\":0,\"bloomFilterTime\":0}}}}",
            s.parts
        ),
    );
}

#[cfg(test)]
mod tests {
    use narvi::logql::Answer;
    use proptest::prelude::*;

    use super::{Float, answer, point, string};

    #[test]
    fn floats_and_times_are_go_text() {
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (-0.0, "-0"),
        ] {
            assert_eq!(Float(value).to_string(), expected);
        }
        for (ms, expected) in [(1_000, "[1,\"2\"]"), (1_500, "[1.5,\"2\"]"), (-1, "[-0.001,\"2\"]")] {
            let mut out = Vec::new();
            point(&mut out, ms, 2.0);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn an_empty_answer_is_valid_json() {
        let text = answer(&Answer::default(), &[], true, super::Timing::default());
        let json: serde_json::Value = serde_json::from_slice(&text).expect("valid");
        assert_eq!(json["data"]["resultType"], "streams");
        assert!(json["data"]["result"].as_array().expect("list").is_empty());
        assert_eq!(json["data"]["stats"]["summary"]["totalEntriesReturned"], 0);
    }

    proptest! {
        #[test]
        fn strings_are_what_serde_reads(text in ".{0,40}", raw: Vec<u8>, html: bool) {
            let mut out = Vec::new();
            string(&mut out, text.as_bytes(), html);
            prop_assert_eq!(serde_json::from_slice::<String>(&out)?, text);
            let mut out = Vec::new();
            string(&mut out, &raw, html);
            serde_json::from_slice::<String>(&out)?;
        }
    }
}
