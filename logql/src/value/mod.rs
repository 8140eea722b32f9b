//! The value grammars of LogQL: durations, byte sizes, numbers, quoted strings and addresses, as Go and its usual
//! libraries read and print them.
//!
//! Loki takes its values from Go's standard library, Prometheus and go-humanize, and shows their error texts to users.
//! These are independent implementations; tables made with Go's own tools pin them (`tests/data`). All parsers take
//! bytes, since label values need not be UTF-8, and none allocates unless it fails.

mod bytes;
mod duration;
mod float;
mod format_float;
mod ip;
mod quote;

pub use self::bytes::{BytesError, parse_bytes, write_bytes_iec, write_bytes_si};
pub use self::duration::{
    DurationError, parse_go_duration, parse_prometheus_duration, write_go_duration, write_prometheus_duration,
};
pub use self::float::{NumberError, NumberErrorKind, parse_float, parse_int};
pub use self::format_float::{FloatFormat, write_float};
pub use self::ip::{IpError, IpPattern};
pub(crate) use self::quote::decode_char;
pub use self::quote::{QuoteError, quote, unquote, unquote_char};

#[cfg(test)]
mod tests;
