//! Tests of patterns: tables, limits, literals and searching. What Go makes of patterns is replayed in
//! tests/it/go_regex.rs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::thread;

use proptest::prelude::*;
use regex_syntax::hir::ClassUnicode;

use super::{class::char_class, unicode::named_class, *};

fn line(pattern: &str) -> Regex {
    Regex::new(pattern, RegexOptions::LINE).unwrap()
}

fn label(pattern: &str) -> Regex {
    Regex::new(pattern, RegexOptions::LABEL_MATCHER).unwrap()
}

fn fault(pattern: &str) -> String {
    Regex::new(pattern, RegexOptions::LINE).unwrap_err().message
}

/// Unicode classes and case variants, against what Go prints (tests/data/go_regex.tsv).
mod tables {
    use super::*;

    const TABLE: &str = include_str!("../../tests/data/go_regex.tsv");

    /// Scripts that are newer than the tables of regex-syntax (Unicode 16).
    const NEWER: &[&str] = &["Beria_Erfe", "Sidetic", "Tai_Yo", "Tolong_Siki"];

    /// Go forgets U+0345, a mark and case variant of iota, in cased letters in all cases.
    const UNFOLDED: &[&str] = &["LC", "Cased_Letter"];

    fn hash(codes: impl Iterator<Item = u32>) -> String {
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("{:016x}", codes.flat_map(u32::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, add))
    }

    fn members(class: &ClassUnicode) -> impl Iterator<Item = u32> {
        class.ranges().iter().flat_map(|range| range.start()..=range.end()).map(u32::from)
    }

    /// The code points that Unicode 17 added, as the generator lists them.
    fn newer() -> impl Fn(u32) -> bool {
        let source = include_str!("../../tests/data/go_regex.go");
        let list = source.split_once("var added17 = []rune{").unwrap().1.split_once('}').unwrap().0;
        let codes: Vec<_> = list.split(',').filter_map(|code| code.trim().strip_prefix("0x")).collect();
        let codes: Vec<_> = codes.iter().map(|code| u32::from_str_radix(code, 16).unwrap()).collect();
        move |c| codes.chunks(2).any(|range| range[0] <= c && c <= range[1])
    }

