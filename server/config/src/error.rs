//! What can be wrong with a configuration.

/// Why a configuration cannot be used. `Display` is one sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not YAML, or a key is unknown.
    #[error("failed parsing config: {0}")]
    Parse(String),
    /// A value cannot be used.
    #[error("invalid config: {place}{key}: {message}")]
    Value {
        /// `line 7: `, or nothing for a flag.
        place: String,
        /// The key with all its parents.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A `${VARIABLE}` cannot be replaced.
    #[error("cannot expand the environment in the config: {0}")]
    Expand(String),
    /// The limits of single tenants cannot be read.
    #[error("cannot use the runtime configuration: {0}")]
    Runtime(String),
    /// A flag is unknown or has a wrong value.
    #[error("{0}")]
    Flag(String),
}
