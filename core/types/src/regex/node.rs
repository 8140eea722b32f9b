//! Building blocks of a parsed expression: an `Hir` with the measures that Go's limits are stated in.
//!
//! Every measure is kept while the tree is built, so that no later pass has to walk it (and none can overflow the
//! stack on a deep one).

use std::ops::Range;

use regex_syntax::hir::{Capture, Class, ClassUnicode, Hir, HirKind, Look, Repetition};

/// What Go's parser would merge a node with; decides how its height counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Literal { folded: bool },
    Concat,
    Alternation,
    Other,
}

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    hir: Hir,
    shape: Shape,
    /// Levels of operators, counted after flattening, as Go counts them.
    pub(super) height: u32,
    /// Instructions after all counted repetitions are written out.
    pub(super) size: u64,
    /// The largest product of repeat counts on any path to a leaf.
    pub(super) repeats: u32,
    /// Numbers of the groups inside.
    captures: Range<u32>,
}

/// How often something repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    pub(super) counted: bool,
}

impl Node {
    fn leaf(hir: Hir, shape: Shape, size: u64) -> Self {
        Self { hir, shape, height: 1, size, repeats: 1, captures: 0..0 }
    }

    pub(super) fn empty() -> Self {
        Self::leaf(Hir::empty(), Shape::Other, 1)
    }

    pub(super) fn text(text: &str) -> Self {
        let chars = text.chars().count();
        Self::leaf(Hir::literal(text.as_bytes()), Shape::Literal { folded: false }, chars as u64)
    }

    /// One character in all its cases.
    pub(super) fn folded_char(class: ClassUnicode) -> Self {
        Self::leaf(Hir::class(Class::Unicode(class)), Shape::Literal { folded: true }, 1)
    }

    pub(super) fn class(class: ClassUnicode) -> Self {
        Self::leaf(Hir::class(Class::Unicode(class)), Shape::Other, 1)
    }

    pub(super) fn look(look: Look) -> Self {
        Self::leaf(Hir::look(look), Shape::Other, 1)
    }

    /// How many parts an enclosing sequence or choice takes over from this one.
    pub(super) fn parts(&self) -> usize {
        match self.hir.kind() {
            HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.len(),
            _ => 1,
        }
    }

    pub(super) fn into_hir(self) -> Hir {
        self.hir
    }

    pub(super) fn capture(self, index: u32, name: Option<Box<str>>) -> Self {
        // Numbers are given in the order of opening parentheses, so the groups inside follow directly.
        let captures = index..self.captures.end.max(index + 1);
        let hir = Hir::capture(Capture { index, name, sub: Box::new(self.hir) });
        let (height, size) = (self.height + 1, self.size.saturating_add(2));
        Self { hir, shape: Shape::Other, height, size, repeats: self.repeats, captures }
    }

    pub(super) fn repeat(self, bounds: Bounds, greedy: bool) -> Self {
        let Bounds { min, max, counted } = bounds;
        let size = match (min, max) {
            (0, None) => self.size.saturating_add(2),
            (min, None) => self.size.saturating_mul(u64::from(min)).saturating_add(1),
            (min, Some(max)) => self.size.saturating_mul(max.into()).saturating_add(max.saturating_sub(min).into()),
        };
        let factor = max.unwrap_or(min);
        let repeats = match (counted, factor) {
            (true, 0) if max.is_some() => 1,
            (true, factor) => self.repeats.saturating_mul(factor.max(1)),
            (false, _) => self.repeats,
        };
        let hir = if max == Some(0) {
            absent_groups(self.captures.clone())
        } else {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(self.hir) })
        };
        let (height, size) = (self.height + 1, size.max(1));
        Self { hir, shape: Shape::Other, height, size, repeats, captures: self.captures }
    }

    /// Puts nodes one after another.
    pub(super) fn concat(mut nodes: Vec<Self>) -> Self {
        match nodes.len() {
            0 => return Self::empty(),
            1 => return nodes.swap_remove(0),
            _ => {}
        }
        // Runs of literals of one kind are one literal to Go, and a concatenation in a concatenation dissolves.
        let (mut parts, mut previous) = (0u32, Shape::Other);
        let mut inner = 0;
        for node in &nodes {
            let merges = node.shape == previous && matches!(previous, Shape::Literal { .. });
            parts = parts.saturating_add(if node.shape == Shape::Concat { 2 } else { u32::from(!merges) });
            inner = inner.max(if node.shape == Shape::Concat { node.height - 1 } else { node.height });
            previous = node.shape;
        }
        let (shape, height) = if parts == 1 { (previous, 1) } else { (Shape::Concat, inner + 1) };
        let size = nodes.iter().fold(0u64, |sum, node| sum.saturating_add(node.size));
        Self::join(nodes, shape, height, size, Hir::concat)
    }

    /// Offers nodes as alternatives, the first preferred.
    pub(super) fn alternation(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 {
            return nodes.swap_remove(0);
        }
        let level = |node: &Self| if node.shape == Shape::Alternation { node.height - 1 } else { node.height };
        let height = nodes.iter().map(level).max().unwrap_or(0) + 1;
        let links = nodes.len().saturating_sub(1) as u64;
        let size = nodes.iter().fold(links, |sum, node| sum.saturating_add(node.size));
        Self::join(nodes, Shape::Alternation, height, size, Hir::alternation)
    }

    fn join(nodes: Vec<Self>, shape: Shape, height: u32, size: u64, make: fn(Vec<Hir>) -> Hir) -> Self {
        let repeats = nodes.iter().map(|node| node.repeats).max().unwrap_or(1);
        let captures =
            nodes.iter().map(|node| &node.captures).filter(|range| !range.is_empty()).fold(0..0, join_ranges);
        let hir = make(nodes.into_iter().map(|node| node.hir).collect());
        Self { hir, shape, height, size, repeats, captures }
    }
}

fn join_ranges(a: Range<u32>, b: &Range<u32>) -> Range<u32> {
    if a.is_empty() { b.clone() } else { a.start.min(b.start)..a.end.max(b.end) }
}

/// Matches the empty string and declares groups that take no part in it: what `(a){0}` means.
///
/// `Hir` would drop the groups, and the numbers of all later ones would shift.
fn absent_groups(groups: Range<u32>) -> Hir {
    if groups.is_empty() {
        return Hir::empty();
    }
    let absent = groups.map(|index| Hir::capture(Capture { index, name: None, sub: Box::new(Hir::fail()) }));
    Hir::alternation(vec![Hir::empty(), Hir::concat(absent.collect())])
}
