//! The executor: walks a parsed template over the labels of one line, as Go's text/template does.

use crate::template::Template;
use crate::template::alert::AlertData;
use crate::template::args::{Args, check_type, constant, literal};
use crate::template::ast::{At, Branch, Call, Command, Expr, ExprKind, Pipe, Stmt};
use crate::template::fields::Fields;
use crate::template::frame::{Frame, set_range_variables};
use crate::template::funcs::{Env, Function, Param};
use crate::template::limits::{Account, MAX_CALL_DEPTH, MAX_OUTPUT_BYTES, too_large};
use crate::template::printf;
use crate::template::step::plain_field;
use crate::template::time;
use crate::template::value::{Value, sorted_labels};
use crate::value::quote;

/// Why a walk stopped early.
enum Halt {
    /// An error without its place, which is where the walk stands.
    Error(String),
    /// An error with its place, raised deeper in.
    Placed(String),
    Break,
    Continue,
}

impl From<String> for Halt {
    fn from(message: String) -> Self {
        Halt::Error(message)
    }
}

type Walk<T> = Result<T, Halt>;

/// Runs a template; the error lacks the leading `template: `.
pub(crate) fn run(
    template: &Template,
    out: &mut Vec<u8>,
    fields: &dyn Fields,
    line: &[u8],
    timestamp_ns: i64,
) -> Result<(), String> {
    run_over(template, out, Input { fields, line, timestamp_ns, alert: None }, Value::Labels)
}

/// What a run may read.
pub(crate) struct Input<'a> {
    pub(crate) fields: &'a dyn Fields,
    pub(crate) line: &'a [u8],
    pub(crate) timestamp_ns: i64,
    pub(crate) alert: Option<&'a AlertData<'a>>,
}

/// Runs a template over any dot; the error lacks the leading `template: `.
pub(crate) fn run_over<'a>(
    template: &'a Template,
    out: &mut Vec<u8>,
    input: Input<'a>,
    dot: Value<'a>,
) -> Result<(), String> {
    let Some((name, body)) = template.bodies.first() else { return Ok(()) };
    let limit = out.len() + MAX_OUTPUT_BYTES;
    let Input { fields, line, timestamp_ns, alert } = input;
    let env = Env { fields, line, timestamp_ns, account: Account::new(), alert, regex: None };
    let mut run = Run { template, out, limit, env };
    let mut frame = Frame { name, at: At::Start, depth: 0, dollar: dot.clone(), variables: Vec::new() };
    match run.list(&mut frame, &dot, body) {
        Ok(()) | Err(Halt::Break | Halt::Continue) => Ok(()),
        Err(Halt::Error(message)) => Err(place(template, &frame, &message)),
        Err(Halt::Placed(message)) => Err(message),
    }
}

/// Go's form of a run-time error: the place, the template's name, the node, the message.
fn place(template: &Template, frame: &Frame<'_, '_>, message: &str) -> String {
    let Some(offset) = frame.at.offset() else { return format!("{}: {message}", frame.name) };
    let before = template.text.get(..offset).unwrap_or(&template.text);
    let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
    let column = before.len() - before.rfind('\n').map_or(0, |n| n + 1);
    let name = quote(frame.name.as_bytes());
    format!("{}:{line}:{column}: executing {name} at <{}>: {message}", template.name, frame.at)
}

struct Run<'t, 'a, 'o> {
    template: &'t Template,
    out: &'o mut Vec<u8>,
    /// How long the output may become.
    limit: usize,
    env: Env<'a>,
}