    #[test]
    fn classes_are_those_of_go() {
        let newer = newer();
        let mut faults = Vec::new();
        for row in TABLE.lines().filter_map(|row| row.strip_prefix("U\t")) {
            let [name, fold, count, expected] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            let Some(class) = named_class(name) else {
                assert!(NEWER.contains(&name), "{name}");
                continue;
            };
            let mut builder = class::ClassBuilder::default();
            builder.add_class(&class, false, fold == "i" && !UNFOLDED.contains(&name));
            let class = builder.build(false);
            let codes: Vec<_> = members(&class).filter(|c| !newer(*c)).collect();
            if (codes.len().to_string().as_str(), hash(codes.iter().copied()).as_str()) != (count, expected) {
                faults.push(format!("{name} {fold}: {} code points, Go has {count}", codes.len()));
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn case_variants_are_those_of_go() {
        let newer = newer();
        let row = TABLE.lines().find_map(|row| row.strip_prefix("F\t")).unwrap();
        let mut codes = Vec::new();
        let mut count = 0;
        for c in ('\0'..=char::MAX).map(u32::from) {
            let class = char_class(c, true);
            let variants: Vec<_> = members(&class).filter(|variant| *variant != c).collect();
            if !variants.is_empty() && !newer(c) && !variants.iter().any(|c| newer(*c)) {
                count += 1;
                codes.push(c);
                codes.extend(variants);
            }
        }
        assert_eq!(format!("{count}\t{}", hash(codes.into_iter())), row);
    }

    #[test]
    fn folding_leaves_no_region_out() {
        let mut everything = ClassUnicode::empty();
        for c in ('\0'..=char::MAX).map(u32::from) {
            let mut class = ClassUnicode::new(char_class(c, false).ranges().to_vec());
            class.case_fold_simple();
            if class.ranges() != char_class(c, true).ranges() {
                everything.union(&class);
            }
        }
        assert_eq!(everything, ClassUnicode::empty());
    }
}

#[test]
fn limits_are_those_of_go() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Regex::new(&deep(999), RegexOptions::LINE).is_ok());
    assert!(fault(&deep(1000)).starts_with("expression nests too deeply: `"));
    assert!(fault(&"(".repeat(100_000)).starts_with("missing closing ): `"));
    // Go takes this, in quadratic time.
    let sequences = format!("{}a{}", "(?:.".repeat(9000), ")".repeat(9000));
    assert!(fault(&sequences).starts_with("expression too large: `"));
    assert_eq!(fault("(a{1000}){2}"), "invalid repeat count: `{2}`");
}

#[test]
fn deep_patterns_compile_on_a_small_stack() {
    let patterns = [("(", ")", 999), ("(?:", ")*", 999), ("(?:a|b", ")c", 499), ("(a", "|b.)+", 249)];
    let run = move || {
        for (open, close, depth) in patterns {
            let regex = line(&format!("{}a{}", open.repeat(depth), close.repeat(depth)));
            assert!(regex.is_match(b"xacbaa"), "{open}");
        }
    };
    thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn bombs_are_refused() {
    let classes = r"(?i)\pL".repeat(3000);
    let alternatives = r"(\pL|\pN|x){500}".repeat(20);
    for bomb in
        [r"\pL{1000}", r"(\pL{30}){30}", r"(((\S{10}){10}){10}\pL\PL){1}.{1000}\pL{1000}", &classes, &alternatives]
    {
        assert!(fault(bomb).starts_with("expression too large: `"), "{bomb}");
    }
    // Go's own limit on the size of the expression.
    assert!(fault(&"(a{1000})".repeat(4000)).starts_with("expression too large: `"));
    let mut small = RegexOptions::LINE;
    small.size_limit_bytes = 1000;
    assert!(Regex::new(r"\w{100}", small).is_err());
}

#[test]
fn invalid_utf8_is_read_as_replacement_characters() {
    assert!(line("^.{3}$").is_match(b"a\xffb"));
    assert!(!line("^..$").is_match("\u{e9}".as_bytes()));
    assert!(!line("[^\u{e9}]").is_match("\u{e9}".as_bytes()));
    assert_eq!(line("b.").find(b"\xff\xe2\x82b\xffc"), Some(3..5));
    assert!(!line("abc").minds_invalid_utf8());
    assert!(line("a.c").minds_invalid_utf8());
    let regex = line(r"(\W+)(?P<rest>\w)");
    let mut groups = regex.groups();
    assert!(regex.captures(b"a\xf0\x9f\x98b", &mut groups));
    assert_eq!(
        (groups.get(0), groups.get(1), groups.get(2), groups.get(3)),
        (Some(1..5), Some(1..4), Some(4..5), None)
    );
    assert!(!regex.captures(b"", &mut groups));
    assert!(groups.is_empty());
}

#[test]
fn groups_keep_names_and_numbers() {
    let names = |pattern: &str| -> Vec<Option<String>> {
        line(pattern).capture_names().iter().map(|name| name.as_deref().map(str::to_owned)).collect()
    };
    assert_eq!(names("(?P<x>a)(b)(?<x>c){0}"), [None, Some("x".to_owned()), None, Some("x".to_owned())]);
    assert_eq!(line("(a){0}(b)").groups().len(), 3);
    assert_eq!(line("(b)((a)){0}").groups().len(), 4);
}

/// The literals of a set, with `~` in front if case does not matter.
fn show(set: Option<&LiteralSet>) -> String {
    let Some(set) = set else { return "none".to_owned() };
    let items: Vec<_> = set.literals().iter().map(|literal| String::from_utf8_lossy(literal)).collect();
    format!("{}{}", if set.ascii_case_insensitive() { "~" } else { "" }, items.join("|"))
}

#[test]
fn literals_of_lines() {
    let check = |pattern: &str, exact: &str, required: &str| {
        let regex = line(pattern);
        assert_eq!(
            (show(regex.exact_literals()), show(regex.required_literals())),
            (exact.into(), required.into()),
            "{pattern}"
        );
    };
    check("foo", "foo", "foo");
    check("foo|bar|foobar", "bar|foo|foobar", "bar|foo|foobar");
    check("(?i)abc|DEF", "~abc|def", "~abc|def");
    check("(?i)a1", "~a1", "~a1");
    check("(?i:a)B", "none", "~ab");
    check("(?i)ok", "~ok|o\u{212a}", "~ok|o\u{212a}");
    check("(?i)\u{e9}", "\u{c9}|\u{e9}", "\u{c9}|\u{e9}");
    check("", "", "none");
    check("a|", "|a", "none");
    check("err(or)?", "err|error", "err");
    check("v[0-3]x", "v0x|v1x|v2x|v3x", "v0x|v1x|v2x|v3x");
    check(r"level=error.*timeout", "none", "level=error");
    check(r"\d+ms elapsed", "none", "ms elapsed");
    check(r"^foo", "none", "foo");
    check(r"foo\b bar", "none", "foo bar");
    check(r"(foo|bar)+x", "none", "bar|foo");
    check(r"(foo.|.bar)", "none", "bar|foo");
    check(r"foo.|.", "none", "none");
    check(r"(ab){2}", "abab", "abab");
    check(r"[^a]", "none", "none");
    check(r"a\x{FFFD}bc", "none", "bc");
    check(r"(a){0}b", "none", "b");
}

#[test]
fn literals_of_label_values() {
    let check = |pattern: &str, values: Option<&[&str]>, prefix: &str| {
        let regex = label(pattern);
        let found: Option<Vec<_>> = regex.exact_set().map(|values| values.iter().map(String::as_str).collect());
        assert_eq!((found.as_deref(), regex.literal_prefix()), (values, prefix), "{pattern}");
        assert!(regex.exact_literals().is_none());
    };
    check("foo", Some(&["foo"]), "foo");
    check("^foo$", Some(&["foo"]), "foo");
    check("b|a|c", Some(&["a", "b", "c"]), "");
    check("prod-(eu|us)", Some(&["prod-eu", "prod-us"]), "prod-");
    check("prod-.*", None, "prod-");
    check("prod-.*|prod-a", None, "prod-");
    check("^prod-[a-z]+$", None, "prod-");
    check("a?", Some(&["", "a"]), "");
    check("", Some(&[""]), "");
    check("(?i)foo", None, "");
    check("foo(?i)bar", None, "foo");
    check("(ab)+c", None, "ab");
    check("\u{e9}|\u{e8}", Some(&["\u{e8}", "\u{e9}"]), "");
    check(r"a\bb", None, "ab");
    check(".*", None, "");
    let many: Vec<_> = (0..3000).map(|n| format!("host-{n:04}")).collect();
    assert_eq!(label(&many.join("|")).exact_set(), Some(many.as_slice()));
    let many: Vec<_> = (0..5000).map(|n| format!("host-{n:04}")).collect();
    assert_eq!(label(&many.join("|")).exact_set(), None);
}

#[test]
fn joined_lines() {
    for (pattern, joined) in [
        ("foo", true),
        ("a.c", true),
        (r"a\sc", false),
        ("[^a]b", false),
        ("^a", false),
        ("(?m)^a", true),
        ("a*", false),
    ] {
        assert_eq!(line(pattern).searches_joined_lines(), joined, "{pattern}");
    }
    assert!(line("(?s)a.b").spans_newline());
    assert!(!line("a.b$").spans_newline());
}

/// Haystacks of few characters, so that matches are likely; some are no valid UTF-8.
fn haystack() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"k",
        b"K",
        b"s",
        b"A",
        "\u{212a}".as_bytes(),
        "\u{17f}".as_bytes(),
        "\u{e9}".as_bytes(),
        "\u{c9}".as_bytes(),
        b"\n",
        b"\xff",
        b"\xc3",
        b"\xa9",
        "\u{fffd}".as_bytes(),
        b" ",
        b"ab",
        b"ks",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn pattern() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a",
        "b",
        "k",
        "s",
        "A",
        "\u{e9}",
        "ab",
        "ks",
        "bak",
        ".",
        "[ab]",
        "[^a]",
        r"\w",
        r"\b",
        "^",
        "$",
        r"\x{FFFD}",
        r"\n",
        "[aA]",
        "(?i:s)",
        "(?i:ka)",
        r"\B",
        "",
        "(?m:^)",
        r"\W",
        "[k\u{212a}]",
        "[a\\x{FFFD}]",
    ]);
    atom.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{0}", "+?"]))
                .prop_map(|(part, operator)| format!("({part}){operator}")),
            inner.prop_map(|part| format!("(?i:{part})")),
        ]
    })
}

