//! Random syntax trees: what is printed reads back as the same tree.

use narvi_logql::{ast::*, parse, pretty};
use narvi_types::{MatchOp, Matcher, Selector};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn name() -> BoxedStrategy<String> {
    prop_oneof![
        select(vec![
            "app",
            "level",
            "x",
            "_9",
            "rate",
            "sum",
            "bytes",
            "duration",
            "ip",
            "vector",
            "topk",
            "__error__"
        ])
        .prop_map(str::to_owned),
        "[a-z_][a-zA-Z0-9_]{0,6}".prop_filter("reserved", |n| parse(&format!("{{{n}=\"x\"}}")).is_ok()),
    ]
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![any::<String>(), "[a-z \"\\\\`\n]{0,8}".boxed()].boxed()
}

fn regex() -> BoxedStrategy<String> {
    select(vec!["a.*", "x|y", "\\d+ \"q\"", "(a)?b", ""]).prop_map(str::to_owned).boxed()
}

fn matcher() -> BoxedStrategy<Matcher> {
    (name(), select(vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]), text(), regex())
        .prop_map(|(name, op, text, regex)| {
            let value = if matches!(op, MatchOp::Equal | MatchOp::NotEqual) { text } else { regex };
            Matcher::new(name, op, value).expect("valid")
        })
        .boxed()
}

fn selector() -> BoxedStrategy<Selector> {
    vec(matcher(), 0..3)
        .prop_map(|mut matchers| {
            matchers.push(Matcher::new("app", MatchOp::Equal, "a").expect("valid"));
            Selector::new(matchers)
        })
        .boxed()
}

fn line_filter() -> BoxedStrategy<Stage> {
    use LineMatch::*;
    let plain = (select(vec![Contains, NotContains]), vec((vec(any::<u8>(), 0..6), any::<bool>()), 1..4)).prop_map(
        |(op, operands)| {
            let operand = |(value, ip)| match ip {
                true => LineOperand { value: b"10.0.0.0/8".to_vec(), ip },
                false => LineOperand { value, ip },
            };
            LineFilter { op, operands: operands.into_iter().map(operand).collect() }
        },
    );
    let operands = |texts: Vec<String>| {
        texts.into_iter().map(|text| LineOperand { value: text.into_bytes(), ip: false }).collect::<Vec<_>>()
    };
    let by_regex = (select(vec![Regex, NotRegex]), vec(regex(), 1..4));
    let pattern = select(vec!["<_> a", "", "a <_> \"b\""]).prop_map(str::to_owned);
    let by_pattern = (select(vec![Pattern, NotPattern]), vec(pattern, 1..4));
    prop_oneof![
        plain,
        by_regex.prop_map(move |(op, texts)| LineFilter { op, operands: operands(texts) }),
        by_pattern.prop_map(move |(op, texts)| LineFilter { op, operands: operands(texts) }),
    ]
    .prop_map(Stage::LineFilter)
    .boxed()
}

fn compare_op() -> impl Strategy<Value = CompareOp> {
    use CompareOp::*;
    select(vec![Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual])
}

fn label_filter() -> BoxedStrategy<LabelFilter> {
    let number = any::<f64>().prop_filter("a literal is a number", |v| !v.is_nan());
    let bytes = prop_oneof![0..10_000u64, 0..1u64 << 53];
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::String),
        (name(), compare_op(), number).prop_map(|(name, op, value)| LabelFilter::Number(Comparison {
            name,
            op,
            value
        })),
        (name(), compare_op(), any::<i64>()).prop_map(|(name, op, value)| LabelFilter::Duration(Comparison {
            name,
            op,
            value
        })),
        (name(), compare_op(), bytes).prop_map(|(name, op, value)| LabelFilter::Bytes(Comparison { name, op, value })),
        (name(), any::<bool>()).prop_map(|(name, negated)| LabelFilter::Ip { name, negated, pattern: "::1".into() }),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let how = select(vec![Conjunction::And, Conjunction::Comma, Conjunction::Space]);
        prop_oneof![
            (inner.clone(), inner.clone(), how).prop_map(|(a, b, how)| LabelFilter::And(a.into(), b.into(), how)),
            (inner.clone(), inner).prop_map(|(a, b)| LabelFilter::Or(a.into(), b.into())),
        ]
    })
    .boxed()
}

