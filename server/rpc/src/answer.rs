//! Answers to jobs on their way: in pieces that fit into messages.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{
    convert::{headers_in, headers_out},
    error::{RpcError, RpcErrorKind},
    job::HttpAnswer,
    pb::narvi as pb,
    service::PartialAnswer,
};

/// A piece of an answer.
#[derive(Clone, PartialEq)]
pub struct AnswerPiece(pb::answer_piece::Kind);

impl fmt::Debug for AnswerPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerPiece").field(&self.len()).finish()
    }
}

impl AnswerPiece {
    /// Cuts a partial result into pieces of at most so many bytes.
    pub fn of_partial(answer: PartialAnswer, most: usize) -> impl Iterator<Item = Self> + Send {
        let PartialAnswer { partial, bytes_read, lines_read, warnings, deletes } = answer;
        cut(partial, most).map(move |(piece, more)| {
            let message = match more {
                true => pb::EvaluateResponse { piece, more, ..Default::default() },
                false => {
                    let warnings = warnings.clone();
                    pb::EvaluateResponse { piece, more, bytes_read, lines_read, warnings, deletes }
                }
            };
            Self(pb::answer_piece::Kind::Partial(message))
        })
    }

    /// Cuts an answer over HTTP into pieces; bodies have at most so many bytes.
    pub fn of_http(answer: HttpAnswer, most: usize) -> impl Iterator<Item = Self> + Send {
        let HttpAnswer { status, headers, body } = answer;
        let mut first = Some((u32::from(status), headers_out(headers)));
        cut(body, most).map(move |(body, more)| {
            let (status, headers) = first.take().unwrap_or_default();
            Self(pb::answer_piece::Kind::Http(pb::HttpResponse { status, headers, body, more }))
        })
    }

    /// About its bytes.
    fn len(&self) -> usize {
        match &self.0 {
            pb::answer_piece::Kind::Partial(message) => {
                message.piece.len() + message.warnings.iter().map(String::len).sum::<usize>()
            }
            pb::answer_piece::Kind::Http(message) => {
                let headers = message.headers.iter().map(|header| header.name.len() + header.value.len());
                message.body.len() + headers.sum::<usize>()
            }
        }
    }

    pub(crate) fn into_message(self) -> pb::AnswerPiece {
        pb::AnswerPiece { kind: Some(self.0) }
    }

    pub(crate) fn of_message(message: Option<pb::AnswerPiece>) -> Result<Self, RpcError> {
        let kind = message.and_then(|message| message.kind);
        kind.map(Self).ok_or_else(|| RpcError::new(RpcErrorKind::Unsupported, "an answer of a kind that is not known"))
    }
}

/// Pieces of bytes, one at least, each with whether more follow.
fn cut(mut bytes: Bytes, most: usize) -> impl Iterator<Item = (Bytes, bool)> + Send {
    let most = most.max(1);
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        over = bytes.len() <= most;
        let piece = bytes.split_to(bytes.len().min(most));
        Some((piece, !over))
    })
}

/// Puts the pieces of an answer together.
#[derive(Debug)]
pub struct AnswerReader {
    most: usize,
    bytes: usize,
    partials: Vec<PartialAnswer>,
    http: Option<HttpAnswer>,
    pieces: BytesMut,
    more: bool,
}

impl AnswerReader {
    /// Takes at most so many bytes in all.
    pub fn new(max_answer_bytes: usize) -> Self {
        let (partials, http, pieces) = (Vec::new(), None, BytesMut::new());
        Self { most: max_answer_bytes, bytes: 0, partials, http, pieces, more: false }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// There are too many bytes, or the pieces do not belong together.
    pub fn add(&mut self, piece: AnswerPiece) -> Result<(), RpcError> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > self.most {
            let text = format!("the answer is larger than {} bytes; narrow the query", self.most);
            return Err(RpcError::new(RpcErrorKind::TooLarge, text));
        }
        match piece.0 {
            pb::answer_piece::Kind::Partial(message) if self.http.is_none() => {
                let (bytes_read, lines_read, deletes) = (message.bytes_read, message.lines_read, message.deletes);
                if let Some(partial) = self.join(message.piece, message.more) {
                    let warnings = message.warnings;
                    self.partials.push(PartialAnswer { partial, bytes_read, lines_read, warnings, deletes });
                }
                Ok(())
            }
            pb::answer_piece::Kind::Http(message) if self.partials.is_empty() => self.add_http(message),
            _ => Err(mixed()),
        }
    }

    fn add_http(&mut self, message: pb::HttpResponse) -> Result<(), RpcError> {
        if self.http.is_none() && self.more || self.http.is_some() && !self.more {
            return Err(mixed());
        }
        if self.http.is_none() {
            let status = u16::try_from(message.status).ok().filter(|status| (200..1000).contains(status));
            let status = status.ok_or_else(|| {
                RpcError::new(RpcErrorKind::Corrupt, format!("{} is no status of an answer", message.status))
            })?;
            self.http = Some(HttpAnswer { status, headers: headers_in(message.headers), body: Bytes::new() });
        }
        if let (Some(body), Some(http)) = (self.join(message.body, message.more), &mut self.http) {
            http.body = body;
        }
        Ok(())
    }

