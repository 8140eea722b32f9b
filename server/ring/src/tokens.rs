//! Tokens of an instance: drawn so that shares come out even, kept in a file so that a return takes the same ones, and
//! given up where another has the better claim.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    clock::Draw,
    instance::{Instance, MAX_TOKENS, State},
    membership::Members,
};

/// How many tokens there can be: the length of the ring.
pub(crate) const RING_LENGTH: u64 = 1 << 32;

/// Tokens file: larger ones are not ours.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Tokens of the first instance: one drawn from each of as many equal pieces. Several instances that start at once and
/// do not see each other get about equal shares.
pub(crate) fn spread_alone(count: usize, draw: &mut Draw) -> Vec<u32> {
    let count = count.min(MAX_TOKENS) as u64;
    let starts = (0..=count).map(|piece| piece * RING_LENGTH / count.max(1));
    let pieces: Vec<u64> = starts.collect();
    pieces
        .windows(2)
        .filter_map(|pair| pair.first().zip(pair.last()))
        .map(|(start, end)| (start + draw.below(end - start)) as u32)
        .collect()
}

/// A piece of the ring that ends at a token of its owner.
struct Range {
    start: u64,
    len: u64,
}

/// Draws `count` tokens for an instance that joins these members and holds `own` already: each takes a piece from who
/// owns most, so that in the end all own about the same.
pub(crate) fn draw_tokens(count: usize, id: &str, own: &[u32], members: &Members, draw: &mut Draw) -> Vec<u32> {
    let mut held: Vec<(u32, &str)> = Vec::new();
    for instance in members.iter().filter(|other| other.id != id && other.state != State::Left) {
        held.extend(instance.tokens.iter().map(|token| (*token, instance.id.as_str())));
    }
    if held.is_empty() && own.is_empty() {
        return spread_alone(count, draw);
    }
    held.extend(own.iter().map(|token| (*token, id)));
    held.sort_unstable();
    held.dedup_by_key(|(token, _)| *token);
    let mut drawn = from_the_richest(count.min(MAX_TOKENS), id, &held, draw);
    // A ring so dense that no piece could be split: any free token does.
    let taken = |token: u32, drawn: &[u32]| {
        drawn.contains(&token) || held.binary_search_by_key(&token, |(token, _)| *token).is_ok()
    };
    while drawn.len() < count.min(MAX_TOKENS) {
        let token = draw.next() as u32;
        if !taken(token, &drawn) {
            drawn.push(token);
        }
    }
    drawn.sort_unstable();
    drawn
}

fn from_the_richest(count: usize, id: &str, held: &[(u32, &str)], draw: &mut Draw) -> Vec<u32> {
    let mut owners: Vec<(&str, u64, Vec<Range>)> = Vec::new();
    let mut index = std::collections::BTreeMap::new();
    let mut previous = held.last().map_or(0, |(token, _)| u64::from(*token));
    for (token, owner) in held {
        let at = *index.entry(*owner).or_insert_with(|| {
            owners.push((owner, 0, Vec::new()));
            owners.len() - 1
        });
        let start = previous;
        previous = u64::from(*token);
        let len = if held.len() == 1 { RING_LENGTH } else { (previous + RING_LENGTH - start) % RING_LENGTH };
        if let Some((_, owned, ranges)) = owners.get_mut(at) {
            *owned += len;
            ranges.push(Range { start, len });
        }
    }
    let all = owners.len() as u64 + u64::from(!index.contains_key(id));
    let target = RING_LENGTH / all.max(1) / count.max(1) as u64;
    let mut drawn = Vec::with_capacity(count);
    for _ in 0..count {
        let richest = owners.iter_mut().filter(|(owner, ..)| *owner != id).max_by_key(|(_, owned, _)| *owned);
        let Some((_, owned, ranges)) = richest else { break };
        // The longest of a few drawn ones: not always the longest, which another that joins now would choose too.
        let picks: Vec<usize> = (0..4).map(|_| draw.below(ranges.len() as u64) as usize).collect();
        let Some(at) = picks.into_iter().max_by_key(|at| ranges.get(*at).map_or(0, |range| range.len)) else { break };
        let Some(range) = ranges.get_mut(at) else { break };
        let size = (target * 3 / 4 + draw.below(target / 2 + 1)).min(range.len * 3 / 4);
        if size == 0 {
            break;
        }
        range.start += size;
        range.len -= size;
        *owned -= size;
        drawn.push((range.start % RING_LENGTH) as u32);
    }
    drawn
}

/// Whether the first of two that hold a token keeps it: who does not leave before who leaves, then the smaller id.
pub(crate) fn keeps(one: &Instance, other: &Instance) -> bool {
    let key = |instance: &Instance| instance.state == State::Leaving;
    (key(one), &one.id) < (key(other), &other.id)
}

/// Tokens of an instance that others hold with a better claim.
pub(crate) fn lost_tokens(own: &Instance, members: &Members) -> Vec<u32> {
    let others = members.iter().filter(|other| other.id != own.id && other.state != State::Left && keeps(other, own));
    let mut lost: Vec<u32> = others
        .flat_map(|other| other.tokens.iter().copied().filter(|token| own.tokens.binary_search(token).is_ok()))
        .collect();
    lost.sort_unstable();
    lost.dedup();
    lost
}

/// The file that an instance keeps its tokens in: JSON as Loki writes it.
#[derive(Clone, Debug)]
pub(crate) struct TokensFile(PathBuf);

