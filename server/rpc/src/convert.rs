//! Messages to and from the types of the store.

use bytes::Bytes;
use narvi::{
    Entry, MatchOp, Matcher, PushStream, Tenant, TimeRange, decode_push, encode_push,
    logql::{LeafScope, Params, StreamShard},
};
use narvi_types::wire::Reader;

use crate::{
    error::{RpcError, RpcErrorKind},
    pb::narvi as pb,
    service::{DroppedLine, Evaluation, TailPart},
};

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

fn invalid(text: String) -> RpcError {
    RpcError::new(RpcErrorKind::Invalid, text)
}

pub(crate) fn matchers_out(matchers: &[Matcher]) -> Vec<pb::Matcher> {
    let matcher = |matcher: &Matcher| pb::Matcher {
        op: matcher.op().as_str().to_owned(),
        name: matcher.name().to_owned(),
        value: matcher.value().to_owned(),
    };
    matchers.iter().map(matcher).collect()
}

pub(crate) fn matchers_in(matchers: Vec<pb::Matcher>) -> Result<Vec<Matcher>, RpcError> {
    let matcher = |matcher: pb::Matcher| {
        let op = OPS.into_iter().find(|op| op.as_str() == matcher.op);
        let op = op.ok_or_else(|| invalid(format!("there is no operator {:?} of labels", matcher.op)))?;
        Matcher::new(matcher.name, op, matcher.value).map_err(|error| invalid(error.to_string()))
    };
    matchers.into_iter().map(matcher).collect()
}

/// Rows of a message: those of one tenant, which must be the one that the call names.
pub(crate) fn streams_in(frame: &Bytes, tenant: &Tenant) -> Result<Vec<PushStream>, RpcError> {
    let (whose, streams) = decode_push(frame)?;
    if whose != *tenant {
        return Err(invalid(format!("the lines are of tenant {whose}, the call is for {tenant}")));
    }
    Ok(streams)
}

/// Cuts what a tail gives into messages of about so many bytes; one at least.
pub(crate) fn tail_out(tenant: &Tenant, part: &TailPart, max_bytes: usize) -> Vec<pb::TailResponse> {
    let mut dropped: Vec<PushStream> = Vec::new();
    for line in &part.dropped {
        let entry = Entry::new(line.timestamp, Bytes::new());
        match dropped.last_mut().filter(|stream| stream.labels == line.labels) {
            Some(stream) => stream.entries.push(entry),
            None => dropped.push(PushStream::new(line.labels.clone(), vec![entry])),
        }
    }
    let lines = encode_push(tenant, &part.batches, max_bytes);
    let listed = encode_push(tenant, &dropped, max_bytes);
    let mut out: Vec<pb::TailResponse> = Vec::new();
    out.extend(lines.into_iter().map(|frame| pb::TailResponse { frame, ..Default::default() }));
    out.extend(listed.into_iter().map(|dropped| pb::TailResponse { dropped, ..Default::default() }));
    match out.last_mut() {
        Some(last) => last.dropped_count = part.dropped_count,
        None => out.push(pb::TailResponse { dropped_count: part.dropped_count, ..Default::default() }),
    }
    out
}

pub(crate) fn tail_in(message: &pb::TailResponse, tenant: &Tenant) -> Result<TailPart, RpcError> {
    let read = |frame: &Bytes| if frame.is_empty() { Ok(Vec::new()) } else { streams_in(frame, tenant) };
    let mut dropped = Vec::new();
    for stream in read(&message.dropped)? {
        let lines = stream.entries.iter().map(|entry| entry.timestamp);
        dropped.extend(lines.map(|timestamp| DroppedLine { labels: stream.labels.clone(), timestamp }));
    }
    Ok(TailPart { batches: read(&message.frame)?, dropped, dropped_count: message.dropped_count })
}

pub(crate) fn headers_out(headers: Vec<(String, Bytes)>) -> Vec<pb::HttpHeader> {
    headers.into_iter().map(|(name, value)| pb::HttpHeader { name, value }).collect()
}

pub(crate) fn headers_in(headers: Vec<pb::HttpHeader>) -> Vec<(String, Bytes)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

pub(crate) fn evaluation_out(evaluation: &Evaluation) -> pb::EvaluateRequest {
    let mut params = Vec::new();
    evaluation.params.encode(&mut params);
    let scope = |scope: &LeafScope| {
        let shard = scope.shard.unwrap_or(StreamShard { index: 0, of: 0 });
        let (first, last) = (scope.rows.min, scope.rows.max);
        pb::Scope { leaf: scope.leaf, shards: shard.of, shard: shard.index, first, last }
    };
    pb::EvaluateRequest {
        query: evaluation.query.clone(),
        params: params.into(),
        scopes: evaluation.scopes.iter().map(scope).collect(),
        memory_bytes: 0,
        read_bytes: 0,
        series: 0,
    }
}

