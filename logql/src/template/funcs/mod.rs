//! The functions a template may call: Go's built-in ones, Loki's and its subset of sprig's.

mod alert;
mod collections;
mod compare;
mod encode;
mod letters;
mod math;
mod replace;
mod strings;
mod times;

use std::fmt;

use narvi_types::regex::{Regex, RegexError};

use crate::template::alert::AlertData;
use crate::template::fields::Fields;
use crate::template::limits::Account;
use crate::template::value::Value;

use self::Param::{Any, Float, Int, Str, Time};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Any,
    Str,
    Int,
    Float,
    Time,
}

impl Param {
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Any => "interface {}",
            Str => "string",
            Int => "int",
            Float => "float64",
            Time => "time.Time",
        }
    }
}

/// What functions see besides their arguments.
pub(crate) struct Env<'a> {
    pub(crate) fields: &'a dyn Fields,
    pub(crate) line: &'a [u8],
    pub(crate) timestamp_ns: i64,
    pub(crate) account: Account,
    /// What a template of an alert is run over.
    pub(crate) alert: Option<&'a AlertData<'a>>,
    /// The pattern of the call at hand, if it is a constant.
    pub(crate) regex: Option<&'a Result<Regex, RegexError>>,
}

/// The result of a function; the error is what Go's would say.
pub(crate) type Outcome<'a> = Result<Value<'a>, String>;
type Body = for<'a> fn(&mut Env<'a>, &[Value<'a>]) -> Outcome<'a>;

/// A function: its name, the types of its parameters, the type of any further ones, and what it does. The executor has
/// checked number and types before it calls the body.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) rest: Option<Param>,
    pub(crate) body: Body,
}

