//! Who of a ring does what only one should: the elected one, when it has been so for a while.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    clock::{Clock, millis},
    view::RingView,
};

/// How often it is looked whether others are still heard of, at the latest: that they are not, no record tells.
const LOOK: Duration = Duration::from_secs(1);

/// Whether an instance is elected: it holds the smallest token of those that are ACTIVE and healthy, and has for some time.
///
/// Two may think so of themselves for a moment, since each goes by what it has heard: what the elected one does must bear
/// that. The time that it must have been first lets the one before it end its work, and keeps a ring that is just coming
/// together from electing one after the other.
pub struct Leader {
    elected: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Leader {
    /// Begins to watch a ring for the instance of this id, on the runtime of the caller. `tell` hears of every change, first
    /// that it is elected; it must not block.
    pub fn follow(
        ring: Arc<RingView>,
        id: impl Into<String>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        tell: impl Fn(bool) + Send + 'static,
    ) -> Self {
        let (sender, elected) = watch::channel(false);
        let (id, mut changes) = (id.into(), ring.changes());
        let task = tokio::spawn(async move {
            let mut election = Election { patience_ms: millis(patience), first_since_ms: None };
            let mut open = true;
            loop {
                let now_ms = clock.now_ms();
                let is_first = ring.current().leader(now_ms).is_some_and(|leader| leader.id == id);
                let is_elected = election.step(is_first, now_ms);
                if sender.send_if_modified(|held| std::mem::replace(held, is_elected) != is_elected) {
                    tracing::info!(ring = %ring.name(), id, elected = is_elected, "the election changed");
                    tell(is_elected);
                }
                let wait = election.rest(now_ms).unwrap_or(LOOK).min(LOOK);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    changed = changes.changed(), if open => open = changed.is_ok(),
                }
            }
        });
        Self { elected, task }
    }

    /// Whether it is elected now.
    pub fn is_elected(&self) -> bool {
        *self.elected.borrow()
    }

    /// Tells of changes.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.elected.clone()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The rule, without time of its own.
struct Election {
    patience_ms: u64,
    first_since_ms: Option<u64>,
}

impl Election {
    /// Whether an instance that is the first of its ring, or is not, is elected.
    fn step(&mut self, is_first: bool, now_ms: u64) -> bool {
        if !is_first {
            self.first_since_ms = None;
            return false;
        }
        let since_ms = *self.first_since_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(since_ms) >= self.patience_ms
    }

    /// How long until one that is first is elected.
    fn rest(&self, now_ms: u64) -> Option<Duration> {
        let over_ms = self.first_since_ms?.saturating_add(self.patience_ms);
        Some(Duration::from_millis(over_ms.checked_sub(now_ms)?.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use parking_lot::Mutex;

    use super::{Election, Leader};
    use crate::{
        clock::ManualClock,
        instance::{Instance, State},
        membership::{Membership, RingName},
        memory::InMemory,
        ring::RingSettings,
        view::RingView,
    };

    #[test]
    fn one_must_be_first_for_a_while() {
        let mut election = Election { patience_ms: 10, first_since_ms: None };
        assert!(!election.step(true, 5) && !election.step(true, 14));
        assert_eq!(election.rest(14), Some(Duration::from_millis(1)));
        assert!(election.step(true, 15) && election.step(true, 16));
        assert!(!election.step(false, 17) && !election.step(true, 18) && !election.step(true, 27));
        assert!(election.step(true, 28));
        assert!(Election { patience_ms: 0, first_since_ms: None }.step(true, 0));
    }

    fn record(id: &str, token: u32, state: State, heartbeat_ms: u64) -> Instance {
        Instance {
            id: id.to_owned(),
            address: format!("{id}:1"),
            zone: String::new(),
            state,
            tokens: vec![token],
            registered_ms: 0,
            heartbeat_ms,
        }
    }

    #[tokio::test]
    async fn the_next_one_is_elected_when_one_leaves_or_dies() {
        let clock = Arc::new(ManualClock::at(1_000));
        let hub = InMemory::new(clock.clone(), Duration::from_secs(3_600));
        let publish = |id: &str, token, state, at| {
            hub.publish(RingName::Compactor, record(id, token, state, at)).expect("it is right");
        };
        let heard: Arc<Mutex<Vec<(&str, bool)>>> = Arc::default();
        let follow = |id: &'static str| {
            let heard = heard.clone();
            let view = Arc::new(RingView::new(&hub, RingName::Compactor, RingSettings::default()));
            let tell = move |elected| heard.lock().push((id, elected));
            Leader::follow(view, id, clock.clone(), Duration::ZERO, tell)
        };
        let leaders = [follow("a"), follow("b"), follow("c")];
        let wait = async |expected: [bool; 3]| {
            for (leader, expected) in leaders.iter().zip(expected) {
                leader.changes().wait_for(|elected| *elected == expected).await.expect("it follows");
            }
        };
        publish("b", 20, State::Active, 1_000);
        wait([false, true, false]).await;
        publish("c", 30, State::Active, 1_000);
        publish("a", 10, State::Joining, 1_000);
        wait([false, true, false]).await;
        publish("a", 10, State::Active, 1_001);
        wait([true, false, false]).await;
        publish("a", 10, State::Leaving, 1_002);
        wait([false, true, false]).await;
        // Only the last one goes on telling that it lives.
        clock.advance(Duration::from_secs(120));
        publish("c", 30, State::Active, 121_000);
        wait([false, false, true]).await;
        let heard = heard.lock();
        assert!(heard.iter().all(|(id, elected)| *elected || heard.contains(&(*id, true))), "{heard:?}");
    }
}
