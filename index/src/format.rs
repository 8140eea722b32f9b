//! Magic, versions, section kinds and the directory: what the file and each part in it share. See `FORMAT.md`.

/// The version this build writes. It stays 0, and the format may change, until the first release.
pub const FORMAT_VERSION: u32 = 0;
/// The oldest version this build reads.
pub const OLDEST_READABLE_VERSION: u32 = 0;
