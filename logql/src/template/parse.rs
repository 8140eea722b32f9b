//! The parser of Go's text/template: tokens to the compiled form, with Go's error texts.

use std::collections::HashMap;

use narvi_types::regex::{Regex, RegexOptions};

use crate::template::ast::{Branch, Call, Command, Expr, ExprKind, Pipe, Stmt};
use crate::template::constant::parse_number;
use crate::template::funcs;
use crate::template::lex::{Kind, Token, lex};
use crate::value::{quote, unquote};

/// How deep actions and parentheses may nest. Go has no such limit; our recursion must have one.
const MAX_NESTING: usize = 200;

/// The templates of one text: the main one first, then those it defines.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) bodies: Vec<(String, Vec<Stmt>)>,
}

/// Parses a template text whose functions `find` knows. The error is Go's, without the leading `template: NAME:`; it starts with the line number.
pub(crate) fn parse(name: &str, text: &str, find: funcs::Find) -> Result<Parsed, String> {
    let mut parser = Parser {
        name,
        find,
        tokens: lex(text),
        next: 0,
        line: 1,
        action_line: 0,
        range_depth: 0,
        nesting: 0,
        variables: vec!["$".to_owned()],
        defined: Vec::new(),
        by_name: HashMap::new(),
    };
    let body = parser.top_level().map_err(|message| format!("{}: {message}", parser.line))?;
    parser.define(name.to_owned(), body).map_err(|message| format!("{}: {message}", parser.line))?;
    let mut defined = parser.defined;
    let main = parser.by_name.get(name).copied().unwrap_or_default();
    defined.swap(0, main);
    let index: HashMap<String, usize> = defined.iter().enumerate().map(|(n, (name, _))| (name.clone(), n)).collect();
    for (_, body) in &mut defined {
        resolve(body, &index);
    }
    Ok(Parsed { bodies: defined })
}

/// Points every `{{template}}` at the body it names.
fn resolve(body: &mut [Stmt], index: &HashMap<String, usize>) {
    for stmt in body {
        match stmt {
            Stmt::Template(call) => call.target = index.get(&call.name).copied(),
            Stmt::If(b) | Stmt::With(b) | Stmt::Range(b) => {
                resolve(&mut b.body, index);
                resolve(b.other.as_deref_mut().unwrap_or_default(), index);
            }
            _ => {}
        }
    }
}

/// A template that writes nothing but white space; Go lets another definition replace it.
fn is_blank(body: &[Stmt]) -> bool {
    body.iter().all(|stmt| matches!(stmt, Stmt::Text(text) if text.trim_ascii().is_empty()))
}

/// What a list of statements stopped at.
enum Stop {
    End,
    /// `{{else}}`, or the `else` of `{{else if` and `{{else with`.
    Else,
}

impl Stop {
    fn show(&self) -> &'static str {
        match self {
            Stop::End => "{{end}}",
            Stop::Else => "{{else}}",
        }
    }
}

enum Item {
    Stmt(Stmt),
    Stop(Stop),
}

struct Parser<'a> {
    name: &'a str,
    find: funcs::Find,
    tokens: Vec<Token>,
    next: usize,
    /// Line of the last token taken, for errors.
    line: usize,
    /// Line on which the current action began, 0 outside of actions.
    action_line: usize,
    range_depth: usize,
    nesting: usize,
    variables: Vec<String>,
    defined: Vec<(String, Vec<Stmt>)>,
    by_name: HashMap<String, usize>,
}

type Parse<T> = Result<T, String>;

