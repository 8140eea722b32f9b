//! Relabelling, as Prometheus has it.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use narvi_config::Relabel;
use narvi_types::regex::{Regex, RegexOptions};

use crate::RulerError;

/// Labels that are being changed.
pub(crate) type Pairs = BTreeMap<String, String>;

/// Rules ready to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relabels(Vec<(Relabel, Regex)>);

impl Relabels {
    pub(crate) fn new(rules: &[Relabel]) -> Result<Self, RulerError> {
        let compile = |rule: &Relabel| {
            let regex = Regex::new(&rule.regex, RegexOptions::LABEL_MATCHER);
            let regex =
                regex.map_err(|error| RulerError::Setting(format!("relabel regex {:?}: {error}", rule.regex)))?;
            Ok((rule.clone(), regex))
        };
        rules.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Changes labels; false says that what has them is dropped.
    pub(crate) fn apply(&self, labels: &mut Pairs) -> bool {
        self.0.iter().all(|(rule, regex)| apply(rule, regex, labels)) && !labels.is_empty()
    }
}

fn apply(rule: &Relabel, regex: &Regex, labels: &mut Pairs) -> bool {
    let value = |name: &String| labels.get(name).map_or("", String::as_str);
    let joined = rule.source_labels.iter().map(value).collect::<Vec<_>>().join(&rule.separator);
    match rule.action.as_str() {
        "keep" => return regex.is_match_str(&joined),
        "drop" => return !regex.is_match_str(&joined),
        "keepequal" => return joined == value(&rule.target_label),
        "dropequal" => return joined != value(&rule.target_label),
        "lowercase" => set(labels, &rule.target_label, joined.to_lowercase()),
        "uppercase" => set(labels, &rule.target_label, joined.to_uppercase()),
        "hashmod" => set(labels, &rule.target_label, (hash(&joined) % rule.modulus.max(1)).to_string()),
        "labeldrop" => labels.retain(|name, _| !regex.is_match_str(name)),
        "labelkeep" => labels.retain(|name, _| regex.is_match_str(name)),
        "labelmap" => {
            let mapped =
                |(name, value): (&String, &String)| Some((expand(regex, &rule.replacement, name)?, value.clone()));
            let new: Vec<_> = labels.iter().filter_map(mapped).collect();
            new.into_iter().for_each(|(name, value)| set(labels, &name, value));
        }
        _ => {
            let target = expand(regex, &rule.target_label, &joined);
            if let (Some(target), Some(value)) = (target, expand(regex, &rule.replacement, &joined)) {
                set(labels, &target, value);
            }
        }
    }
    true
}

/// What Prometheus divides: the second half of an MD5 sum.
fn hash(text: &str) -> u64 {
    let sum: [u8; 16] = Md5::digest(text).into();
    sum.last_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}

fn set(labels: &mut Pairs, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else if !name.is_empty() {
        labels.insert(name.to_owned(), value);
    }
}

/// A template with the groups of a match; `None` if there is no match.
fn expand(regex: &Regex, template: &str, text: &str) -> Option<String> {
    let mut groups = regex.groups();
    if !regex.captures(text.as_bytes(), &mut groups) {
        return None;
    }
    let mut out = Vec::new();
    regex.expand(template, text.as_bytes(), &groups, &mut out);
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use narvi_config::Relabel;

    use super::{Pairs, Relabels};

    fn rule(action: &str, source: &[&str], regex: &str, target: &str, replacement: &str) -> Relabel {
        Relabel {
            source_labels: source.iter().map(|name| (*name).to_owned()).collect(),
            separator: ";".into(),
            modulus: 1000,
            regex: regex.into(),
            target_label: target.into(),
            replacement: replacement.into(),
            action: action.into(),
        }
    }

    fn run(rule: Relabel) -> Option<String> {
        let pairs = [("app", "Api"), ("env", "prod"), ("x_a", "1")];
        let mut labels: Pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let kept = Relabels::new(&[rule]).expect("the pattern is right").apply(&mut labels);
        let text = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        kept.then_some(text)
    }

    #[test]
    fn actions_of_prometheus() {
        let cases = [
            (
                rule("replace", &["app", "env"], "(.*);(.*)", "both", "$2-$1"),
                Some("app=Api,both=prod-Api,env=prod,x_a=1"),
            ),
            (rule("replace", &["app"], "no", "both", "$1"), Some("app=Api,env=prod,x_a=1")),
            (rule("replace", &["env"], ".*", "env", ""), Some("app=Api,x_a=1")),
            (rule("replace", &["env"], "(.*)", "${1}_t", "v"), Some("app=Api,env=prod,prod_t=v,x_a=1")),
            (rule("keep", &["env"], "prod|dev", "", ""), Some("app=Api,env=prod,x_a=1")),
            (rule("keep", &["env"], "pro", "", ""), None),
            (rule("drop", &["env"], "prod", "", ""), None),
            (rule("labeldrop", &[], "x_.*", "", ""), Some("app=Api,env=prod")),
            (rule("labelkeep", &[], "app", "", ""), Some("app=Api")),
            (rule("labelkeep", &[], "none", "", ""), None),
            (rule("labelmap", &[], "x_(.*)", "", "y_$1"), Some("app=Api,env=prod,x_a=1,y_a=1")),
            (rule("lowercase", &["app"], "", "app", ""), Some("app=api,env=prod,x_a=1")),
            (rule("uppercase", &["env"], "", "env", ""), Some("app=Api,env=PROD,x_a=1")),
            (rule("keepequal", &["env"], "", "app", ""), None),
            (rule("dropequal", &["env"], "", "app", ""), Some("app=Api,env=prod,x_a=1")),
        ];
        for (rule, expected) in cases {
            assert_eq!(run(rule.clone()).as_deref(), expected, "{rule:?}");
        }
        // md5sum of "Api;prod" ends with b738d377c1dee006.
        assert_eq!(run(rule("hashmod", &["app", "env"], "", "n", "")).as_deref(), Some("app=Api,env=prod,n=14,x_a=1"));
        assert!(Relabels::new(&[rule("keep", &[], "(", "", "")]).is_err());
    }
}