impl TokensFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The tokens kept; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub(crate) fn load(&self) -> io::Result<Option<Vec<u32>>> {
        let bytes = match fs::metadata(&self.0) {
            Ok(file) if file.len() > MAX_FILE_BYTES => return Err(bad("it is too large")),
            Ok(_) => fs::read(&self.0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let json: serde_json::Value = serde_json::from_slice(&bytes)?;
        let list =
            json.get("tokens").and_then(|list| list.as_array()).ok_or_else(|| bad("it has no list of tokens"))?;
        let tokens = list.iter().map(|token| token.as_u64().and_then(|token| u32::try_from(token).ok()));
        let mut tokens: Vec<u32> =
            tokens.collect::<Option<_>>().ok_or_else(|| bad("a token is not a 32-bit number"))?;
        tokens.sort_unstable();
        tokens.dedup();
        tokens.truncate(MAX_TOKENS);
        Ok(Some(tokens))
    }

    /// Writes the tokens so that a crash leaves the old file or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self, tokens: &[u32]) -> io::Result<()> {
        if let Some(folder) = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut name = self.0.clone().into_os_string();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let mut file = fs::File::create(&temporary)?;
        file.write_all(serde_json::json!({ "tokens": tokens }).to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.0)
    }

    /// Deletes the file, if there is one.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub(crate) fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::{TokensFile, draw_tokens, keeps, lost_tokens, spread_alone};
    use crate::{
        clock::Draw,
        instance::{Instance, State},
        membership::Members,
        ring::{Ring, RingSettings},
    };

    fn instance(id: &str, state: State, tokens: Vec<u32>) -> Instance {
        let (address, zone) = (String::new(), String::new());
        Instance { id: id.into(), address, zone, state, tokens, registered_ms: 0, heartbeat_ms: 0 }
    }

    fn shares(instances: &[Instance]) -> Vec<f64> {
        let ring = Ring::new(&instances.iter().cloned().collect(), RingSettings::default());
        ring.ownership().into_iter().map(|(_, percent)| percent).collect()
    }

    #[test]
    fn shares_stay_even_as_instances_join() {
        for seed in 0..5 {
            let mut draw = Draw::new(seed);
            let mut all: Vec<Instance> = Vec::new();
            for n in 0..12 {
                let members: Members = all.iter().cloned().collect();
                let id = format!("i{n:02}");
                let tokens = draw_tokens(128, &id, &[], &members, &mut draw);
                assert_eq!(tokens.len(), 128);
                all.push(instance(&id, State::Active, tokens));
                let fair = 100.0 / f64::from(n + 1);
                for share in shares(&all) {
                    assert!((share / fair - 1.0).abs() < 0.25, "{share} of a fair {fair} among {}, seed {seed}", n + 1);
                }
            }
        }
    }

    #[test]
    fn shares_are_about_even_when_all_start_at_once() {
        let all: Vec<_> =
            (0..4).map(|n| instance(&format!("i{n}"), State::Active, spread_alone(128, &mut Draw::new(n)))).collect();
        for share in shares(&all) {
            assert!((share / 25.0 - 1.0).abs() < 0.4, "{share}");
        }
    }

    #[test]
    fn small_and_dense_rings_work() {
        let mut draw = Draw::new(1);
        assert!(spread_alone(0, &mut draw).is_empty());
        assert_eq!(spread_alone(1, &mut draw).len(), 1);
        let dense: Members = [instance("a", State::Active, (0..4096).collect())].into_iter().collect();
        let tokens = draw_tokens(4096, "b", &[], &dense, &mut draw);
        assert_eq!(tokens.len(), 4096);
        assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(tokens.iter().all(|token| *token >= 4096));
        assert_eq!(draw_tokens(2, "b", &[7], &dense, &mut draw).len(), 2, "some to replace those that were lost");
    }

    #[test]
    fn a_token_of_two_goes_to_who_stays_then_to_the_smaller_id() {
        let a = instance("a", State::Leaving, vec![1, 5]);
        let b = instance("b", State::Active, vec![1, 2, 9]);
        let c = instance("c", State::Active, vec![2, 5]);
        assert!(keeps(&b, &a) && keeps(&b, &c) && !keeps(&c, &b));
        let members: Members = [a.clone(), b.clone(), c.clone()].into_iter().collect();
        assert_eq!(lost_tokens(&a, &members), [1, 5]);
        assert!(lost_tokens(&b, &members).is_empty());
        assert_eq!(lost_tokens(&c, &members), [2]);
    }

    #[test]
    fn the_file_keeps_tokens() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/tokens");
        let file = TokensFile::new(&path);
        assert_eq!(file.load().expect("nothing there"), None);
        file.save(&[1, 2, u32::MAX]).expect("writable");
        assert_eq!(file.load().expect("readable"), Some(vec![1, 2, u32::MAX]));
        std::fs::write(&path, r#"{"tokens":[3,1,3]}"#).expect("writable");
        assert_eq!(file.load().expect("readable"), Some(vec![1, 3]));
        for bad in ["", "{}", r#"{"tokens":[-1]}"#, r#"{"tokens":[4294967296]}"#, "\u{0}\u{1}"] {
            std::fs::write(&path, bad).expect("writable");
            assert!(file.load().is_err(), "{bad}");
        }
        file.delete().expect("deletable");
        file.delete().expect("nothing to delete");
    }
}
