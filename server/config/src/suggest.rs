//! What was probably meant by a word that is not known.

/// The known word that is written most alike; none if all are too different.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no keys; comparing them would only cost time.
    if word.len() > 64 {
        return None;
    }
    let most = (word.len() / 3).clamp(1, 3);
    known.map(|name| (distance(word, name), name)).filter(|(far, _)| *far <= most).min().map(|(_, name)| name)
}

/// How many letters have to be put in, taken out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn words_that_are_alike_are_found() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("prot", "port"), 1);
        let known = ["http_listen_port", "http_listen_address", "log_level"];
        assert_eq!(nearest("http_listen_prot", known.into_iter()), Some("http_listen_port"));
        assert_eq!(nearest("loglevel", known.into_iter()), Some("log_level"));
        assert_eq!(nearest("foo", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
    }
}
