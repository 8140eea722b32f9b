//! Go's regular expressions: a pattern, a NUL, and a text to search. What is known about a pattern must agree with what it
//! finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narvi_types::regex::{Regex, RegexOptions};

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (pattern, haystack) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    for mut options in [RegexOptions::LINE, RegexOptions::LABEL_MATCHER] {
        options.size_limit_bytes = 1 << 20;
        if let Ok(regex) = Regex::new(pattern, options) {
            check(&regex, haystack);
        }
    }
});

fn check(regex: &Regex, haystack: &[u8]) {
    let found = regex.find(haystack);
    let matches = regex.is_match(haystack);
    assert_eq!(found.is_some(), matches, "find and is_match differ");
    let mut groups = regex.groups();
    assert_eq!(regex.captures(haystack, &mut groups), matches);
    assert_eq!(groups.get(0), found);
    for group in (0..groups.len()).filter_map(|n| groups.get(n)) {
        assert!(group.start <= group.end && group.end <= haystack.len());
    }
    let mut end = 0;
    for span in regex.find_iter(haystack).take(1000) {
        assert!(span.start >= end && span.end <= haystack.len());
        end = span.end;
    }
    let has = |set: &narvi_types::regex::LiteralSet| {
        let fold = |text: &[u8]| if set.ascii_case_insensitive() { text.to_ascii_lowercase() } else { text.to_vec() };
        let text = fold(haystack);
        set.literals().iter().any(|needle| needle.is_empty() || text.windows(needle.len()).any(|w| w == &needle[..]))
    };
    if let Some(set) = regex.required_literals() {
        assert!(!matches || has(set), "a match without a required literal");
    }
    if let Some(set) = regex.exact_literals() {
        assert_eq!(matches, has(set), "exact literals are not exact");
    }
    if let Ok(text) = std::str::from_utf8(haystack) {
        assert_eq!(regex.is_match_str(text), matches);
        assert!(!matches || text.starts_with(regex.literal_prefix()), "a match without the prefix");
        if let Some(values) = regex.exact_set() {
            assert_eq!(values.iter().any(|value| value == text), matches, "the exact set is not exact");
        }
    }
    let _ = (regex.replace_all(haystack, "<$1${x}$$>"), regex.replace_all_literal(haystack, b"-"));
}
