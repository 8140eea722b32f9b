//! The life of one instance in a ring, PENDING, JOINING, ACTIVE, LEAVING, LEFT: a machine without time or tasks of
//! its own.

use std::{path::PathBuf, time::Duration};

use crate::{
    clock::{Draw, millis},
    instance::{Instance, MAX_TOKENS, State},
    membership::{Members, RingName},
    tokens::{draw_tokens, lost_tokens},
};

/// Settings of an instance in a ring: plain data, named as Loki's lifecycler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleSettings {
    /// Which ring.
    pub ring: RingName,
    /// The name of the instance, the same after a restart.
    pub id: String,
    /// Where its gRPC is: host and port.
    pub address: String,
    /// Its zone, or nothing.
    pub zone: String,
    /// How many tokens it takes.
    pub num_tokens: usize,
    /// How often it tells that it lives.
    pub heartbeat_period: Duration,
    /// How long it waits before it takes tokens.
    pub join_after: Duration,
    /// How long it watches new tokens for others that claim them; zero: not at all.
    pub observe_period: Duration,
    /// How long it is JOINING at least, also with tokens that it kept: so that all who read know of it before anyone writes to
    /// it. Zero: not at all.
    pub announce_period: Duration,
    /// How long it must be ACTIVE before it is ready.
    pub min_ready_duration: Duration,
    /// How long it stays, LEAVING, after all is done.
    pub final_sleep: Duration,
    /// Whether it becomes LEFT at the end; otherwise it stays LEAVING until it returns.
    pub unregister_on_shutdown: bool,
    /// The file that keeps its tokens, so that a return takes the same ones.
    pub tokens_file_path: Option<PathBuf>,
    /// Others that were not heard of for so long are forgotten; none: they stay, unhealthy, until someone forgets them.
    pub forget_after: Option<Duration>,
}

impl LifecycleSettings {
    /// Loki's defaults.
    pub fn new(ring: RingName, id: impl Into<String>, address: impl Into<String>) -> Self {
        let one = matches!(ring, RingName::Distributor | RingName::Compactor | RingName::Scheduler);
        Self {
            ring,
            id: id.into(),
            address: address.into(),
            zone: String::new(),
            num_tokens: if one { 1 } else { 128 },
            heartbeat_period: Duration::from_secs(5),
            join_after: Duration::ZERO,
            observe_period: Duration::ZERO,
            announce_period: Duration::ZERO,
            min_ready_duration: Duration::from_secs(15),
            final_sleep: Duration::ZERO,
            unregister_on_shutdown: true,
            tokens_file_path: None,
            forget_after: None,
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    /// Before the first step.
    New,
    /// Until it may take tokens.
    Waiting {
        until_ms: u64,
    },
    /// Until the tokens count as its own.
    Observing {
        until_ms: u64,
    },
    Active {
        since_ms: u64,
    },
    Leaving,
    Gone,
}

/// What is to be done after a step.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The record to publish.
    pub(crate) publish: Option<Instance>,
    /// Whether its tokens are to be kept first.
    pub(crate) save: bool,
    /// Others to forget.
    pub(crate) forget: Vec<String>,
    /// When the next step is due.
    pub(crate) wake_ms: u64,
}

/// The machine.
pub(crate) struct Lifecycle {
    settings: LifecycleSettings,
    own: Instance,
    phase: Phase,
    published_ms: u64,
    draw: Draw,
}

impl Lifecycle {
    /// An instance that comes, with the tokens that it kept.
    pub(crate) fn new(settings: LifecycleSettings, kept: Vec<u32>, seed: u64) -> Self {
        let own = Instance {
            id: settings.id.clone(),
            address: settings.address.clone(),
            zone: settings.zone.clone(),
            state: State::Pending,
            tokens: kept,
            registered_ms: 0,
            heartbeat_ms: 0,
        };
        Self { settings, own, phase: Phase::New, published_ms: 0, draw: Draw::new(seed) }
    }

    /// The record as it is. Tokens are its own only when it is JOINING or later.
    pub(crate) fn instance(&self) -> &Instance {
        &self.own
    }