impl Parser<'_> {
    fn peek_at(&self, ahead: usize) -> &Token {
        // The lexer always ends with Eof or Error, which is met again and again.
        let last = self.tokens.len() - 1;
        &self.tokens[(self.next + ahead).min(last)]
    }

    fn peek(&mut self) -> Kind {
        let token = self.peek_at(0);
        let (kind, line) = (token.kind, token.line);
        self.line = line;
        kind
    }

    fn next(&mut self) -> Token {
        let token = self.peek_at(0).clone();
        self.line = token.line;
        self.next = (self.next + 1).min(self.tokens.len());
        token
    }

    fn skip_space(&mut self) {
        while self.peek_at(0).kind == Kind::Space {
            self.next += 1;
        }
    }

    fn next_non_space(&mut self) -> Token {
        self.skip_space();
        self.next()
    }

    fn peek_non_space(&mut self) -> Kind {
        self.skip_space();
        self.peek()
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parse<T> {
        if token.kind != Kind::Error {
            return Err(format!("unexpected {} in {context}", token.show()));
        }
        if self.action_line == 0 || self.action_line == token.line {
            return Err(token.text.clone());
        }
        // "unclosed action" already says what it is.
        let extra = if token.text.ends_with(" action") { "" } else { " in action" };
        Err(format!("{}{extra} started at {}:{}", token.text, self.name, self.action_line))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parse<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn enter(&mut self) -> Parse<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(format!("actions and parentheses nest more than {MAX_NESTING} deep"));
        }
        Ok(())
    }

    fn define(&mut self, name: String, body: Vec<Stmt>) -> Parse<()> {
        match self.by_name.get(&name) {
            None => {
                self.by_name.insert(name.clone(), self.defined.len());
                self.defined.push((name, body));
            }
            Some(&n) if is_blank(&self.defined[n].1) => self.defined[n].1 = body,
            Some(_) if is_blank(&body) => {}
            Some(_) => return Err(format!("template: multiple definition of template {}", quote(name.as_bytes()))),
        }
        Ok(())
    }

    fn top_level(&mut self) -> Parse<Vec<Stmt>> {
        let mut body = Vec::new();
        while self.peek() != Kind::Eof {
            if self.peek() == Kind::LeftDelim {
                let start = self.next;
                self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.next = start;
            }
            match self.text_or_action()? {
                Item::Stmt(stmt) => body.push(stmt),
                Item::Stop(stop) => return Err(format!("unexpected {}", stop.show())),
            }
        }
        Ok(body)
    }

    fn definition(&mut self) -> Parse<()> {
        let context = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelim, context)?;
        self.body_of(name, context)
    }

    /// The statements of a definition or block, through its `{{end}}`; they see no outer variable.
    fn body_of(&mut self, name: String, context: &str) -> Parse<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (body, stop) = self.list()?;
        if let Stop::Else = stop {
            return Err(format!("unexpected {} in {context}", stop.show()));
        }
        (self.variables, self.range_depth) = (variables, range_depth);
        self.define(name, body)
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parse<String> {
        match token.kind {
            Kind::String | Kind::RawString => {
                let name = unquote(token.text.as_bytes()).map_err(|e| e.to_string())?;
                Ok(String::from_utf8_lossy(&name).into_owned())
            }
            _ => self.unexpected(token, context),
        }
    }

    fn list(&mut self) -> Parse<(Vec<Stmt>, Stop)> {
        let mut body = Vec::new();
        while self.peek_non_space() != Kind::Eof {
            match self.text_or_action()? {
                Item::Stmt(stmt) => body.push(stmt),
                Item::Stop(stop) => return Ok((body, stop)),
            }
        }
        Err("unexpected EOF".to_owned())
    }

    fn text_or_action(&mut self) -> Parse<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Stmt(Stmt::Text(token.text.into_bytes().into()))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                self.enter()?;
                let item = self.action()?;
                self.nesting -= 1;
                self.action_line = 0;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parse<Item> {
        let start = self.next;
        let token = self.next_non_space();
        let stmt = match token.kind {
            Kind::Block => self.block(&token)?,
            Kind::Break => self.loop_control("{{break}}", Stmt::Break)?,
            Kind::Continue => self.loop_control("{{continue}}", Stmt::Continue)?,
            Kind::Else => {
                // For `{{else if` and `{{else with` the keyword stays for the caller.
                if !matches!(self.peek_non_space(), Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::If => Stmt::If(self.branch("if")?),
            Kind::Range => Stmt::Range(self.branch("range")?),
            Kind::With => Stmt::With(self.branch("with")?),
            Kind::Template => self.template(&token)?,
            _ => {
                self.next = start;
                self.skip_space();
                // Variables declared here live until the enclosing end.
                Stmt::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Stmt(stmt))
    }

    fn loop_control(&mut self, name: &str, stmt: Stmt) -> Parse<Stmt> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, name);
        }
        if self.range_depth == 0 {
            return Err(format!("{name} outside {{{{range}}}}"));
        }
        Ok(stmt)
    }

    fn block(&mut self, start: &Token) -> Parse<Stmt> {
        let context = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.body_of(name.clone(), context)?;
        let at = token.at.max(start.at);
        Ok(Stmt::Template(Call { at, name, target: None, pipe: Some(pipe) }))
    }

    fn template(&mut self, start: &Token) -> Parse<Stmt> {
        let context = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let mut pipe = None;
        if self.peek_non_space() == Kind::RightDelim {
            self.next();
        } else {
            // Do not pop variables; they persist until the enclosing end.
            pipe = Some(self.pipeline(context, Kind::RightDelim)?);
        }
        let at = token.at.max(start.at);
        Ok(Stmt::Template(Call { at, name, target: None, pipe }))
    }

    fn branch(&mut self, context: &str) -> Parse<Branch> {
        let mark = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.range_depth += in_range;
        let (body, stop) = self.list()?;
        self.range_depth -= in_range;
        let mut other = None;
        if let Stop::Else = stop {
            let next = self.peek();
            if context == "if" && next == Kind::If {
                self.next();
                self.enter()?;
                other = Some(vec![Stmt::If(self.branch("if")?)]);
                self.nesting -= 1;
            } else if context == "with" && next == Kind::With {
                self.next();
                self.enter()?;
                other = Some(vec![Stmt::With(self.branch("with")?)]);
                self.nesting -= 1;
            } else {
                let (list, stop) = self.list()?;
                if let Stop::Else = stop {
                    return Err(format!("expected end; found {}", stop.show()));
                }
                other = Some(list);
            }
        }
        self.variables.truncate(mark);
        Ok(Branch { pipe, body, other })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parse<Pipe> {
        self.peek_non_space();
        let mut pipe = Pipe { at: self.peek_at(0).at, assigns: false, variables: Vec::new(), commands: Vec::new() };
        while self.peek_non_space() == Kind::Variable {
            if !self.declaration(context, &mut pipe)? {
                break;
            }
        }
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.line = token.line;
                    check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.next -= 1;
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// A variable at the start of a pipeline: takes it if `:=`, `=` or `,` follows. Says whether to look for another.
    fn declaration(&mut self, context: &str, pipe: &mut Pipe) -> Parse<bool> {
        let start = self.next;
        let variable = self.next();
        let after = self.next_non_space();
        match after.kind {
            Kind::Assign | Kind::Declare => {
                pipe.assigns = after.kind == Kind::Assign;
                self.variables.push(variable.text.clone());
                pipe.variables.push(variable.text);
                Ok(false)
            }
            Kind::Char if after.text == "," => {
                self.variables.push(variable.text.clone());
                pipe.variables.push(variable.text);
                if context == "range" && pipe.variables.len() < 2 {
                    return match self.peek_non_space() {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                        _ => Err("range can only initialize variables".to_owned()),
                    };
                }
                Err(format!("too many declarations in {context}"))
            }
            _ => {
                self.next = start;
                Ok(false)
            }
        }
    }

    fn command(&mut self) -> Parse<Command> {
        self.skip_space();
        let at = self.peek_at(0).at;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.next -= 1,
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if args.is_empty() {
            return Err("empty command".to_owned());
        }
        let regex = constant_regex(&args);
        Ok(Command { at, args, regex })
    }

    fn operand(&mut self) -> Parse<Option<Expr>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek() != Kind::Field {
            return Ok(Some(term));
        }
        let at = self.peek_at(0).at;
        let mut names = Vec::new();
        while self.peek() == Kind::Field {
            names.push(self.next().text[1..].to_owned());
        }
        let kind = match term.kind {
            ExprKind::Field(mut head) => {
                head.append(&mut names);
                ExprKind::Field(head)
            }
            ExprKind::Variable(mut head) => {
                head.append(&mut names);
                ExprKind::Variable(head)
            }
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(_) | ExprKind::Nil | ExprKind::Dot => {
                return Err(format!("unexpected . after term {}", quote(term.to_string().as_bytes())));
            }
            _ => ExprKind::Chain(Box::new(term), names),
        };
        Ok(Some(Expr { at, kind }))
    }

    fn term(&mut self) -> Parse<Option<Expr>> {
        let token = self.next_non_space();
        let kind = match token.kind {
            Kind::Identifier => match (self.find)(&token.text) {
                Some(function) => ExprKind::Function(function),
                None => return Err(format!("function {} not defined", quote(token.text.as_bytes()))),
            },
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable if self.variables.contains(&token.text) => ExprKind::Variable(vec![token.text]),
            Kind::Variable => return Err(format!("undefined variable {}", quote(token.text.as_bytes()))),
            Kind::Field => ExprKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => ExprKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => ExprKind::Number(parse_number(&token)?),
            Kind::LeftParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.nesting -= 1;
                // Go places the parenthesised pipeline at its first token.
                return Ok(Some(Expr { at: pipe.at, kind: ExprKind::Pipe(Box::new(pipe)) }));
            }
            Kind::String | Kind::RawString => {
                let value = unquote(token.text.as_bytes()).map_err(|e| e.to_string())?;
                ExprKind::Str(value.into_owned().into(), token.text)
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Expr { at: token.at, kind }))
    }
}

fn check_pipeline(pipe: &Pipe, context: &str) -> Parse<()> {
    if pipe.commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    for (n, command) in pipe.commands.iter().enumerate().skip(1) {
        let fixed = matches!(
            command.args.first().map(|a| &a.kind),
            Some(ExprKind::Bool(_) | ExprKind::Dot | ExprKind::Nil | ExprKind::Number(_) | ExprKind::Str(..))
        );
        if fixed {
            return Err(format!("non executable command in pipeline stage {}", n + 1));
        }
    }
    Ok(())
}

/// Compiles the pattern of a regular expression function, if it is a constant, once for all lines.
fn constant_regex(args: &[Expr]) -> Option<Result<Regex, narvi_types::regex::RegexError>> {
    let [Expr { kind: ExprKind::Function(function), .. }, Expr { kind: ExprKind::Str(pattern, _), .. }, ..] = args
    else {
        return None;
    };
    let pattern = std::str::from_utf8(pattern).ok()?;
    function.takes_regex().then(|| Regex::new(pattern, RegexOptions::LINE))
}
