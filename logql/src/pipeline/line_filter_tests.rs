//! Line filters over a buffer against line by line.

use proptest::prelude::*;

use super::{Compiled, Selection, compile, row_of};
use crate::{
    Lines,
    ast::{LineFilter, LineMatch, LineOperand},
};

fn filter(op: LineMatch, operands: &[(&str, bool)]) -> LineFilter {
    let operands = operands.iter().map(|(v, ip)| LineOperand { value: (*v).into(), ip: *ip }).collect();
    LineFilter { op, operands }
}

fn passes(op: LineMatch, operands: &[(&str, bool)], line: &str) -> bool {
    match compile(&filter(op, operands)).expect("compiles") {
        Compiled::All => true,
        Compiled::None => false,
        Compiled::Test(test) => test.passes(line.as_bytes(), &test.checks()),
    }
}

#[test]
fn operators_and_chains() {
    use LineMatch::{Contains, NotContains, NotPattern, NotRegex, Pattern, Regex};
    for (op, operands, line, expected) in [
        (Contains, &[("b", false)][..], "abc", true),
        (Contains, &[("", false)], "abc", true),
        (NotContains, &[("", false)], "abc", false),
        (Contains, &[("x", false), ("b", false)], "abc", true),
        (Contains, &[("", false), ("x", false)], "abc", false),
        (Contains, &[("x", false), ("", false)], "abc", false),
        (NotContains, &[("x", false), ("b", false)], "abc", false),
        (NotContains, &[("x", false), ("y", false)], "abc", true),
        (Regex, &[("", false)], "abc", true),
        (NotRegex, &[(".*", false)], "abc", false),
        (Regex, &[("a.c", false)], "xabcx", true),
        (Regex, &[("a.c", false)], "a\nc", false),
        (Regex, &[("(?i)ERROR|warn", false)], "xErrOrx", true),
        (Regex, &[("(?i)ab", false), ("CD", false)], "xcdx", false),
        (Regex, &[("(?i)ab", false), ("CD", false)], "xaBx", true),
        (NotRegex, &[("a", false), ("b", false)], "c", true),
        (Pattern, &[("<_> b <_>", false)], "a b c", true),
        (NotPattern, &[("<_> b <_>", false)], "a b c", false),
        (Pattern, &[("", false)], "", true),
        (Contains, &[("10.0.0.0/8", true)], "from 10.1.2.3", true),
        (Contains, &[("10.0.0.0/8", true), ("x", false)], "from 10.1.2.3", false),
        (NotContains, &[("10.0.0.0/8", true), ("x", false)], "from 10.1.2.3", false),
        (NotContains, &[("10.0.0.0/8", true), ("x", false)], "from 11.1.2.3", true),
    ] {
        assert_eq!(passes(op, operands, line), expected, "{op:?} {operands:?} {line:?}");
    }
}

#[test]
fn rows_of_places() {
    let starts = [0, 3, 3, 7, 7];
    for (place, row) in [(0, 0), (2, 0), (3, 2), (6, 2), (7, 4), (9, 4)] {
        assert_eq!(row_of(&starts, place), row, "{place}");
    }
}

fn operand() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("ab"), Just("b"), Just("aab"), Just("(?i)AB"), Just("a.b"), Just("a+b"), Just("")]
}

proptest! {
    #[test]
    fn a_buffer_gives_what_its_lines_give(
        lines in proptest::collection::vec("[abAB]{0,6}", 0..40),
        op in prop_oneof![
            Just(LineMatch::Contains), Just(LineMatch::NotContains), Just(LineMatch::Regex), Just(LineMatch::NotRegex)
        ],
        operands in proptest::collection::vec(operand(), 1..4),
        contiguous: bool,
        cut in 0_usize..10,
    ) {
        let operands: Vec<_> = operands.iter().map(|o| (*o, false)).collect();
        let Compiled::Test(test) = compile(&filter(op, &operands)).expect("compiles") else { return Ok(()) };
        let (mut buffer, mut starts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for line in &lines {
            starts.push(buffer.len() as u32);
            lengths.push(line.len() as u32);
            buffer.extend_from_slice(line.as_bytes());
        }
        let all = Lines { buffer: &buffer, starts: &starts, lengths: &lengths, contiguous };
        let first = cut.min(lines.len()) as u32;
        let mut rows = Selection::Range(first, lines.len() as u32);
        test.narrow(&all, &mut rows, &test.checks());
        let expected: Vec<u32> = (first..lines.len() as u32)
            .filter(|row| passes(op, &operands, &lines[*row as usize]))
            .collect();
        let got: Vec<u32> = (0..).map_while(|index| rows.get(index)).collect();
        prop_assert_eq!(got, expected);
    }
}
