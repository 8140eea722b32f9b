//! What a server asks of the process that it runs in.

/// The process around a server.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// The level of the process' own log: `debug`, `info`, `warn` or `error`.
    fn log_level(&self) -> String;

    /// Changes the level, one of the names above; `false` if that is not possible.
    fn set_log_level(&self, level: &str) -> bool;

    /// Begins to end the process, as a signal does.
    fn shut_down(&self);
}

/// No process to speak of: the server is part of another program.
#[derive(Debug)]
pub(crate) struct NoHost;

impl Host for NoHost {
    fn log_level(&self) -> String {
        "info".to_owned()
    }

    fn set_log_level(&self, _: &str) -> bool {
        false
    }

    fn shut_down(&self) {}
}
