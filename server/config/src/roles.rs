//! Which roles a process has: `-target`, and what its names stand for.

use std::fmt;

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    schema::place,
    tree::Node,
};

/// What `-target` may name, for `-list-targets`.
pub const TARGETS: [&str; 13] = [
    "all",
    "backend",
    "compactor",
    "distributor",
    "index-gateway",
    "ingester",
    "querier",
    "query-frontend",
    "query-scheduler",
    "read",
    "ruler",
    "table-manager",
    "write",
];

/// Parts of Loki that Narvi has no process for.
const NOTHING_TO_RUN: [&str; 7] =
    ["pattern-ingester", "ui", "bloom-builder", "bloom-compactor", "bloom-gateway", "bloom-planner", "bloom-store"];

/// A part of Narvi that can be a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever starts roles must know of each")]
pub enum Role {
    /// Takes pushes, and passes them to ingesters.
    Distributor,
    /// Holds recent logs and flushes them.
    Ingester,
    /// Evaluates queries.
    Querier,
    /// Takes queries, splits them and merges what queriers find.
    QueryFrontend,
    /// Keeps the queue of queries that several frontends share.
    QueryScheduler,
    /// Answers look-ups in the index.
    IndexGateway,
    /// Merges files, applies retention and removes deleted lines.
    Compactor,
    /// Evaluates rules.
    Ruler,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Distributor,
        Self::Ingester,
        Self::Querier,
        Self::QueryFrontend,
        Self::QueryScheduler,
        Self::IndexGateway,
        Self::Compactor,
        Self::Ruler,
    ];

    /// Its name as a target.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Distributor => "distributor",
            Self::Ingester => "ingester",
            Self::Querier => "querier",
            Self::QueryFrontend => "query-frontend",
            Self::QueryScheduler => "query-scheduler",
            Self::IndexGateway => "index-gateway",
            Self::Compactor => "compactor",
            Self::Ruler => "ruler",
        }
    }

    /// The role of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one process does. The default is everything, as with `-target=all`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// A bit for each role.
    bits: u8,
}

impl Roles {
    /// None: of a target that Narvi has no process for.
    pub const NONE: Self = Self { bits: 0 };

    /// Everything that `-target=all` runs. Look-ups in the index need no gateway there.
    pub fn all() -> Self {
        let roles = Role::ALL.into_iter().filter(|role| *role != Role::IndexGateway);
        roles.collect()
    }

    /// Whether a role is among them.
    pub fn contains(self, role: Role) -> bool {
        self.bits & bit(role) != 0
    }

    /// Whether all that a log store needs runs in this process.
    pub fn is_whole(self) -> bool {
        let all = Self::all();
        self.bits & all.bits == all.bits
    }

    /// Whether there is nothing to run.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Each of them, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }

    fn add(&mut self, roles: Self) {
        self.bits |= roles.bits;
    }
}

fn bit(role: Role) -> u8 {
    1 << (role as u8)
}