    /// Whether it has been ACTIVE for long enough.
    pub(crate) fn is_ready(&self, now_ms: u64) -> bool {
        let least = millis(self.settings.min_ready_duration);
        matches!(self.phase, Phase::Active { since_ms } if now_ms.saturating_sub(since_ms) >= least)
    }

    /// Does what is due.
    pub(crate) fn step(&mut self, now_ms: u64, members: &Members) -> Step {
        let mut step = Step { wake_ms: u64::MAX, ..Step::default() };
        let mut changed = false;
        if matches!(self.phase, Phase::New) {
            self.inherit(now_ms, members);
            self.phase = Phase::Waiting { until_ms: now_ms.saturating_add(millis(self.settings.join_after)) };
            changed = true;
        }
        let watched = matches!(self.phase, Phase::Observing { .. } | Phase::Active { .. });
        let lost = watched && self.give_up(members);
        match self.phase {
            Phase::Waiting { until_ms } if now_ms >= until_ms => {
                let drew = self.fill(members);
                self.watch_or_activate(now_ms, drew);
                (step.save, changed) = (true, true);
            }
            phase if lost => {
                self.fill(members);
                if matches!(phase, Phase::Observing { .. }) {
                    self.watch_or_activate(now_ms, true);
                }
                (step.save, changed) = (true, true);
            }
            Phase::Observing { until_ms } if now_ms >= until_ms => {
                self.activate(now_ms);
                changed = true;
            }
            _ => {}
        }
        if matches!(self.phase, Phase::Gone) {
            return step;
        }
        let beat_ms = self.published_ms.saturating_add(millis(self.settings.heartbeat_period));
        if changed || now_ms >= beat_ms {
            step.publish = Some(self.beat(now_ms));
        }
        step.forget = self.forgettable(now_ms, members);
        step.wake_ms = self.published_ms.saturating_add(millis(self.settings.heartbeat_period));
        if let Phase::Waiting { until_ms } | Phase::Observing { until_ms } = self.phase {
            step.wake_ms = step.wake_ms.min(until_ms);
        }
        step
    }

    /// It leaves: takes no more writes, is still read. The record to publish.
    pub(crate) fn start_leaving(&mut self, now_ms: u64) -> Option<Instance> {
        if matches!(self.phase, Phase::Leaving | Phase::Gone) {
            return None;
        }
        self.phase = Phase::Leaving;
        self.own.state = State::Leaving;
        Some(self.beat(now_ms))
    }

    /// It is gone. The last record to publish.
    pub(crate) fn finish(&mut self, now_ms: u64, unregister: bool) -> Option<Instance> {
        if matches!(self.phase, Phase::Gone) {
            return None;
        }
        self.phase = Phase::Gone;
        self.own.state = if unregister { State::Left } else { State::Leaving };
        if unregister {
            self.own.tokens.clear();
        }
        Some(self.beat(now_ms))
    }

    /// Takes over what the ring still knows of it from before.
    fn inherit(&mut self, now_ms: u64, members: &Members) {
        self.own.registered_ms = now_ms;
        let Some(before) = members.by_id(&self.own.id) else { return };
        self.own.heartbeat_ms = before.heartbeat_ms;
        if before.state != State::Left {
            self.own.registered_ms = before.registered_ms;
            if self.own.tokens.is_empty() {
                self.own.tokens.clone_from(&before.tokens);
            }
        }
    }

    /// Gives up tokens that others have the better claim to; whether there were such.
    fn give_up(&mut self, members: &Members) -> bool {
        let lost = lost_tokens(&self.own, members);
        self.own.tokens.retain(|token| lost.binary_search(token).is_err());
        !lost.is_empty()
    }

    /// Draws the tokens that are missing; whether some were.
    fn fill(&mut self, members: &Members) -> bool {
        let wanted = self.settings.num_tokens.clamp(1, MAX_TOKENS);
        self.give_up(members);
        self.own.tokens.truncate(wanted);
        let missing = wanted - self.own.tokens.len();
        if missing == 0 {
            return false;
        }
        let drawn = draw_tokens(missing, &self.own.id, &self.own.tokens, members, &mut self.draw);
        self.own.tokens.extend(drawn);
        self.own.tokens.sort_unstable();
        self.own.tokens.dedup();
        true
    }