impl Function {
    /// Whether the first parameter is a regular expression.
    pub(crate) fn takes_regex(&self) -> bool {
        matches!(self.name, "regexReplaceAll" | "regexReplaceAllLiteral" | "count")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Finds the function of a name.
pub(crate) type Find = fn(&str) -> Option<&'static Function>;

/// The function of a name in a template of lines or labels.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

/// How many functions of the table are Go's own.
const OF_GO: usize = 19;

/// The function of a name in a template of an alert.
pub(crate) fn find_alert(name: &str) -> Option<&'static Function> {
    FUNCTIONS[..OF_GO].iter().chain(&ALERT_FUNCTIONS).find(|f| f.name == name)
}

const fn fixed(name: &'static str, params: &'static [Param], body: Body) -> Function {
    Function { name, params, rest: None, body }
}

const fn open(name: &'static str, params: &'static [Param], rest: Param, body: Body) -> Function {
    Function { name, params, rest: Some(rest), body }
}

static FUNCTIONS: [Function; 86] = [
    // Go's own.
    open("and", &[Any], Any, compare::never),
    open("or", &[Any], Any, compare::never),
    open("call", &[Any], Any, compare::never),
    fixed("not", &[Any], compare::not),
    open("eq", &[Any], Any, compare::eq),
    fixed("ne", &[Any, Any], compare::ne),
    fixed("lt", &[Any, Any], compare::lt),
    fixed("le", &[Any, Any], compare::le),
    fixed("gt", &[Any, Any], compare::gt),
    fixed("ge", &[Any, Any], compare::ge),
    fixed("len", &[Any], collections::len),
    open("index", &[Any], Any, collections::index),
    open("slice", &[Any], Any, collections::slice),
    open("print", &[], Any, strings::print),
    open("printf", &[Str], Any, strings::printf),
    open("println", &[], Any, strings::println),
    open("html", &[], Any, encode::html),
    open("js", &[], Any, encode::js),
    open("urlquery", &[], Any, encode::urlquery),
    // Loki's deprecated ones: the string comes first.
    fixed("ToLower", &[Str], strings::lower),
    fixed("ToUpper", &[Str], strings::upper),
    fixed("Replace", &[Str, Str, Str, Int], replace::replace_go),
    fixed("Trim", &[Str, Str], strings::trim_go),
    fixed("TrimLeft", &[Str, Str], strings::trim_left_go),
    fixed("TrimRight", &[Str, Str], strings::trim_right_go),
    fixed("TrimPrefix", &[Str, Str], strings::trim_prefix_go),
    fixed("TrimSuffix", &[Str, Str], strings::trim_suffix_go),
    fixed("TrimSpace", &[Str], strings::trim_space),
    // Loki's.
    fixed("regexReplaceAll", &[Str, Str, Str], replace::regex_replace_all),
    fixed("regexReplaceAllLiteral", &[Str, Str, Str], replace::regex_replace_all_literal),
    fixed("count", &[Str, Str], replace::count),
    fixed("urldecode", &[Str], encode::urldecode),
    fixed("urlencode", &[Str], encode::urlencode),
    fixed("bytes", &[Str], math::bytes),
    fixed("duration", &[Str], math::duration),
    fixed("duration_seconds", &[Str], math::duration),
    fixed("unixEpochMillis", &[Time], times::unix_epoch_millis),
    fixed("unixEpochNanos", &[Time], times::unix_epoch_nanos),
    fixed("toDateInZone", &[Str, Str, Str], times::to_date_in_zone),
    fixed("unixToTime", &[Str], times::unix_to_time),
    fixed("alignLeft", &[Int, Str], strings::align_left),
    fixed("alignRight", &[Int, Str], strings::align_right),
    fixed("__line__", &[], strings::line),
    fixed("__timestamp__", &[], times::timestamp),
    // sprig's: the string comes last.
    fixed("b64enc", &[Str], encode::b64enc),
    fixed("b64dec", &[Str], encode::b64dec),
    fixed("lower", &[Str], strings::lower),
    fixed("upper", &[Str], strings::upper),
    fixed("title", &[Str], strings::title),
    fixed("trunc", &[Int, Str], strings::trunc),
    fixed("substr", &[Int, Int, Str], strings::substr),
    fixed("contains", &[Str, Str], strings::contains),
    fixed("hasPrefix", &[Str, Str], strings::has_prefix),
    fixed("hasSuffix", &[Str, Str], strings::has_suffix),
    fixed("indent", &[Int, Str], strings::indent),
    fixed("nindent", &[Int, Str], strings::nindent),
    fixed("replace", &[Str, Str, Str], replace::replace),
    fixed("repeat", &[Int, Str], strings::repeat),
    fixed("trim", &[Str], strings::trim_space),
    fixed("trimAll", &[Str, Str], strings::trim_all),
    fixed("trimSuffix", &[Str, Str], strings::trim_suffix),
    fixed("trimPrefix", &[Str, Str], strings::trim_prefix),
    fixed("int", &[Any], math::int),
    fixed("float64", &[Any], math::float64),
    open("add", &[], Any, math::add),
    fixed("sub", &[Any, Any], math::sub),
    open("mul", &[Any], Any, math::mul),
    fixed("div", &[Any, Any], math::div),
    fixed("mod", &[Any, Any], math::modulo),
    open("addf", &[], Any, math::addf),
    open("subf", &[Any], Any, math::subf),
    open("mulf", &[Any], Any, math::mulf),
    open("divf", &[Any], Any, math::divf),
    open("max", &[Any], Any, math::max),
    open("min", &[Any], Any, math::min),
    open("maxf", &[Any], Any, math::maxf),
    open("minf", &[Any], Any, math::minf),
    fixed("ceil", &[Any], math::ceil),
    fixed("floor", &[Any], math::floor),
    open("round", &[Any, Int], Float, math::round),
    fixed("fromJson", &[Str], collections::from_json),
    fixed("date", &[Str, Any], times::date),
    fixed("toDate", &[Str, Str], times::to_date),
    fixed("now", &[], times::now),
    fixed("unixEpoch", &[Time], times::unix_epoch),
    open("default", &[Any], Any, collections::default),
];

/// Prometheus' functions.
static ALERT_FUNCTIONS: [Function; 27] = [
    fixed("query", &[Str], alert::query),
    fixed("first", &[Any], alert::first),
    fixed("label", &[Str, Any], alert::label),
    fixed("value", &[Any], alert::value),
    fixed("strvalue", &[Any], alert::str_value),
    fixed("sortByLabel", &[Str, Any], alert::sort_by_label),
    open("args", &[], Any, alert::args),
    fixed("reReplaceAll", &[Str, Str, Str], alert::re_replace_all),
    fixed("safeHtml", &[Str], alert::as_it_is),
    fixed("match", &[Str, Str], alert::matches),
    fixed("title", &[Str], strings::title),
    fixed("toUpper", &[Str], strings::upper),
    fixed("toLower", &[Str], strings::lower),
    fixed("graphLink", &[Str], alert::graph_link),
    fixed("tableLink", &[Str], alert::table_link),
    fixed("stripPort", &[Str], alert::strip_port),
    fixed("stripDomain", &[Str], alert::strip_domain),
    fixed("humanize", &[Any], alert::humanize),
    fixed("humanize1024", &[Any], alert::humanize_1024),
    fixed("humanizeDuration", &[Any], alert::humanize_duration),
    fixed("humanizePercentage", &[Any], alert::humanize_percentage),
    fixed("humanizeTimestamp", &[Any], alert::humanize_timestamp),
    fixed("toTime", &[Any], alert::to_time),
    fixed("parseDuration", &[Str], alert::parse_duration),
    fixed("externalURL", &[], alert::external_url),
    fixed("pathPrefix", &[], alert::path_prefix),
    fixed("now", &[], times::now),
];

/// Argument `n` as a string; the executor has checked that it is one.
fn string<'v>(args: &'v [Value<'_>], n: usize) -> &'v [u8] {
    args.get(n).and_then(Value::as_str).unwrap_or_default()
}

/// Argument `n` as an integer; the executor has checked that it is one.
fn integer(args: &[Value<'_>], n: usize) -> i64 {
    args.get(n).and_then(Value::as_int).unwrap_or_default()
}

/// Part of argument `n`, borrowed where the argument is.
fn part<'a>(args: &[Value<'a>], n: usize, from: usize, to: usize) -> Value<'a> {
    match args.get(n) {
        Some(Value::Str(s)) => Value::Str(s.get(from..to).unwrap_or_default()),
        Some(Value::Text(s)) if from == 0 && to == s.len() => Value::Text(s.clone()),
        Some(Value::Text(s)) => Value::text(s.get(from..to).unwrap_or_default()),
        _ => Value::Str(b""),
    }
}