pub(crate) fn evaluation_in(message: pb::EvaluateRequest) -> Result<Evaluation, RpcError> {
    let params = Params::decode(&mut Reader::new(&message.params))
        .map_err(|error| invalid(format!("cannot read the parameters of a query: {error}")))?;
    let scope = |scope: &pb::Scope| {
        if scope.shards > 0 && scope.shard >= scope.shards {
            return Err(invalid(format!("there is no shard {} of {}", scope.shard, scope.shards)));
        }
        let shard = (scope.shards > 0).then_some(StreamShard { index: scope.shard, of: scope.shards });
        Ok(LeafScope { leaf: scope.leaf, shard, rows: TimeRange::new(scope.first, scope.last) })
    };
    let scopes = message.scopes.iter().map(scope).collect::<Result<_, _>>()?;
    Ok(Evaluation { query: message.query, params, scopes })
}

#[cfg(test)]
mod tests {
    use narvi::{Labels, Timestamp};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn labels(app: &str) -> Labels {
        Labels::from_pairs([("app", app)]).expect("valid")
    }

    proptest! {
        #[test]
        fn tails_survive_the_way(apps in prop::collection::vec(0u8..3, 0..20), count: u64, most in 40usize..400) {
            let tenant = Tenant::default();
            let mut part = TailPart { dropped_count: count, ..TailPart::default() };
            for (at, app) in apps.iter().enumerate() {
                let (labels, timestamp) = (labels(&app.to_string()), Timestamp::from_ns(at as i64));
                let entry = Entry::new(timestamp, format!("line {at}").into_bytes());
                part.batches.push(PushStream::new(labels.clone(), vec![entry]));
                part.dropped.push(DroppedLine { labels, timestamp });
            }
            let mut back = TailPart::default();
            for message in tail_out(&tenant, &part, most) {
                let some = tail_in(&message, &tenant).expect("ours");
                back.batches.extend(some.batches);
                back.dropped.extend(some.dropped);
                back.dropped_count += some.dropped_count;
            }
            prop_assert_eq!(back, part);
        }

        #[test]
        fn bytes_of_anyone_never_panic(bytes: Vec<u8>) {
            let tenant = Tenant::default();
            let bytes = Bytes::from(bytes);
            let _ = streams_in(&bytes, &tenant);
            let message = pb::TailResponse { frame: bytes.clone(), dropped: bytes.clone(), dropped_count: 1 };
            let _ = tail_in(&message, &tenant);
            let _ = evaluation_in(pb::EvaluateRequest { params: bytes.clone(), ..Default::default() });
            let _ = pb::TailResponse::decode(bytes.clone()).map(|message| tail_in(&message, &tenant));
            let _ = pb::EvaluateRequest::decode(bytes.clone()).map(evaluation_in);
            let _ = pb::LabelValuesRequest::decode(bytes).map(|message| matchers_in(message.matchers));
        }

        #[test]
        fn evaluations_survive_the_way(leaf: u32, shard in prop::option::of((0u32..4, 4u32..9)), min: i64, max: i64) {
            let mut params = Params::range(min, max, 7);
            params.limit = None;
            let shard = shard.map(|(index, of)| StreamShard { index, of });
            let scope = LeafScope { leaf, shard, rows: TimeRange::new(min, max) };
            let evaluation = Evaluation { query: "{app=\"x\"}".to_owned(), params, scopes: vec![scope, scope] };
            prop_assert_eq!(evaluation_in(evaluation_out(&evaluation)).expect("ours"), evaluation);
        }
    }

    #[test]
    fn matchers_survive_the_way() {
        let all = OPS.map(|op| Matcher::new("app", op, "a.*").expect("compiles"));
        assert_eq!(matchers_in(matchers_out(&all)).expect("ours"), all);
        let bad = pb::Matcher { op: "==".to_owned(), name: "a".to_owned(), value: String::new() };
        assert_eq!(matchers_in(vec![bad]).expect_err("no such").to_string(), "there is no operator \"==\" of labels");
    }

    #[test]
    fn lines_of_others_are_refused() {
        let stream = PushStream::new(labels("x"), vec![Entry::new(Timestamp::from_ns(1), "x")]);
        let frame = encode_push(&Tenant::new("a").expect("valid"), &[stream], 100).remove(0);
        let error = streams_in(&frame, &Tenant::new("b").expect("valid")).expect_err("not b's");
        assert_eq!(error.kind(), RpcErrorKind::Invalid);
    }
}
