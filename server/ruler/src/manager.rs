//! The ruler as a whole: reads rules again and again, starts, changes and stops groups.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use narvi::{Store, Tenant};
use narvi_config::{RuleStorage, RulerConfig};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    Evaluate, Filter, Group, GroupView, Namespaces, RuleStore, RulerError,
    group::{GroupRun, Shared, view_elsewhere},
    metrics::{Metrics, OfUser},
    notify::Notifier,
    owns::{All, Owns},
    remote::Writer,
    state::StateStore,
    times::now,
};

/// How many groups are evaluated at once, or as many as there are processors.
const GROUPS_AT_ONCE: usize = 4;

/// How often it is looked whether groups move to or from other rulers.
const LOOK_AT_OWNERS: Duration = Duration::from_secs(5);

/// How long evaluations may take to end when they have to, and queues to empty when the ruler stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a ruler keeps its files.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct RulerPlaces {
    /// Rules that the API writes.
    pub rules: PathBuf,
    /// States of alerts; rulers that share groups keep them in `objects` instead, if it is there.
    pub state: PathBuf,
    /// Samples that are not sent yet.
    pub samples: PathBuf,
    /// The store that [`RuleStorage::Objects`] describes; without it `rules` is used.
    pub objects: Option<Arc<dyn Store>>,
}

impl RulerPlaces {
    /// The usual places in a data directory.
    pub fn in_data(folder: &std::path::Path, config: &RulerConfig) -> Self {
        let own = folder.join("ruler");
        let samples = config.wal_dir.clone().unwrap_or_else(|| own.join("remote-write"));
        Self { rules: folder.join("rules"), state: own.join("state"), samples, objects: None }
    }
}

/// A group's name: tenant, namespace, name.
type Key = (Tenant, String, String);

/// All groups, and the namespaces whose files cannot be used at the moment.
type Read = (BTreeMap<Key, Group>, HashSet<(Tenant, String)>);

/// Evaluates rules from [`Ruler::start`] to [`Ruler::stop`].
pub struct Ruler {
    store: RuleStore,
    shared: Arc<Shared>,
    poll_interval: Duration,
    enabled: Vec<String>,
    disabled: Vec<String>,
    stop: watch::Sender<bool>,
    groups: Mutex<BTreeMap<Key, Running>>,
    /// All groups that there are, also those of other rulers.
    known: Mutex<BTreeMap<Key, Group>>,
    poller: Mutex<Option<JoinHandle<()>>>,
}

