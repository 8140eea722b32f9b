//! Which service a stream belongs to.

/// The label that names the service.
pub(crate) const SERVICE_NAME: &str = "service_name";
const UNKNOWN: &str = "unknown_service";

/// The value for `service_name`: that of the first label in `names` that the stream has.
pub(crate) fn discover<'a>(labels: &'a [(String, String)], names: &[String]) -> &'a str {
    names
        .iter()
        .find_map(|name| labels.iter().find(|(n, v)| n == name && !v.is_empty()))
        .map_or(UNKNOWN, |(_, value)| value)
}