impl<'t: 'a, 'a> Run<'t, 'a, '_> {
    fn list(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, body: &'t [Stmt]) -> Walk<()> {
        for stmt in body {
            self.env.account.step()?;
            match stmt {
                Stmt::Text(text) => self.write(text)?,
                Stmt::Action(pipe) => self.action(frame, dot, pipe)?,
                Stmt::If(branch) => self.branch(frame, dot, branch, false)?,
                Stmt::With(branch) => self.branch(frame, dot, branch, true)?,
                Stmt::Range(branch) => self.range(frame, dot, branch)?,
                Stmt::Template(call) => self.call_template(frame, dot, call)?,
                Stmt::Break => return Err(Halt::Break),
                Stmt::Continue => return Err(Halt::Continue),
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Walk<()> {
        if bytes.len() > self.limit.saturating_sub(self.out.len()) {
            return Err(too_large().into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn action(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, pipe: &'t Pipe) -> Walk<()> {
        if let (Value::Labels, Some(name)) = (dot, plain_field(pipe)) {
            let fields = self.env.fields;
            return self.write(fields.get(name).unwrap_or_default());
        }
        let value = self.pipeline(frame, dot, pipe)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        match &value {
            Value::Invalid => self.write(b"<no value>"),
            Value::Str(s) => self.write(s),
            Value::Text(s) => self.write(s),
            other => {
                printf::print_value(self.out, self.env.fields, other);
                if self.out.len() > self.limit { Err(too_large().into()) } else { Ok(()) }
            }
        }
    }

    fn branch(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, branch: &'t Branch, with: bool) -> Walk<()> {
        let mark = frame.variables.len();
        let value = self.pipeline(frame, dot, &branch.pipe)?;
        if value.truth(self.env.fields) {
            self.list(frame, if with { &value } else { dot }, &branch.body)?;
        } else if let Some(other) = &branch.other {
            self.list(frame, dot, other)?;
        }
        frame.variables.truncate(mark);
        Ok(())
    }

    fn range(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, branch: &'t Branch) -> Walk<()> {
        let outer = frame.variables.len();
        let value = self.pipeline(frame, dot, &branch.pipe)?;
        let mark = frame.variables.len();
        let turns = match self.turns(&value, branch) {
            Ok(turns) => turns,
            Err(message) => return Err(Halt::Error(message)),
        };
        let mut ran = false;
        for n in 0..turns {
            let (index, element) = self.turn(&value, n);
            ran = true;
            self.env.account.step()?;
            set_range_variables(frame, &branch.pipe, index, &element)?;
            match self.list(frame, &element, &branch.body) {
                Ok(()) | Err(Halt::Continue) => frame.variables.truncate(mark),
                Err(Halt::Break) => break,
                Err(halt) => return Err(halt),
            }
        }
        frame.variables.truncate(outer);
        match &branch.other {
            Some(other) if !ran => self.list(frame, dot, other),
            _ => Ok(()),
        }
    }

    /// How often a `range` over the value runs.
    fn turns(&self, value: &Value<'a>, branch: &Branch) -> Result<usize, String> {
        match value {
            Value::List(list) => Ok(list.len()),
            Value::Map(map) => Ok(map.len()),
            Value::Labels => Ok(value.len(self.env.fields).unwrap_or(0)),
            Value::Invalid => Ok(0),
            other => match other.as_int() {
                Some(_) if branch.pipe.variables.len() > 1 => Err(format!(
                    "can't use {} to iterate over more than one variable",
                    printf::show(self.env.fields, other, 'v')
                )),
                Some(n) => Ok(usize::try_from(n).unwrap_or(0)),
                None => Err(format!("range can't iterate over {}", printf::show(self.env.fields, other, 'v'))),
            },
        }
    }

    /// Key and element of one turn. Going through a map by position is slow for large ones; the steps bound it.
    fn turn(&self, value: &Value<'a>, n: usize) -> (Value<'a>, Value<'a>) {
        match value {
            Value::List(list) => (Value::Int(n as i64), list.get(n).cloned().unwrap_or(Value::Nil)),
            Value::Map(map) => match map.iter().nth(n) {
                Some((key, element)) => (Value::text(key.clone()), element.clone()),
                None => (Value::Invalid, Value::Invalid),
            },
            Value::Labels => match sorted_labels(self.env.fields).get(n) {
                Some((name, text)) => (Value::Str(name.as_bytes()), Value::Str(text)),
                None => (Value::Invalid, Value::Invalid),
            },
            Value::Int64(_) => (Value::Invalid, Value::Int64(n as i64)),
            Value::Uint8(_) => (Value::Invalid, Value::Uint8(n as u8)),
            _ => (Value::Invalid, Value::Int(n as i64)),
        }
    }

    fn call_template(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, call: &'t Call) -> Walk<()> {
        frame.at = At::Call(call);
        let Some((name, body)) = call.target.and_then(|n| self.template.bodies.get(n)) else {
            return Err(format!("template {} not defined", quote(call.name.as_bytes())).into());
        };
        if frame.depth >= MAX_CALL_DEPTH {
            return Err(format!("exceeded maximum template depth ({MAX_CALL_DEPTH})").into());
        }
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(frame, dot, pipe)?,
            None => Value::Invalid,
        };
        let depth = frame.depth + 1;
        let mut inner = Frame { name, at: At::Start, depth, dollar: dot.clone(), variables: Vec::new() };
        self.list(&mut inner, &dot, body).map_err(|halt| match halt {
            Halt::Error(message) => Halt::Placed(place(self.template, &inner, &message)),
            halt => halt,
        })
    }

    fn pipeline(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, pipe: &'t Pipe) -> Walk<Value<'a>> {
        frame.at = At::Pipe(pipe);
        let mut last = None;
        for command in &pipe.commands {
            let value = self.command(frame, dot, command, last)?;
            // An interface is opened here: a nil one becomes no value.
            last = Some(if let Value::Nil = value { Value::Invalid } else { value });
        }
        let value = last.unwrap_or(Value::Invalid);
        for name in &pipe.variables {
            if pipe.assigns {
                frame.assign(name, value.clone())?;
            } else {
                frame.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        command: &'t Command,
        last: Option<Value<'a>>,
    ) -> Walk<Value<'a>> {
        self.env.account.step()?;
        let Some(first) = command.args.first() else { return Ok(Value::Invalid) };
        let has_args = command.args.len() > 1 || last.is_some();
        match &first.kind {
            ExprKind::Function(function) => {
                frame.at = At::Expr(first);
                return self.call(frame, dot, function, command, last);
            }
            ExprKind::Field(names) => {
                frame.at = At::Expr(first);
                return self.chain(frame, dot, dot.clone(), names, first, command, last);
            }
            ExprKind::Chain(base, names) => {
                frame.at = At::Expr(first);
                let value = self.chain_base(frame, dot, base, first)?;
                return self.chain(frame, dot, value, names, first, command, last);
            }
            ExprKind::Variable(names) if names.len() > 1 => {
                frame.at = At::Expr(first);
                let value = frame.lookup(&names[0]);
                return self.chain(frame, dot, value, &names[1..], first, command, last);
            }
            ExprKind::Variable(_) => frame.at = At::Expr(first),
            ExprKind::Pipe(_) => {}
            _ => frame.at = At::Expr(first),
        }
        if has_args {
            return Err(format!("can't give argument to non-function {first}").into());
        }
        match &first.kind {
            ExprKind::Pipe(pipe) => self.pipeline(frame, dot, pipe),
            ExprKind::Variable(names) => Ok(frame.lookup(&names[0])),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Nil => Err("nil is not a command".to_owned().into()),
            ExprKind::Number(number) => Ok(constant(number)?),
            ExprKind::Str(bytes, _) => Ok(Value::Str(bytes)),
            _ => Ok(Value::Invalid),
        }
    }

    /// The value in front of a chain of fields.
    fn chain_base(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        base: &'t Expr,
        chain: &Expr,
    ) -> Walk<Value<'a>> {
        if let ExprKind::Nil = base.kind {
            return Err(format!("indirection through explicit nil in {chain}").into());
        }
        self.arg(frame, dot, Param::Any, base)
    }

    #[expect(clippy::too_many_arguments, reason = "the receiver and the call that may be a method's")]
    fn chain(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        receiver: Value<'a>,
        names: &'t [String],
        node: &'t Expr,
        command: &'t Command,
        last: Option<Value<'a>>,
    ) -> Walk<Value<'a>> {
        let Some((final_name, head)) = names.split_last() else { return Ok(receiver) };
        let mut receiver = receiver;
        let mut interface = false;
        for name in head {
            let inner = matches!(receiver, Value::Map(_));
            receiver = self.field(&receiver, name, interface, false)?;
            interface = inner;
        }
        if let (Value::Time(time), Some((param, method))) = (&receiver, time::method(final_name)) {
            let params: &[Param] = if param { &[Param::Str] } else { &[] };
            let args = command.args.get(1..).unwrap_or_default();
            let values = self.args(frame, dot, final_name, params, None, args, last)?;
            return method(time, values.as_slice()).map_err(|e| {
                frame.at = At::Expr(node);
                Halt::Error(format!("error calling {final_name}: {e}"))
            });
        }
        let has_args = command.args.len() > 1 || last.is_some();
        self.field(&receiver, final_name, interface, has_args).map_err(Halt::Error)
    }

    /// Looks a name up in the labels or a JSON object.
    fn field(&self, receiver: &Value<'a>, name: &str, interface: bool, has_args: bool) -> Result<Value<'a>, String> {
        if has_args && matches!(receiver, Value::Labels | Value::Map(_)) {
            return Err(format!("{name} is not a method but has arguments"));
        }
        match receiver {
            Value::Invalid => Ok(Value::Invalid),
            Value::Nil => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::Labels => Ok(Value::Str(self.env.fields.get(name).unwrap_or_default())),
            Value::Map(map) => Ok(map.get(name.as_bytes()).cloned().unwrap_or(Value::Nil)),
            _ if interface => Err(format!("can't evaluate field {name} in type interface {{}}")),
            other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }

    fn call(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        function: &'static Function,
        command: &'t Command,
        last: Option<Value<'a>>,
    ) -> Walk<Value<'a>> {
        let args = command.args.get(1..).unwrap_or_default();
        if matches!(function.name, "and" | "or") {
            return self.short_circuit(frame, dot, function, args, last);
        }
        if function.name == "call" {
            return self.call_value(frame, dot, command, args, last);
        }
        let values = self.args(frame, dot, function.name, function.params, function.rest, args, last)?;
        let values = values.as_slice();
        let mut bytes = 0;
        for value in values {
            bytes += value.as_str().map_or(0, <[u8]>::len);
        }
        self.env.account.work(bytes)?;
        self.env.regex = command.regex.as_ref();
        (function.body)(&mut self.env, values).map_err(|message| {
            frame.at = At::Command(command);
            Halt::Error(format!("error calling {}: {message}", function.name))
        })
    }

    /// Evaluates arguments in order and the piped value last, checking their number and types.
    #[expect(clippy::too_many_arguments, reason = "a signature and what to evaluate it with")]
    fn args(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        name: &str,
        params: &[Param],
        rest: Option<Param>,
        args: &'t [Expr],
        last: Option<Value<'a>>,
    ) -> Walk<Args<'a>> {
        let given = args.len() + usize::from(last.is_some());
        let wanted = params.len();
        if rest.is_some() && given < wanted {
            let message = format!("wrong number of args for {name}: want at least {wanted} got {}", args.len());
            return Err(message.into());
        }
        if rest.is_none() && given != wanted {
            return Err(format!("wrong number of args for {name}: want {wanted} got {given}").into());
        }
        let param = |n: usize| params.get(n).copied().or(rest).unwrap_or(Param::Any);
        let mut values = Args::new(given);
        for (n, arg) in args.iter().enumerate() {
            let value = self.arg(frame, dot, param(n), arg)?;
            values.push(value);
        }
        if let Some(last) = last {
            values.push(check_type(last, param(args.len()))?);
        }
        Ok(values)
    }

    /// `and` and `or` stop at the first argument that decides.
    fn short_circuit(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        function: &Function,
        args: &'t [Expr],
        last: Option<Value<'a>>,
    ) -> Walk<Value<'a>> {
        if args.is_empty() && last.is_none() {
            return Err(format!("wrong number of args for {}: want at least 1 got 0", function.name).into());
        }
        let mut value = Value::Invalid;
        for arg in args {
            value = self.arg(frame, dot, Param::Any, arg)?;
            if value.truth(self.env.fields) == (function.name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// `call`: nothing a template of labels can reach is a function, so it always fails.
    fn call_value(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        command: &'t Command,
        args: &'t [Expr],
        last: Option<Value<'a>>,
    ) -> Walk<Value<'a>> {
        let values = self.args(frame, dot, "call", &[Param::Any], Some(Param::Any), args, last)?;
        let callee = values.as_slice().first().cloned().unwrap_or(Value::Invalid);
        frame.at = At::Command(command);
        let name = match args.first() {
            Some(arg) => arg.to_string(),
            None => printf::show(self.env.fields, &callee, 'v'),
        };
        Err(match callee.is_nil() {
            true => "error calling call: call of nil".to_owned().into(),
            false => format!("error calling call: non-function {name} of type {}", callee.type_name()).into(),
        })
    }

    fn arg(&mut self, frame: &mut Frame<'t, 'a>, dot: &Value<'a>, param: Param, arg: &'t Expr) -> Walk<Value<'a>> {
        frame.at = At::Expr(arg);
        let value = match &arg.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil if param == Param::Any => return Ok(Value::Invalid),
            ExprKind::Nil => return Err(format!("cannot assign nil to {}", param.type_name()).into()),
            ExprKind::Field(names) => self.plain_chain(dot.clone(), names)?,
            ExprKind::Variable(names) => {
                let value = frame.lookup(&names[0]);
                self.plain_chain(value, &names[1..])?
            }
            ExprKind::Pipe(pipe) => self.pipeline(frame, dot, pipe)?,
            ExprKind::Function(function) => {
                self.env.account.step()?;
                self.bare_call(frame, dot, function, arg)?
            }
            ExprKind::Chain(base, names) => {
                let value = self.chain_base(frame, dot, base, arg)?;
                self.plain_chain(value, names)?
            }
            ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::Str(..) => return Ok(literal(arg, param)?),
        };
        Ok(check_type(value, param)?)
    }

    /// Fields without arguments, also methods of times.
    fn plain_chain(&mut self, receiver: Value<'a>, names: &'t [String]) -> Walk<Value<'a>> {
        let mut receiver = receiver;
        let mut interface = false;
        for name in names {
            if let (Value::Time(time), Some((false, method))) = (&receiver, time::method(name)) {
                receiver = method(time, &[])?;
                continue;
            }
            let inner = matches!(receiver, Value::Map(_));
            receiver = self.field(&receiver, name, interface, false)?;
            interface = inner;
        }
        Ok(receiver)
    }

    /// A function named as an argument, without arguments of its own.
    fn bare_call(
        &mut self,
        frame: &mut Frame<'t, 'a>,
        dot: &Value<'a>,
        function: &'static Function,
        node: &'t Expr,
    ) -> Walk<Value<'a>> {
        let values = self.args(frame, dot, function.name, function.params, function.rest, &[], None)?;
        if matches!(function.name, "and" | "or" | "call") {
            return Err(format!("wrong number of args for {}: want at least 1 got 0", function.name).into());
        }
        self.env.regex = None;
        (function.body)(&mut self.env, values.as_slice()).map_err(|message| {
            frame.at = At::Expr(node);
            Halt::Error(format!("error calling {}: {message}", function.name))
        })
    }
}