    fn watch_or_activate(&mut self, now_ms: u64, drew: bool) {
        let observe_ms = match drew {
            true => self.settings.observe_period.max(self.settings.announce_period),
            false => self.settings.announce_period,
        };
        let observe_ms = millis(observe_ms);
        if observe_ms > 0 {
            self.own.state = State::Joining;
            self.phase = Phase::Observing { until_ms: now_ms.saturating_add(observe_ms) };
        } else {
            self.activate(now_ms);
        }
    }

    fn activate(&mut self, now_ms: u64) {
        self.own.state = State::Active;
        self.phase = Phase::Active { since_ms: now_ms };
    }

    /// The record with a new heartbeat, which is above all before it even if the clock was set back.
    fn beat(&mut self, now_ms: u64) -> Instance {
        self.published_ms = now_ms;
        self.own.heartbeat_ms = now_ms.max(self.own.heartbeat_ms.saturating_add(1));
        let mut record = self.own.clone();
        if record.state == State::Pending {
            record.tokens.clear();
        }
        record
    }

    fn forgettable(&self, now_ms: u64, members: &Members) -> Vec<String> {
        let Some(after) = self.settings.forget_after.map(millis).filter(|after| *after > 0) else { return Vec::new() };
        let dead = members.iter().filter(|one| one.id != self.own.id && one.state != State::Left);
        dead.filter(|one| !one.is_fresh(now_ms, after)).map(|one| one.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lifecycle, LifecycleSettings};
    use crate::{
        instance::{Instance, State},
        membership::{Members, RingName},
    };

    fn settings() -> LifecycleSettings {
        LifecycleSettings { num_tokens: 8, ..LifecycleSettings::new(RingName::Ingester, "b", "b:9095") }
    }

    fn with(others: &[Instance]) -> Members {
        others.iter().cloned().collect()
    }

    fn other(id: &str, state: State, tokens: Vec<u32>, heartbeat_ms: u64) -> Instance {
        let (address, zone) = (format!("{id}:9095"), String::new());
        Instance { id: id.into(), address, zone, state, tokens, registered_ms: 7, heartbeat_ms }
    }

    #[test]
    fn it_goes_from_pending_to_left() {
        let waits = LifecycleSettings {
            join_after: Duration::from_secs(10),
            observe_period: Duration::from_secs(20),
            ..settings()
        };
        let mut life = Lifecycle::new(waits, vec![], 1);
        let none = Members::default();
        let step = life.step(1_000, &none);
        let record = step.publish.expect("it tells that it is there");
        assert_eq!((record.state, record.tokens.len(), record.registered_ms), (State::Pending, 0, 1_000));
        assert_eq!(step.wake_ms, 6_000, "a heartbeat");
        assert!(life.step(5_999, &none).publish.is_none());
        assert_eq!(life.step(6_000, &none).publish.map(|record| record.heartbeat_ms), Some(6_000));
        let step = life.step(11_000, &none);
        let record = step.publish.expect("it joins");
        assert!(step.save);
        assert_eq!((record.state, record.tokens.len()), (State::Joining, 8));
        let step = life.step(31_000, &none);
        assert_eq!(step.publish.map(|next| (next.state, next.tokens)), Some((State::Active, record.tokens)));
        assert!(!life.is_ready(31_000 + 14_999));
        assert!(life.is_ready(31_000 + 15_000));
        let record = life.start_leaving(50_000).expect("it leaves");
        assert_eq!((record.state, record.tokens.len()), (State::Leaving, 8));
        assert!(life.start_leaving(50_001).is_none());
        assert_eq!(life.step(55_000, &none).publish.map(|record| record.state), Some(State::Leaving));
        let record = life.finish(56_000, true).expect("it is gone");
        assert_eq!((record.state, record.tokens.len()), (State::Left, 0));
        assert!(life.step(90_000, &none).publish.is_none());
        assert!(life.finish(90_000, true).is_none());
    }

    #[test]
    fn a_return_takes_the_same_tokens() {
        let kept: Vec<u32> = (1..=8).map(|n| n * 1_000).collect();
        let mut life = Lifecycle::new(settings(), kept.clone(), 1);
        let record = life.step(1_000, &Members::default()).publish.expect("it joins");
        assert_eq!((record.state, record.tokens), (State::Active, kept.clone()));
        // Without a file, from what the ring knows; a clock that was set back does not matter.
        let before = Instance { address: "old:1".into(), ..other("b", State::Leaving, kept.clone(), 5_000) };
        let mut life = Lifecycle::new(settings(), vec![], 1);
        let record = life.step(1_000, &with(&[before])).publish.expect("it joins");
        assert_eq!((record.state, record.tokens, record.registered_ms), (State::Active, kept, 7));
        assert_eq!((record.heartbeat_ms, record.address.as_str()), (5_001, "b:9095"));
    }

    #[test]
    fn who_left_registers_anew() {
        let mut life = Lifecycle::new(settings(), vec![], 1);
        let record = life.step(9_000, &with(&[other("b", State::Left, vec![], 5_000)])).publish.expect("it joins");
        assert_eq!((record.registered_ms, record.tokens.len()), (9_000, 8));
    }

    #[test]
    fn lost_tokens_are_replaced_and_watched_again() {
        let watches = LifecycleSettings { observe_period: Duration::from_secs(10), ..settings() };
        let mut life = Lifecycle::new(watches, vec![], 1);
        let first = life.step(0, &Members::default()).publish.expect("it joins").tokens;
        let rival = with(&[other("a", State::Active, first[..3].to_vec(), 0)]);
        let step = life.step(9_000, &rival);
        let record = step.publish.expect("other tokens");
        assert!(step.save);
        assert_eq!((record.state, record.tokens.len()), (State::Joining, 8));
        assert!(first[..3].iter().all(|lost| !record.tokens.contains(lost)));
        assert!(first[3..].iter().all(|kept| record.tokens.contains(kept)));
        assert!(life.step(18_999, &rival).publish.is_none_or(|record| record.state == State::Joining));
        assert_eq!(life.step(19_000, &rival).publish.map(|record| record.state), Some(State::Active));
        let worse = with(&[other("c", State::Active, record.tokens, 0)]);
        assert!(life.step(19_001, &worse).publish.is_none(), "the other one gives up");
    }

    #[test]
    fn one_that_returns_with_its_tokens_is_announced_first() {
        let announces = LifecycleSettings { announce_period: Duration::from_secs(2), ..settings() };
        let mut life = Lifecycle::new(announces, (0..8).collect(), 1);
        let record = life.step(0, &Members::default()).publish.expect("it comes");
        assert_eq!((record.state, record.tokens.len()), (State::Joining, 8));
        assert!(life.step(1_999, &Members::default()).publish.is_none());
        assert_eq!(life.step(2_000, &Members::default()).publish.map(|one| one.state), Some(State::Active));
        assert!(life.step(2_001, &Members::default()).publish.is_none());
    }

    #[test]
    fn the_dead_are_forgotten_if_so_wished() {
        let members = with(&[
            other("a", State::Active, vec![1], 1_000),
            other("c", State::Leaving, vec![2], 30_000),
            other("d", State::Left, vec![], 0),
            other("e", State::Active, vec![3], Instance::NEVER_STALE),
        ]);
        let mut life = Lifecycle::new(settings(), vec![], 1);
        assert!(life.step(61_001, &members).forget.is_empty());
        let forgets = LifecycleSettings { forget_after: Some(Duration::from_secs(60)), ..settings() };
        let mut life = Lifecycle::new(forgets, vec![], 1);
        assert!(life.step(61_000, &members).forget.is_empty());
        assert_eq!(life.step(61_001, &members).forget, ["a"]);
    }
}
