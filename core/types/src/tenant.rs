//! The tenant: whose logs they are.

use std::{borrow::Borrow, fmt, sync::Arc};

/// The most bytes that a tenant's name may have.
pub const MAX_TENANT_BYTES: usize = 150;

/// The name of a tenant, valid by construction: 1 to 150 characters of `A-Z a-z 0-9 ! - _ . * ' ( )`, and neither `.` nor
/// `..`, so that it can stand in a path. Cheap to clone. The default is `fake`, which Loki calls the only tenant of a
/// server that does not tell tenants apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

/// Why a text is no tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// No name at all.
    #[error("tenant is empty")]
    Empty,
    /// Longer than [`MAX_TENANT_BYTES`].
    #[error("tenant of {0} bytes is longer than the {MAX_TENANT_BYTES} allowed")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("tenant has the character {:?} at byte {at}; allowed are A-Z a-z 0-9 ! - _ . * ' ( )", .found)]
    Character {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// `.` or `..`.
    #[error("tenant may not be '.' or '..'")]
    Dots,
}

impl Tenant {
    /// Checks a name.
    ///
    /// # Errors
    /// Empty, too long, a character that is not allowed, `.` or `..`.
    pub fn new(name: &str) -> Result<Self, TenantError> {
        if name.is_empty() {
            return Err(TenantError::Empty);
        }
        if name.len() > MAX_TENANT_BYTES {
            return Err(TenantError::TooLong(name.len()));
        }
        if let Some((at, found)) = name.char_indices().find(|(_, c)| !is_allowed(*c)) {
            return Err(TenantError::Character { found, at });
        }
        if name == "." || name == ".." {
            return Err(TenantError::Dots);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '!' | '-' | '_' | '.' | '*' | '\'' | '(' | ')')
}

impl Default for Tenant {
    fn default() -> Self {
        Self("fake".into())
    }
}

impl Borrow<str> for Tenant {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Tenant {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Tenant {
    type Err = TenantError;
    fn from_str(name: &str) -> Result<Self, TenantError> {
        Self::new(name)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TENANT_BYTES, Tenant, TenantError};

    #[test]
    fn takes_what_loki_takes() {
        for good in ["fake", "a", "Tenant-1_x.y!*'()", "...", &"x".repeat(MAX_TENANT_BYTES)] {
            assert_eq!(Tenant::new(good).expect("valid").as_str(), good);
        }
        for (bad, error) in [
            ("", TenantError::Empty),
            (".", TenantError::Dots),
            ("..", TenantError::Dots),
            ("a|b", TenantError::Character { found: '|', at: 1 }),
            ("a/b", TenantError::Character { found: '/', at: 1 }),
            ("\u{e9}", TenantError::Character { found: '\u{e9}', at: 0 }),
        ] {
            assert_eq!(Tenant::new(bad), Err(error));
        }
        assert_eq!(Tenant::new(&"x".repeat(151)), Err(TenantError::TooLong(151)));
        assert_eq!(Tenant::default().to_string(), "fake");
    }
}
