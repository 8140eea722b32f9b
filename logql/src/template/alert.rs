//! Templates of alerts: Go's text/template with Prometheus' functions and variables instead of Loki's.

use std::collections::BTreeMap;

use crate::template::{Fields, Template, TemplateError, exec, funcs, parse, step, value::Value};

/// What a template of an alert finds before it: the variables that Prometheus defines.
const PRELUDE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}\
                       {{$value := .Value}}";

/// The labels and the value of one series of a query that a template asks.
pub type QuerySample = (Vec<(String, String)>, f64);

/// What a template of an alert is run over.
#[expect(clippy::exhaustive_structs, reason = "what Prometheus gives its templates")]
pub struct AlertData<'a> {
    /// `$labels`, `.Labels`.
    pub labels: &'a dyn Fields,
    /// `$value`, `.Value`.
    pub value: f64,
    /// `$externalLabels`, `.ExternalLabels`.
    pub external_labels: &'a [(String, String)],
    /// `$externalURL`, `.ExternalURL`, and what `externalURL` and `pathPrefix` give.
    pub external_url: &'a str,
    /// Answers the function `query`.
    pub query: &'a dyn Fn(&str) -> Result<Vec<QuerySample>, String>,
}

impl std::fmt::Debug for AlertData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertData").field("value", &self.value).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template of an alert's label or annotation.
    ///
    /// # Errors
    /// [`TemplateError::Parse`] in Go's words.
    pub fn parse_alert(name: &str, text: &str) -> Result<Self, TemplateError> {
        let text = format!("{PRELUDE}{text}");
        let parsed = parse::parse(name, &text, funcs::find_alert);
        let parsed = parsed.map_err(|error| TemplateError::Parse(format!("{name}:{error}")))?;
        let reads = step::Reads::of(&parsed.bodies);
        Ok(Self { name: name.to_owned(), text, bodies: parsed.bodies, reads, single_field: None })
    }

    /// Runs a template that [`Template::parse_alert`] made.
    ///
    /// # Errors
    /// [`TemplateError::Run`] when Go's would fail, or a limit is exceeded.
    pub fn run_alert(&self, data: &AlertData<'_>) -> Result<String, TemplateError> {
        let mut out = Vec::new();
        let external = data.external_labels.iter().map(|(name, value)| (name.as_str(), Value::Str(value.as_bytes())));
        let dot = map([
            ("Labels", Value::Labels),
            ("Value", Value::Float(data.value)),
            ("ExternalLabels", map(external)),
            ("ExternalURL", Value::Str(data.external_url.as_bytes())),
        ]);
        exec::run_over(
            self,
            &mut out,
            exec::Input { fields: data.labels, line: b"", timestamp_ns: 0, alert: Some(data) },
            dot,
        )
        .map_err(TemplateError::Run)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

/// A map of Go.
pub(crate) fn map<'a, 'n>(entries: impl IntoIterator<Item = (&'n str, Value<'a>)>) -> Value<'a> {
    let entries = entries.into_iter().map(|(name, value)| (Box::from(name.as_bytes()), value));
    Value::Map(entries.collect::<BTreeMap<Box<[u8]>, _>>().into())
}

#[cfg(test)]
mod tests {
    use super::{AlertData, QuerySample};
    use crate::template::{FieldList, Template};

    fn answer(query: &str) -> Result<Vec<QuerySample>, String> {
        let sample = |app: &str, value| (vec![("app".to_owned(), app.to_owned())], value);
        match query {
            "up" => Ok(vec![sample("b", 2.0), sample("a", 1.0)]),
            "none" => Ok(vec![]),
            other => Err(format!("cannot ask {other}")),
        }
    }