fn stage() -> BoxedStrategy<Stage> {
    let path = select(vec!["a", "a.b[0]", "[\"x y\"].z"]).prop_map(str::to_owned);
    let extraction = |expression: BoxedStrategy<String>| {
        vec((name(), expression).prop_map(|(label, expression)| Extraction { label, expression }), 0..3)
    };
    let template = || select(vec!["{{.x}} \"q\"", "", "plain"]).prop_map(str::to_owned);
    let format = prop_oneof![
        name().prop_map(|from| LabelFormat::Rename { to: String::new(), from }),
        template().prop_map(|template| LabelFormat::Template { to: String::new(), template }),
    ];
    let items = || {
        let item = prop_oneof![name().prop_map(NameOrMatcher::Name), matcher().prop_map(NameOrMatcher::Matcher)];
        vec(item, 1..4)
    };
    prop_oneof![
        line_filter(),
        extraction(path.boxed()).prop_map(Stage::Json),
        (any::<bool>(), any::<bool>(), extraction("[a-z_]{1,4}".boxed()))
            .prop_map(|(strict, keep_empty, extractions)| Stage::Logfmt { strict, keep_empty, extractions }),
        Just(Stage::Regexp("(?P<a>\\w+) \"".into())),
        Just(Stage::Pattern("<a> \"<_>".into())),
        Just(Stage::Unpack),
        Just(Stage::Decolorize),
        label_filter().prop_map(Stage::LabelFilter),
        template().prop_map(Stage::LineFormat),
        vec(format, 1..4).prop_map(|formats| {
            let name = |(at, format)| match format {
                LabelFormat::Rename { from, .. } => LabelFormat::Rename { to: format!("t{at}"), from },
                LabelFormat::Template { template, .. } => LabelFormat::Template { to: format!("t{at}"), template },
            };
            Stage::LabelFormat(formats.into_iter().enumerate().map(name).collect())
        }),
        items().prop_map(Stage::Drop),
        items().prop_map(Stage::Keep),
    ]
    .boxed()
}

fn log() -> BoxedStrategy<LogExpr> {
    (selector(), vec(stage(), 0..4))
        .prop_map(|(selector, stages)| {
            let mut apart: Vec<Stage> = Vec::new();
            for stage in stages {
                // `| drop x != "y"` drops under a condition, so no text has this filter right after that name.
                if let (Some(Stage::Drop(items) | Stage::Keep(items)), Stage::LineFilter(filter)) =
                    (apart.last(), &stage)
                    && matches!(items.last(), Some(NameOrMatcher::Name(_)))
                    && matches!(filter.op, LineMatch::NotContains | LineMatch::NotRegex)
                {
                    apart.push(Stage::Decolorize);
                }
                apart.push(stage);
            }
            LogExpr { selector, stages: apart }
        })
        .boxed()
}

fn range(unwraps: bool) -> BoxedStrategy<LogRange> {
    use Conversion::*;
    let unwrap = (name(), select(vec![None, Bytes, Duration, DurationSeconds]), vec(label_filter(), 0..2))
        .prop_map(|(label, conversion, post_filters)| Unwrap { label, conversion, post_filters });
    let unwrap = if unwraps { unwrap.prop_map(Some).boxed() } else { Just(Option::None).boxed() };
    let offset_ns = prop_oneof![Just(0), any::<i64>()];
    (log(), 0..10i64.pow(12), offset_ns, unwrap)
        .prop_map(|(log, ms, offset_ns, unwrap)| LogRange {
            log,
            range_ns: ms % 9_000_000_000_000 * 1_000_000,
            offset_ns,
            unwrap,
        })
        .boxed()
}

fn names() -> BoxedStrategy<Vec<String>> {
    vec(name(), 0..3).boxed()
}

fn grouping() -> BoxedStrategy<Option<Grouping>> {
    option::of((any::<bool>(), names()).prop_map(|(without, labels)| Grouping { without, labels })).boxed()
}

fn range_aggregation() -> BoxedStrategy<MetricExpr> {
    let op = select(RangeOp::ALL.to_vec()).prop_flat_map(|op| {
        let unwraps = if op.works_on_lines() && op.works_on_values() {
            any::<bool>().boxed()
        } else {
            Just(op.works_on_values()).boxed()
        };
        (Just(op), unwraps.prop_flat_map(range), 0.0..2.0f64, grouping())
    });
    op.prop_map(|(op, range, q, grouping)| {
        MetricExpr::Range(RangeAggregation {
            op,
            parameter: (op == RangeOp::QuantileOverTime).then_some(q),
            range,
            grouping: grouping.filter(|_| op.allows_grouping()),
        })
    })
    .boxed()
}