    /// All bytes once the last piece is there; a single piece is not copied.
    fn join(&mut self, piece: Bytes, more: bool) -> Option<Bytes> {
        let is_single = !self.more && !more;
        self.more = more;
        if is_single {
            return Some(piece);
        }
        self.pieces.extend_from_slice(&piece);
        (!more).then(|| self.pieces.split().freeze())
    }

    /// The partial results, of which there must be so many.
    ///
    /// # Errors
    /// The answer is not complete.
    pub fn partials(self, count: usize) -> Result<Vec<PartialAnswer>, RpcError> {
        match self.http.is_none() && !self.more && self.partials.len() == count {
            true => Ok(self.partials),
            false => Err(ended_early()),
        }
    }

    /// The answer over HTTP.
    ///
    /// # Errors
    /// The answer is not complete.
    pub fn http(self) -> Result<HttpAnswer, RpcError> {
        self.http.filter(|_| !self.more).ok_or_else(ended_early)
    }
}

fn mixed() -> RpcError {
    RpcError::new(
        RpcErrorKind::Corrupt,
        "the pieces of an answer do not belong together; run the same version everywhere",
    )
}

fn ended_early() -> RpcError {
    RpcError::new(RpcErrorKind::Unavailable, "the answer of the querier ended early; try again")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(piece: AnswerPiece) -> AnswerPiece {
        AnswerPiece::of_message(Some(piece.into_message())).expect("ours")
    }

    proptest! {
        #[test]
        fn partials_survive_the_cuts(sizes in prop::collection::vec(0usize..50, 0..6), most in 1usize..20) {
            let partial = |(at, size): (usize, &usize)| PartialAnswer {
                partial: (0..*size).map(|n| (n + at) as u8).collect::<Vec<_>>().into(),
                bytes_read: at as u64,
                lines_read: 7,
                deletes: u64::MAX - at as u64,
                warnings: vec![at.to_string()],
            };
            let all: Vec<_> = sizes.iter().enumerate().map(partial).collect();
            let pieces: Vec<_> =
                all.iter().flat_map(|one| AnswerPiece::of_partial(one.clone(), most)).map(sent).collect();
            let read = |pieces: &[AnswerPiece], count| {
                let mut reader = AnswerReader::new(10_000);
                pieces.iter().try_for_each(|piece| reader.add(piece.clone()))?;
                reader.partials(count)
            };
            prop_assert_eq!(read(&pieces, all.len()).expect("complete"), all.clone());
            if let Some((_, first)) = pieces.split_last() {
                prop_assert_eq!(read(first, all.len()).expect_err("cut").kind(), RpcErrorKind::Unavailable);
            }
        }

        #[test]
        fn bodies_survive_the_cuts(size in 0usize..200, most in 1usize..60) {
            let headers = vec![("a".to_owned(), Bytes::from_static(b"b")), ("a".to_owned(), Bytes::new())];
            let body: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let answer = HttpAnswer { status: 404, headers, body: body.into() };
            let pieces: Vec<_> = AnswerPiece::of_http(answer.clone(), most).map(sent).collect();
            let mut reader = AnswerReader::new(10_000);
            let (last, first) = pieces.split_last().expect("one at least");
            first.iter().try_for_each(|piece| reader.add(piece.clone())).expect("ours");
            if !first.is_empty() {
                prop_assert!(reader.add(AnswerPiece::of_partial(PartialAnswer::default(), 1).next().expect("one")).is_err());
            }
            reader.add(last.clone()).expect("ours");
            prop_assert!(reader.add(last.clone()).is_err(), "nothing may follow");
            prop_assert_eq!(reader.http().expect("complete"), answer);
        }
    }

    #[test]
    fn what_is_too_large_or_odd_is_refused() {
        let answer = HttpAnswer { status: 200, headers: Vec::new(), body: vec![1; 100].into() };
        let mut reader = AnswerReader::new(99);
        let result = AnswerPiece::of_http(answer, 10).try_for_each(|piece| reader.add(piece));
        assert_eq!(result.expect_err("too large").kind(), RpcErrorKind::TooLarge);
        for status in [0, 100, 70_000] {
            let message = pb::HttpResponse { status, ..Default::default() };
            let odd = AnswerPiece(pb::answer_piece::Kind::Http(message));
            assert_eq!(AnswerReader::new(99).add(odd).expect_err("odd").kind(), RpcErrorKind::Corrupt);
        }
        assert_eq!(AnswerReader::new(9).http().expect_err("nothing").kind(), RpcErrorKind::Unavailable);
        assert_eq!(AnswerReader::new(9).partials(0), Ok(vec![]));
        assert!(AnswerPiece::of_message(None).is_err());
    }
}
