//! The state of the parser: one token of lookahead, how deep it is, and the errors.
//!
//! Loki's parser comes from a grammar for goyacc and names the first token that cannot follow. A parser by hand gives
//! the same answers as long as it takes no token that the grammar would not and looks at no token before it must: a bad
//! regular expression is reported even if the text after it is cut off.

mod expr;
mod filter;
mod pipeline;
mod range;
mod selector;

use narvi_types::Selector;

use crate::{
    Error, Position,
    ast::Expr,
    syntax::lexer::{Lexed, Lexer, Token},
};

/// Longer texts are refused.
const MAX_QUERY_BYTES: usize = 131_072;

/// How deep parentheses, calls and right-hand operands may be nested. Each level takes stack: up to
/// 1.4 KB in optimised code, 5 KB in unoptimised.
const MAX_NESTING: u32 = 256;

/// How high a tree may be. Chains of operators make trees as high as they are long; every walk over a tree recurses.
const MAX_HEIGHT: u32 = 1000;

/// Parses the whole text as a query, without the checks that need the whole query.
pub(super) fn query(text: &str) -> Result<Expr, Error> {
    let mut parser = Parser::new(text)?;
    let expr = parser.query()?;
    parser.end()?;
    match parser.flaw {
        Some((_, error)) => Err(error),
        None => Ok(expr),
    }
}

/// Parses the whole text as a selector.
pub(super) fn selector(text: &str) -> Result<Selector, Error> {
    match query(text)? {
        Expr::Log(log) if log.stages.is_empty() => Ok(log.selector),
        _ => Err(Error::Invalid("only label matchers are supported".to_owned())),
    }
}

struct Parser<'q> {
    lexer: Lexer<'q>,
    /// The next token, if it has been looked at.
    peeked: Option<Lexed<'q>>,
    /// How many levels are open.
    depth: u32,
    /// An error that Loki gives only once the whole text has been parsed, and where its expression begins.
    flaw: Option<(usize, Error)>,
}

impl<'q> Parser<'q> {
    fn new(text: &'q str) -> Result<Self, Error> {
        if text.len() >= MAX_QUERY_BYTES {
            return Err(refused(format!("input size too long ({} > {MAX_QUERY_BYTES})", text.len())));
        }
        Ok(Self { lexer: Lexer::new(text), peeked: None, depth: 0, flaw: None })
    }

    /// Looks at the next token.
    fn peek(&mut self) -> Result<&Token<'q>, Error> {
        if self.peeked.is_none() {
            self.peeked = Some(self.lexer.next()?);
        }
        Ok(self.peeked.as_ref().map_or(&Token::End, |lexed| &lexed.token))
    }

    /// Takes the token that was looked at.
    fn take(&mut self) -> Token<'q> {
        self.peeked.take().map_or(Token::End, |lexed| lexed.token)
    }

    /// The operator, mark or reserved word that comes next.
    fn peek_key(&mut self) -> Result<Option<&'static str>, Error> {
        Ok(match self.peek()? {
            Token::Key(key) => Some(*key),
            _ => None,
        })
    }

    /// Takes the next token if it is this one.
    fn eat(&mut self, key: &str) -> Result<bool, Error> {
        let found = self.peek_key()? == Some(key);
        if found {
            self.take();
        }
        Ok(found)
    }

    /// Takes the next token, which must be this one; `expecting` is what else could stand here, in Loki's words.
    fn expect(&mut self, key: &str, expecting: &str) -> Result<(), Error> {
        if self.eat(key)? { Ok(()) } else { self.unexpected(expecting) }
    }

    fn expect_name(&mut self, expecting: &str) -> Result<&'q str, Error> {
        match *self.peek()? {
            Token::Name(name) => {
                self.take();
                Ok(name)
            }
            _ => self.unexpected(expecting),
        }
    }

    /// A string as bytes.
    fn expect_bytes(&mut self, expecting: &str) -> Result<Vec<u8>, Error> {
        match self.peek()? {
            Token::Text(_) => match self.take() {
                Token::Text(text) => Ok(text.into_owned()),
                _ => Ok(Vec::new()),
            },
            _ => self.unexpected(expecting),
        }
    }

    /// A string; bytes that are not UTF-8 become U+FFFD.
    fn expect_text(&mut self, expecting: &str) -> Result<String, Error> {
        let bytes = self.expect_bytes(expecting)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    fn end(&mut self) -> Result<(), Error> {
        if *self.peek()? == Token::End { Ok(()) } else { self.unexpected("") }
    }

    /// Complains about the next token.
    #[inline(never)]
    fn unexpected<T>(&mut self, expecting: &str) -> Result<T, Error> {
        let mut message = format!("syntax error: unexpected {}", self.peek()?.name());
        if !expecting.is_empty() {
            message.push_str(", expecting ");
            message.push_str(expecting);
        }
        Err(Error::Parse { position: self.position(), message })
    }

    fn position(&self) -> Option<Position> {
        self.peeked.as_ref().and_then(|lexed| lexed.position)
    }

    /// Where the next token begins, in bytes.
    fn start(&mut self) -> Result<usize, Error> {
        self.peek()?;
        Ok(self.peeked.as_ref().map_or(0, |lexed| lexed.start))
    }

    /// Notes an error about the expression that begins there and ends here, to be given unless the grammar is wrong
    /// further on. Of several, Loki gives the outermost and then the leftmost.
    fn note<T>(&mut self, start: usize, checked: Result<T, Error>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(error) => {
                if self.flaw.as_ref().is_none_or(|(known, _)| start <= *known) {
                    self.flaw = Some((start, error));
                }
                None
            }
        }
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= MAX_NESTING {
            return self.too_deep(MAX_NESTING);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// The height of a tree one level above others.
    fn above(&mut self, heights: &[u32]) -> Result<u32, Error> {
        let height = heights.iter().copied().max().unwrap_or(0) + 1;
        if height > MAX_HEIGHT { self.too_deep(MAX_HEIGHT) } else { Ok(height) }
    }

    #[inline(never)]
    fn too_deep<T>(&mut self, limit: u32) -> Result<T, Error> {
        self.peek()?;
        let message = format!("query is nested too deeply, more than {limit} levels: split or shorten it");
        Err(Error::Parse { position: self.position(), message })
    }
}

/// An error that Loki gives without a position.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::Parse { position: None, message: message.into() }
}
