//! The lexer of Go's text/template: text, actions between `{{` and `}}`, trim markers and comments.
//!
//! All tokens are made at once; an error is a last token, so that the parser meets it only when it comes so far, as in Go.

use crate::value::{quote, unquote_char};

/// What a token is. Those from `Dot` on are keywords, in Go's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    // Keywords.
    Dot,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token: its kind, where it starts, the line it is on, and its text.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    /// As Go shows tokens in its error texts.
    pub(crate) fn show(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            kind if kind >= Kind::Dot => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let cut: String = self.text.chars().take(10).collect();
                format!("{}...", quote(cut.as_bytes()))
            }
            _ => quote(self.text.as_bytes()),
        }
    }
}

fn keyword(word: &str) -> Option<Kind> {
    Some(match word {
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::End,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        _ => return None,
    })
}

/// Splits a template into tokens; the last one is `Eof` or `Error`.
pub(crate) fn lex(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, at: 0, start: 0, line: 1, parens: 0, tokens: Vec::new() };
    if let Err(message) = lexer.run() {
        lexer.tokens.push(Token { kind: Kind::Error, at: lexer.start, line: lexer.start_line(), text: message });
    } else {
        lexer.tokens.push(Token { kind: Kind::Eof, at: lexer.at, line: lexer.start_line(), text: String::new() });
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    at: usize,
    start: usize,
    /// Line of the last token's end, counted up as tokens are made.
    line: usize,
    parens: usize,
    tokens: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn start_line(&self) -> usize {
        self.line
    }

    fn emit(&mut self, kind: Kind) {
        let text = self.input.get(self.start..self.at).unwrap_or_default();
        self.tokens.push(Token { kind, at: self.start, line: self.line, text: text.to_owned() });
        self.ignore();
    }

    fn ignore(&mut self) {
        let text = self.input.get(self.start..self.at).unwrap_or_default();
        self.line += text.bytes().filter(|b| *b == b'\n').count();
        self.start = self.at;
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let Some(open) = rest.find("{{") else {
                self.at = self.input.len();
                if self.at > self.start {
                    self.emit(Kind::Text);
                }
                return Ok(());
            };
            let delim = self.at + open;
            let trim = has_left_trim(&rest[open + 2..]);
            let text_end = if trim { self.start + rest[..open].trim_end_matches(is_space).len() } else { delim };
            self.at = text_end;
            if self.at > self.start {
                self.emit(Kind::Text);
            }
            self.at = delim;
            self.ignore();
            self.at += 2;
            let after = self.at + if trim { 2 } else { 0 };
            if self.input[after..].starts_with("/*") {
                self.at = after;
                self.ignore();
                self.comment()?;
            } else {
                self.emit(Kind::LeftDelim);
                self.at = after;
                self.ignore();
                self.parens = 0;
                self.action()?;
            }
        }
    }

    /// A comment, from `/*` through the right delimiter.
    fn comment(&mut self) -> Result<(), String> {
        let close = self.rest()[2..].find("*/").ok_or("unclosed comment")?;
        self.at += 2 + close + 2;
        let trim = self.right_delim().ok_or("comment ends before closing delimiter")?;
        self.finish_delim(trim);
        self.ignore();
        if trim {
            self.skip_space();
        }
        Ok(())
    }

    /// Whether a right delimiter comes next, and whether it trims.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_trim(rest) && rest[2..].starts_with("}}") {
            Some(true)
        } else {
            rest.starts_with("}}").then_some(false)
        }
    }

    fn finish_delim(&mut self, trim: bool) {
        if trim {
            self.at += 2;
            self.ignore();
        }
        self.at += 2;
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
        self.ignore();
    }

    /// The inside of an action, through its right delimiter.
    fn action(&mut self) -> Result<(), String> {
        loop {
            if let Some(trim) = self.right_delim() {
                if self.parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.finish_delim(trim);
                self.emit(Kind::RightDelim);
                if trim {
                    self.skip_space();
                }
                return Ok(());
            }
            let Some(c) = self.peek() else { return Err("unclosed action".to_owned()) };
            match c {
                c if is_space(c) => self.space(),
                '0'..='9' | '+' | '-' => self.number()?,
                '.' if matches!(self.rest().as_bytes().get(1), Some(b'0'..=b'9')) => self.number()?,
                '.' => self.field_or_variable(Kind::Field)?,
                '$' => self.field_or_variable(Kind::Variable)?,
                '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
                '`' => {
                    let close = self.rest()[1..].find('`').ok_or("unterminated raw quoted string")?;
                    self.at += close + 2;
                    self.emit(Kind::RawString);
                }
                c if is_alphanumeric(c) => self.identifier()?,
                _ => self.symbol(c)?,
            }
        }
    }

    fn symbol(&mut self, c: char) -> Result<(), String> {
        self.at += c.len_utf8();
        let kind = match c {
            '=' => Kind::Assign,
            ':' if self.peek() == Some('=') => {
                self.at += 1;
                Kind::Declare
            }
            ':' => return Err("expected :=".to_owned()),
            '|' => Kind::Pipe,
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren")?;
                Kind::RightParen
            }
            ' '..='~' => Kind::Char,
            c => return Err(format!("unrecognized character in action: {}", show_char(c))),
        };
        self.emit(kind);
        Ok(())
    }

    /// Spaces inside an action, but for one that begins a trimming right delimiter.
    fn space(&mut self) {
        let rest = self.rest();
        let mut spaces = rest.len() - rest.trim_start_matches(is_space).len();
        if rest[spaces..].starts_with("-}}") {
            spaces -= 1;
        }
        if spaces > 0 {
            self.at += spaces;
            self.emit(Kind::Space);
        }
    }

    fn take_alphanumeric(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_alphanumeric).len();
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(') || self.rest().starts_with("}}"),
        }
    }

    fn require_terminator(&self) -> Result<(), String> {
        if self.at_terminator() {
            return Ok(());
        }
        Err(format!("bad character {}", show_char(self.peek().unwrap_or('\u{fffd}'))))
    }

    fn identifier(&mut self) -> Result<(), String> {
        self.take_alphanumeric();
        self.require_terminator()?;
        let word = &self.input[self.start..self.at];
        let kind = match word {
            "true" | "false" => Kind::Bool,
            _ => keyword(word).unwrap_or(Kind::Identifier),
        };
        self.emit(kind);
        Ok(())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Result<(), String> {
        self.at += 1;
        if self.at_terminator() {
            self.emit(if kind == Kind::Variable { kind } else { Kind::Dot });
            return Ok(());
        }
        self.take_alphanumeric();
        self.require_terminator()?;
        self.emit(kind);
        Ok(())
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        self.at += 1;
        loop {
            let c = self.peek().filter(|c| *c != '\n').ok_or(unterminated)?;
            self.at += c.len_utf8();
            if c == quote {
                self.emit(kind);
                return Ok(());
            }
            if c == '\\' {
                let escaped = self.peek().filter(|c| *c != '\n').ok_or(unterminated)?;
                self.at += escaped.len_utf8();
            }
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let bad = |lexer: &Self| format!("bad number syntax: {}", quote(lexer.input[lexer.start..lexer.at].as_bytes()));
        if !self.scan_number() {
            return Err(bad(self));
        }
        let kind = if matches!(self.peek(), Some('+' | '-')) {
            // A complex constant such as 1+2i; no spaces, and the second part must be imaginary.
            if !self.scan_number() || !self.input[..self.at].ends_with('i') {
                return Err(bad(self));
            }
            Kind::Complex
        } else {
            Kind::Number
        };
        self.emit(kind);
        Ok(())
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        self.at += usize::from(found);
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        const HEX: &str = "0123456789abcdefABCDEF_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEX;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if (digits == DECIMAL && self.accept("eE")) || (digits == HEX && self.accept("pP")) {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        match self.peek() {
            // The next thing must not be alphanumeric; Go shows it with the number.
            Some(c) if is_alphanumeric(c) => {
                self.at += c.len_utf8();
                false
            }
            _ => true,
        }
    }
}

fn has_left_trim(after: &str) -> bool {
    let mut chars = after.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn has_right_trim(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next().is_some_and(is_space) && chars.next() == Some('-')
}

/// Go's `%#U`: code point, and the character itself where it is printable.
fn show_char(c: char) -> String {
    let code = c as u32;
    if c.is_control() { format!("U+{code:04X}") } else { format!("U+{code:04X} '{c}'") }
}

/// The value of a character constant such as `'a'`, quotes included.
pub(crate) fn char_constant(text: &str) -> Result<i64, String> {
    let body = text.as_bytes().get(1..).unwrap_or_default();
    let (value, _, used) = unquote_char(body, b'\'').map_err(|e| e.to_string())?;
    if body.get(used..) != Some(b"'") {
        return Err(format!("malformed character constant: {text}"));
    }
    Ok(i64::from(value))
}