    fn run(text: &str, value: f64) -> String {
        let template = Template::parse_alert("__alert_T", text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let external = [("cluster".to_owned(), "c1".to_owned())];
        let data = AlertData {
            labels: &FieldList(&[("app", "api"), ("instance", "host.example.com:9100")]),
            value,
            external_labels: &external,
            external_url: "http://grafana.example.com/base",
            query: &answer,
        };
        template.run_alert(&data).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn variables_and_fields() {
        for (text, expected) in [
            ("{{ $labels.app }} is {{ $value }}", "api is 12.5"),
            ("{{ .Labels.app }}/{{ .Value }}", "api/12.5"),
            ("{{ $labels.nosuch }}|", "|"),
            ("{{ $externalLabels.cluster }} {{ $externalURL }}", "c1 http://grafana.example.com/base"),
            ("{{ externalURL }} {{ pathPrefix }}", "http://grafana.example.com/base /base"),
            ("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "app=api;instance=host.example.com:9100;"),
            ("{{ printf \"%.2f\" $value }}", "12.50"),
            ("{{ if gt $value 10.0 }}high{{ else }}low{{ end }}", "high"),
            ("{{ $labels.app | toUpper }} {{ title \"abc\" }} {{ toLower \"ABC\" }}", "API Abc abc"),
            ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}", "host.example.com"),
            ("{{ match \"^a\" $labels.app }}", "true"),
            ("{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}", "host.example.com host:9100"),
            ("{{ stripPort \"[::1]:80\" }} {{ stripDomain \"10.0.0.1:80\" }}", "::1 10.0.0.1:80"),
            ("{{ parseDuration \"1h30m\" }}", "5400"),
            ("{{ graphLink \"a b\" }} {{ tableLink \"x\" }}", "/graph?g0.expr=a+b&g0.tab=0 /graph?g0.expr=x&g0.tab=1"),
            ("{{ (args 1 \"x\").arg1 }}", "x"),
            ("{{ safeHtml \"<b>\" }}", "<b>"),
        ] {
            assert_eq!(run(text, 12.5), expected, "{text}");
        }
    }

    #[test]
    fn numbers_for_people() {
        for (function, value, expected) in [
            ("humanize", 0.0, "0"),
            ("humanize", 1_234_567.0, "1.235M"),
            ("humanize", 0.0123, "12.3m"),
            ("humanize", -2_000.0, "-2k"),
            ("humanize", f64::INFINITY, "+Inf"),
            ("humanize1024", 1_048_576.0, "1Mi"),
            ("humanize1024", 0.5, "0.5"),
            ("humanizeDuration", 0.0, "0s"),
            ("humanizeDuration", 90_061.0, "1d 1h 1m 1s"),
            ("humanizeDuration", 3_661.5, "1h 1m 1s"),
            ("humanizeDuration", 61.0, "1m 1s"),
            ("humanizeDuration", 12.5, "12.5s"),
            ("humanizeDuration", -75.0, "-1m 15s"),
            ("humanizeDuration", 0.0015, "1.5ms"),
            ("humanizePercentage", 0.1234, "12.34%"),
            ("humanizeTimestamp", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ] {
            assert_eq!(run(&format!("{{{{ {function} $value }}}}"), value), expected, "{function} {value}");
        }
        assert_eq!(run("{{ \"1500\" | humanize }}", 0.0), "1.5k");
        assert!(run("{{ humanize \"x\" }}", 0.0).contains("error calling humanize"));
    }

    #[test]
    fn queries_of_templates() {
        for (text, expected) in [
            ("{{ range query \"up\" }}{{ .Labels.app }}={{ .Value }} {{ end }}", "b=2 a=1 "),
            ("{{ with query \"none\" }}x{{ else }}nothing{{ end }}", "nothing"),
            ("{{ query \"up\" | first | value }} {{ query \"up\" | first | label \"app\" }}", "2 b"),
            ("{{ range query \"up\" | sortByLabel \"app\" }}{{ .Labels.app }}{{ end }}", "ab"),
            ("{{ query \"up\" | first | label \"nosuch\" }}|", "|"),
        ] {
            assert_eq!(run(text, 0.0), expected, "{text}");
        }
        assert!(run("{{ query \"none\" | first }}", 0.0).contains("first() called on vector with no elements"));
        assert!(run("{{ query \"wrong\" }}", 0.0).contains("cannot ask wrong"));
    }

    #[test]
    fn functions_of_lines_are_not_known_here() {
        for text in ["{{ __line__ }}", "{{ regexReplaceAll \"a\" \"b\" \"c\" }}", "{{ nosuch }}"] {
            let error = Template::parse_alert("__alert_T", text).expect_err(text).to_string();
            assert!(error.contains("template: __alert_T:1: function") && error.contains("not defined"), "{error}");
        }
        assert!(Template::parse("line", "{{ humanize 1 }}").is_err());
    }
}