struct Running {
    run: Arc<GroupRun>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Ruler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ruler").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Ruler {
    /// Makes a ruler that does nothing yet. Makes no folder.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(
        config: &RulerConfig,
        places: RulerPlaces,
        evaluate: Arc<dyn Evaluate>,
    ) -> Result<Arc<Self>, RulerError> {
        let states = StateStore::Folder(places.state.clone());
        Self::with(config, places, evaluate, Arc::new(All), states)
    }

    /// As [`Ruler::new`], for one of several that read the same rules: it evaluates those groups that are its own. The states
    /// of alerts lie where the others find them if `places` has an object store; if not, they begin anew when groups move.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn sharing(
        config: &RulerConfig,
        places: RulerPlaces,
        evaluate: Arc<dyn Evaluate>,
        owns: Arc<dyn Owns>,
    ) -> Result<Arc<Self>, RulerError> {
        let states = match places.objects.clone() {
            Some(objects) => StateStore::Objects(objects),
            None => StateStore::Folder(places.state.clone()),
        };
        Self::with(config, places, evaluate, owns, states)
    }

    fn with(
        config: &RulerConfig,
        places: RulerPlaces,
        evaluate: Arc<dyn Evaluate>,
        owns: Arc<dyn Owns>,
        states: StateStore,
    ) -> Result<Arc<Self>, RulerError> {
        let store = match (&config.storage, places.objects) {
            (RuleStorage::Local(folder), _) => RuleStore::read_only(folder),
            (RuleStorage::Objects(_), Some(objects)) => RuleStore::objects(objects),
            _ => RuleStore::writable(places.rules),
        };
        let metrics = Arc::new(Metrics::new());
        let shared = Shared {
            notifier: Arc::new(Notifier::new(config, evaluate.clone(), metrics.clone())?),
            writer: Arc::new(Writer::new(config, places.samples, evaluate.clone(), metrics.clone())?),
            evaluate,
            owns,
            states,
            metrics,
            running: Semaphore::new(
                std::thread::available_parallelism().map_or(GROUPS_AT_ONCE, |many| many.get().max(GROUPS_AT_ONCE)),
            ),
            external_labels: config.external_labels.clone().into_iter().collect(),
            external_url: config.external_url.clone(),
            default_interval: config.evaluation_interval,
            resend_delay: config.resend_delay,
            outage_tolerance: config.for_outage_tolerance,
            grace: config.for_grace_period,
        };
        Ok(Arc::new(Self {
            store,
            shared: Arc::new(shared),
            poll_interval: config.poll_interval,
            enabled: config.enabled_tenants.clone(),
            disabled: config.disabled_tenants.clone(),
            stop: watch::channel(false).0,
            groups: Mutex::default(),
            known: Mutex::default(),
            poller: Mutex::default(),
        }))
    }

    /// Where the rules lie.
    pub fn store(&self) -> &RuleStore {
        &self.store
    }

    /// Adds a group to the store, or replaces the one of its name, within the limits of the tenant. Blocks.
    ///
    /// # Errors
    /// As for [`RuleStore::set_group`].
    pub fn set_group(&self, tenant: &Tenant, namespace: &str, group: Group) -> Result<(), RulerError> {
        self.store.set_group(tenant, namespace, group, &self.shared.evaluate.limits(tenant))
    }

    /// Begins to read rules and to evaluate them. Must be called within a runtime.
    pub fn start(self: &Arc<Self>) {
        let (this, mut stop) = (self.clone(), self.stop.subscribe());
        let task = tokio::spawn(async move {
            let of_task = this.clone();
            let resumed = tokio::task::spawn_blocking(move || of_task.shared.writer.resume()).await;
            if let Ok(Err(error)) = resumed {
                tracing::error!(%error, "samples of an earlier run cannot be sent");
            }
            let (mut first, mut next) = (true, Instant::now());
            while !*stop.borrow() {
                if next <= Instant::now() || this.has_moved() {
                    this.poll(first).await;
                    (first, next) = (false, Instant::now() + this.poll_interval);
                }
                tokio::select! {
                    () = tokio::time::sleep_until(next.min(Instant::now() + LOOK_AT_OWNERS)) => {}
                    _ = stop.changed() => {}
                }
            }
        });
        *self.poller.lock() = Some(task);
    }

    /// Stops reading and evaluating; evaluations under way end and what waits is sent if that is quick.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let poller = self.poller.lock().take();
        if let Some(poller) = poller {
            let _ = poller.await;
        }
        let groups = std::mem::take(&mut *self.groups.lock());
        for running in groups.values() {
            running.stop.send_replace(true);
        }
        let deadline = Instant::now() + PATIENCE;
        for (_, running) in groups {
            end(running, deadline).await;
        }
        self.shared.notifier.stop(PATIENCE).await;
        self.shared.writer.stop(PATIENCE).await;
    }

    fn owns(&self, (tenant, namespace, group): &Key) -> bool {
        self.shared.owns.owns(tenant, namespace, group)
    }

    /// Whether a group that runs here is another ruler's now, or the other way round.
    fn has_moved(&self) -> bool {
        let (known, groups) = (self.known.lock(), self.groups.lock());
        known.keys().any(|key| self.owns(key) != groups.contains_key(key))
    }

    /// Reads the rules anew and starts, changes or stops groups as they say.
    async fn poll(self: &Arc<Self>, first: bool) {
        let this = self.clone();
        let read = match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return tracing::error!(%error, "rules cannot be read; the last ones go on"),
            Err(error) => return tracing::error!(%error, "reading rules failed unexpectedly; the last ones go on"),
        };
        let (mut wanted, faulty) = read;
        let known = wanted.clone();
        if first {
            let known = known.keys().map(|(tenant, namespace, name)| StateStore::key(tenant, namespace, name));
            let (states, known) = (self.shared.states.clone(), known.collect::<HashSet<_>>());
            // A file that cannot be read now may be mended: its states are kept.
            if faulty.is_empty() {
                let _ = tokio::task::spawn_blocking(move || states.sweep(&known)).await;
            }
        }
        wanted.retain(|key, _| self.owns(key));
        let is_faulty = |key: &Key| faulty.contains(&(key.0.clone(), key.1.clone()));
        let gone: Vec<(Key, Running)> = {
            let mut groups = self.groups.lock();
            let stays = |key: &Key| wanted.contains_key(key) || (is_faulty(key) && self.owns(key));
            let gone: Vec<Key> = groups.keys().filter(|key| !stays(key)).cloned().collect();
            gone.into_iter().filter_map(|key| groups.remove_entry(&key)).collect()
        };
        for (key, running) in gone {
            let run = end(running, Instant::now() + PATIENCE).await;
            // No other ruler has it: there are no such rules any more.
            let is_over = !known.contains_key(&key) && !is_faulty(&key);
            let ending = move || if is_over { run.retire() } else { run.give_away() };
            let _ = tokio::task::spawn_blocking(ending).await;
        }
        *self.known.lock() = known;
        for (key, group) in wanted {
            self.put(key, group).await;
        }
    }

    /// Starts a group, or puts it in the place of an older version.
    async fn put(&self, key: Key, group: Group) {
        let old = {
            let mut groups = self.groups.lock();
            match groups.get(&key) {
                Some(running) if running.run.group == group => return,
                _ => groups.remove(&key),
            }
        };
        let before = match old {
            Some(running) => Some(end(running, Instant::now() + PATIENCE).await),
            None => None,
        };
        let (shared, (tenant, namespace, _)) = (self.shared.clone(), key.clone());
        let made = tokio::task::spawn_blocking(move || {
            Arc::new(GroupRun::new(shared, tenant, namespace, group, before.as_deref()))
        });
        let Ok(run) = made.await else { return tracing::error!("a group of rules could not be started") };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run.clone().run(stopped));
        self.groups.lock().insert(key, Running { run, stop, task });
    }

    /// Reads the rules of all tenants. Blocks.
    fn read(&self) -> Result<Read, RulerError> {
        let (mut groups, mut faulty) = (BTreeMap::new(), HashSet::new());
        for tenant in self.store.tenants()? {
            let is_named = |names: &[String]| names.iter().any(|name| name == tenant.as_str());
            if is_named(&self.disabled) || (!self.enabled.is_empty() && !is_named(&self.enabled)) {
                continue;
            }
            let (namespaces, wrong): (Namespaces, _) = self.store.load(&tenant)?;
            let user = OfUser { user: tenant.as_str().to_owned() };
            self.shared.metrics.reload_ok.get_or_create(&user).set(i64::from(wrong.is_empty()));
            if wrong.is_empty() {
                self.shared.metrics.reload_time.get_or_create(&user).set(now() as f64 / 1e9);
            }
            for (namespace, error) in wrong {
                tracing::error!(tenant = tenant.as_str(), %error, "rules are not used until this is mended");
                faulty.insert((tenant.clone(), namespace));
            }
            for (namespace, list) in namespaces {
                for group in list {
                    groups.insert((tenant.clone(), namespace.clone(), group.name.clone()), group);
                }
            }
        }
        Ok((groups, faulty))
    }

    /// How all groups of a tenant stand, sorted by namespace and name: those of other rulers as far as the states of alerts
    /// tell that the rulers share, which are at most an evaluation old. Of others nothing tells whether their rules could be
    /// evaluated. Blocks.
    pub fn all_groups(&self, tenant: &Tenant, filter: &Filter) -> Vec<GroupView> {
        let mut views = self.groups(tenant, filter);
        let running: HashSet<Key> = self.groups.lock().keys().cloned().collect();
        let known: Vec<(Key, Group)> = {
            let known = self.known.lock();
            let of_others = known.iter().filter(|(key, _)| key.0 == *tenant && !running.contains(key));
            of_others.map(|(key, group)| (key.clone(), group.clone())).collect()
        };
        views.extend(known.into_iter().filter_map(|((tenant, namespace, _), group)| {
            view_elsewhere(&self.shared, &tenant, &namespace, &group, filter)
        }));
        views.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        views
    }

    /// How the groups of a tenant stand that run here, sorted by namespace and name.
    pub fn groups(&self, tenant: &Tenant, filter: &Filter) -> Vec<GroupView> {
        let groups = self.groups.lock();
        let runs: Vec<_> =
            groups.iter().filter(|((of, ..), _)| of == tenant).map(|(_, running)| running.run.clone()).collect();
        drop(groups);
        runs.iter().filter_map(|run| run.view(filter)).collect()
    }

    /// Appends the text of the ruler's metrics, without the line that ends an exposition.
    pub fn encode_metrics(&self, out: &mut String) {
        self.shared.metrics.encode(out);
    }
}

/// Stops a group. An evaluation that takes longer is given up, which cancels its query; the next one does its work.
async fn end(running: Running, deadline: Instant) -> Arc<GroupRun> {
    let Running { run, stop, mut task } = running;
    stop.send_replace(true);
    if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
        task.abort();
        let _ = task.await;
        let of_task = run.clone();
        let _ = tokio::task::spawn_blocking(move || of_task.save(now())).await;
    }
    run
}
