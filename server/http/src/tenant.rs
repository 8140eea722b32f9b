//! Which tenant a request is for.

use axum::http::{HeaderMap, StatusCode};
use narvi::{Tenant, TenantError};

use crate::error::ApiError;

/// The header that names the tenant.
pub(crate) const HEADER: &str = "X-Scope-OrgID";

/// The tenant of a request: `fake` without authentication, else what the header says.
pub(crate) fn of_request(headers: &HeaderMap, auth_enabled: bool) -> Result<Tenant, ApiError> {
    one(&several(headers, auth_enabled)?)
}

/// The one tenant there must be.
pub(crate) fn one(tenants: &[Tenant]) -> Result<Tenant, ApiError> {
    match tenants {
        [tenant] => Ok(tenant.clone()),
        _ => Err(ApiError::bad("multiple org IDs present")),
    }
}

/// The tenants of a request, `a|b` in the header: sorted, each once, at least one.
pub(crate) fn several(headers: &HeaderMap, auth_enabled: bool) -> Result<Vec<Tenant>, ApiError> {
    if !auth_enabled {
        return Ok(vec![Tenant::default()]);
    }
    let header = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    if header.is_empty() {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "no org id"));
    }
    let mut names: Vec<&str> = header.split('|').map(|name| name.split(':').next().unwrap_or("")).collect();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| Tenant::new(name).map_err(|error| ApiError::bad(text(name, &error)))).collect()
}

/// Loki's words.
fn text(name: &str, error: &TenantError) -> String {
    match error {
        TenantError::TooLong(_) => "tenant ID is too long: max 150 characters".into(),
        TenantError::Character { found, .. } => format!("tenant ID '{name}' contains unsupported character '{found}'"),
        TenantError::Dots => "tenant ID is '.' or '..'".into(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{HEADER, of_request, several};

    #[test]
    fn the_header_names_the_tenant() {
        let headers = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, name.parse().expect("header"));
            headers
        };
        let with = |name: &str| {
            let tenant = of_request(&headers(name), true);
            tenant.map(|t| t.as_str().to_owned()).map_err(|e| (e.status.as_u16(), e.message))
        };
        assert_eq!(with("a!-_.*'()Z9"), Ok("a!-_.*'()Z9".into()));
        assert_eq!(with("conf|conf"), Ok("conf".into()));
        assert_eq!(with("conf:x"), Ok("conf".into()));
        for (name, status, text) in [
            ("", 401, "no org id"),
            ("a|b", 400, "multiple org IDs present"),
            ("a/b", 400, "tenant ID 'a/b' contains unsupported character '/'"),
            ("..", 400, "tenant ID is '.' or '..'"),
        ] {
            assert_eq!(with(name), Err((status, text.into())));
        }
        assert_eq!(of_request(&HeaderMap::new(), false).map(|t| t.as_str().to_owned()).ok(), Some("fake".into()));
        let both = several(&headers("b|a|b"), true).expect("valid");
        assert_eq!(both.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