impl Default for Roles {
    fn default() -> Self {
        Self::all()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self { bits: roles.into_iter().fold(0, |bits, role| bits | bit(role)) }
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Roles {
    /// Their names with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, role) in self.iter().enumerate() {
            write!(f, "{}{role}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Reads `target` and `legacy_read_mode`.
pub(crate) fn read(reader: &Reader<'_>, warnings: &mut Vec<String>) -> Result<Roles, ConfigError> {
    let (mut targets, mut legacy) = (Vec::new(), true);
    reader.words("target", &mut targets)?;
    reader.bool("legacy_read_mode", &mut legacy)?;
    if targets.is_empty() {
        return Ok(Roles::all());
    }
    let line = reader.at("target").map_or(0, Node::line);
    let mut roles = Roles::NONE;
    for target in &targets {
        match named(target, legacy) {
            Some(of_name) => roles.add(of_name),
            None => {
                let message = format!("unrecognised target {target:?}; one of {}", TARGETS.join(", "));
                let node = Node { line, ..Node::default() };
                return Err(wrong(&node, "target", message));
            }
        }
        if target == "table-manager" {
            let warning = "target: table-manager is read as compactor, which applies retention; write that instead";
            warnings.push(format!("{}{warning}", place(line)));
        }
        if NOTHING_TO_RUN.contains(&target.as_str()) {
            warnings.push(format!("{}target: {target} runs nothing: Narvi has no such process", place(line)));
        }
    }
    Ok(roles)
}

/// What a target runs; `legacy` is the `read` of Loki 2, which ran what is now `backend` too.
fn named(target: &str, legacy: bool) -> Option<Roles> {
    let of = |roles: &[Role]| Some(roles.iter().copied().collect());
    match target {
        "all" => Some(Roles::all()),
        "write" => of(&[Role::Distributor, Role::Ingester]),
        "backend" => of(&[Role::QueryScheduler, Role::IndexGateway, Role::Compactor, Role::Ruler]),
        "read" => {
            let mut roles: Roles = [Role::QueryFrontend, Role::Querier].into_iter().collect();
            if legacy {
                roles.add(named("backend", legacy)?);
            }
            Some(roles)
        }
        "table-manager" => of(&[Role::Compactor]),
        _ if NOTHING_TO_RUN.contains(&target) => Some(Roles::NONE),
        _ => of(&[Role::of(target)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTHING_TO_RUN, Role, Roles, TARGETS, named};
    use crate::{Config, Flags};

    fn roles(file: &str) -> String {
        Config::from_yaml(file, &Flags::default())
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .cluster
            .roles
            .to_string()
    }

    #[test]
    fn all_is_everything_but_the_index_gateway() {
        assert!(Roles::default().is_whole() && !Roles::default().contains(Role::IndexGateway));
        assert_eq!(roles(""), "distributor,ingester,querier,query-frontend,query-scheduler,compactor,ruler");
        assert_eq!(roles("target: all"), roles(""));
        let both = named("read", true).into_iter().chain(named("write", true)).flat_map(Roles::iter).collect::<Roles>();
        assert!(both.is_whole() && both.contains(Role::IndexGateway));
        assert!(!named("read", true).expect("known").is_whole());
    }

    #[test]
    fn groups_are_what_loki_runs_for_them() {
        let file = |target: &str| roles(&format!("target: {target}\nmemberlist: {{join_members: [a]}}\n"));
        assert_eq!(file("write"), "distributor,ingester");
        assert_eq!(file("backend"), "query-scheduler,index-gateway,compactor,ruler");
        assert_eq!(file("read"), "querier,query-frontend,query-scheduler,index-gateway,compactor,ruler");
        assert_eq!(file("read\nlegacy_read_mode: false"), "querier,query-frontend");
        assert_eq!(file("querier, ingester"), "ingester,querier");
        assert_eq!(file("ruler,ruler, distributor"), "distributor,ruler");
    }

    #[test]
    fn every_target_that_is_listed_runs_something() {
        for target in TARGETS {
            assert!(named(target, true).is_some_and(|roles| !roles.is_empty()), "{target}");
        }
        assert!(NOTHING_TO_RUN.iter().all(|target| named(target, true) == Some(Roles::NONE)));
        assert_eq!(named("nothing", true), None);
        for role in Role::ALL {
            assert_eq!(Role::of(role.as_str()), Some(role));
            assert!(TARGETS.contains(&role.as_str()));
        }
    }

    #[test]
    fn parts_that_narvi_has_no_process_for_are_told_of() {
        let read = |file: &str| Config::from_yaml(file, &Flags::default()).unwrap_or_else(|error| panic!("{error}"));
        let config = read("target: table-manager");
        assert_eq!(config.cluster.roles.to_string(), "compactor");
        let expected =
            "line 1: target: table-manager is read as compactor, which applies retention; write that instead";
        assert_eq!(config.warnings, [expected]);
        let config = read("target: pattern-ingester,compactor");
        assert_eq!(config.warnings, ["line 1: target: pattern-ingester runs nothing: Narvi has no such process"]);
        assert!(read("target: ui").cluster.roles.is_empty());
    }
}