/// Whether a haystack contains one of the literals.
fn contains(set: &LiteralSet, haystack: &[u8]) -> bool {
    set.literals().iter().any(|literal| {
        let equal = |window: &[u8]| {
            if set.ascii_case_insensitive() { window.eq_ignore_ascii_case(literal) } else { window == &literal[..] }
        };
        literal.is_empty() || haystack.windows(literal.len()).any(equal)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn literals_never_lie(pattern in pattern(), haystacks in prop::collection::vec(haystack(), 8)) {
        let (lines, labels) = (line(&pattern), label(&pattern));
        for haystack in &haystacks {
            let matched = lines.is_match(haystack);
            if let Some(set) = lines.exact_literals() {
                prop_assert_eq!(matched, contains(set, haystack), "exact {:?} {:?}", set, haystack);
            }
            if let Some(set) = lines.required_literals() {
                prop_assert!(set.literals().iter().all(|literal| !literal.is_empty()));
                prop_assert!(!matched || contains(set, haystack), "required {:?} {:?}", set, haystack);
            }
            let matched = labels.is_match(haystack);
            if let Some(set) = labels.required_literals() {
                prop_assert!(!matched || contains(set, haystack), "required of label {:?} {:?}", set, haystack);
            }
            if let Some(values) = labels.exact_set() {
                let listed = values.iter().any(|value| value.as_bytes() == haystack);
                prop_assert_eq!(matched, listed, "values {:?} {:?}", values, haystack);
            }
            prop_assert!(!matched || haystack.starts_with(labels.literal_prefix().as_bytes()), "{:?}", labels.literal_prefix());
        }
        for value in labels.exact_set().unwrap_or_default() {
            prop_assert!(labels.is_match_str(value));
        }
    }

    #[test]
    fn one_search_for_many_lines(pattern in pattern(), lines in prop::collection::vec(haystack(), 0..6)) {
        let regex = line(&pattern);
        if !regex.searches_joined_lines() {
            return Ok(());
        }
        let buffer = lines.join(&b'\n');
        let found: Vec<_> = regex.find_iter(&buffer).map(|span| &buffer[span]).collect();
        prop_assert!(found.iter().all(|found| !found.contains(&b'\n')));
        let alone = lines.iter().flat_map(|line| line.split(|byte| *byte == b'\n')).any(|line| regex.is_match(line));
        prop_assert_eq!(!found.is_empty(), alone);
    }

    #[test]
    fn any_text_is_parsed_or_refused(pattern in r"[\PC\n]{0,40}", haystack in haystack()) {
        if let Ok(regex) = Regex::new(&pattern, RegexOptions::LINE) {
            let count = regex.find_iter(&haystack).count();
            prop_assert_eq!(count > 0, regex.is_match(&haystack));
        }
    }

    #[test]
    fn any_operators_are_parsed_or_refused(pattern in r"([()|*+?{},0-9\[\]^$.:P<>abisU-]|\\[QEpPdxbAz0-9{}]){0,30}") {
        let _ = Regex::new(&pattern, RegexOptions::LABEL_MATCHER);
    }
}