fn modifier() -> BoxedStrategy<BinaryModifier> {
    let group = (any::<bool>(), names()).prop_map(|(left, include)| GroupSide { left, include });
    let matching = (any::<bool>(), names(), option::of(group)).prop_map(|(on, labels, group)| VectorMatching {
        on,
        labels,
        group,
    });
    (any::<bool>(), option::of(matching))
        .prop_map(|(return_bool, matching)| BinaryModifier { return_bool, matching })
        .boxed()
}

fn metric() -> BoxedStrategy<MetricExpr> {
    let leaf = prop_oneof![
        3 => range_aggregation(),
        1 => any::<f64>().prop_filter("it equals itself", |v| !v.is_nan()).prop_map(MetricExpr::Literal),
        1 => (0.0..f64::MAX).prop_map(MetricExpr::VectorFn),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let vector = (select(VectorOp::ALL.to_vec()), 1..i64::MAX, inner.clone(), grouping());
        let binary = (select(BinaryOp::ALL.to_vec()), modifier(), inner.clone(), inner.clone());
        prop_oneof![
            vector.prop_map(|(op, k, expr, grouping)| {
                let parameter = op.takes_parameter().then_some(k);
                let may_group = !matches!(op, VectorOp::Sort | VectorOp::SortDesc | VectorOp::ApproxTopk);
                MetricExpr::Vector(VectorAggregation {
                    op,
                    parameter,
                    expr: expr.into(),
                    grouping: grouping.filter(|_| may_group),
                })
            }),
            binary.prop_map(|(op, modifier, left, right)| {
                let both = matches!((&left, &right), (MetricExpr::Literal(_), MetricExpr::Literal(_)));
                let stays = |expr: MetricExpr| match expr {
                    MetricExpr::Literal(value) if both || op.is_set() => {
                        MetricExpr::VectorFn(value.abs().min(f64::MAX))
                    }
                    other => other,
                };
                MetricExpr::Binary(Box::new(Binary { op, modifier, left: stays(left), right: stays(right) }))
            }),
            (inner, text(), text(), text(), regex()).prop_map(|(expr, destination, replacement, source, regex)| {
                MetricExpr::LabelReplace(Box::new(LabelReplace { expr, destination, replacement, source, regex }))
            }),
        ]
    })
    .boxed()
}

fn expr() -> BoxedStrategy<Expr> {
    let variants = (vec(range_aggregation(), 1..3), range(false))
        .prop_map(|(variants, range)| MetricExpr::Variants(Box::new(Variants { variants, range })));
    prop_oneof![
        2 => log().prop_map(Expr::Log),
        4 => metric().prop_map(Expr::Metric),
        1 => variants.prop_map(Expr::Metric),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn printed_trees_read_back(expr in expr()) {
        let text = expr.to_string();
        match parse(&text) {
            Ok(read) => prop_assert_eq!(&read, &expr, "{}", text),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
        prop_assert!(!pretty(&expr).is_empty());
    }

    /// Pieces of queries in any order are answered, with a tree or an error.
    #[test]
    fn any_text_has_an_answer(pieces in vec(select(vec![
        "{", "}", "a", "=", "\"x\"", "=~", "|", "|=", "json", "sum", "rate", "(", ")", "by", "[5m]", "5", "5m", "1KB",
        "-", "+", "or", "and", ",", "unwrap", "offset", "topk", "==", "on", "group_left", "\u{e9}", "'", "`", "\n",
        "#", "/*", ".", "{a=\"b\"}", "!", "0x", "line_format", "drop", "ip", "variants", "of", "vector", "logfmt",
        "label_replace", "--strict", "quantile_over_time",
    ]), 0..24), spaced in any::<bool>()) {
        let text = pieces.join(if spaced { " " } else { "" });
        if let Ok(expr) = parse(&text) {
            prop_assert_eq!(parse(&expr.to_string()).map(|e| e.to_string()), Ok(expr.to_string()), "{}", text);
        }
    }
}
