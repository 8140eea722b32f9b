//! The C interface of Narvi; `include/narvi.h` documents it. A thin layer over the facade: nothing is decided here.
//!
//! This is one of the two places of the workspace with `unsafe`: pointers come from C. What each function relies on stands in
//! its `# Safety` section, and the header tells the caller.

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use narvi::{Db, Entry, Error, ErrorKind, Labels, PushStream, Rows, Tenant, Timestamp};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// A database.
#[derive(Debug)]
pub struct NarviDb(Db);

/// The rows of a query, and what the row given last points into.
#[derive(Debug)]
pub struct NarviRows {
    rows: Rows,
    labels: CString,
    line: Vec<u8>,
}

/// One row, as C sees it.
#[repr(C)]
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "its layout is the interface")]
pub struct NarviRow {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The labels, zero-terminated.
    pub labels: *const c_char,
    /// The line.
    pub line: *const u8,
    /// Its length.
    pub line_len: usize,
}

/// `narvi_status` of the header.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in the header")]
#[expect(clippy::exhaustive_enums, reason = "its values are the interface")]
pub enum NarviStatus {
    Ok = 0,
    End = 1,
    Invalid = 2,
    Query = 3,
    Busy = 4,
    Full = 5,
    Locked = 6,
    Denied = 7,
    Corrupt = 8,
    Unavailable = 9,
    Closed = 10,
    Poisoned = 11,
    Internal = 12,
}

fn status(kind: ErrorKind) -> NarviStatus {
    match kind {
        ErrorKind::Invalid => NarviStatus::Invalid,
        ErrorKind::Query => NarviStatus::Query,
        ErrorKind::Busy => NarviStatus::Busy,
        ErrorKind::Full => NarviStatus::Full,
        ErrorKind::Locked => NarviStatus::Locked,
        ErrorKind::Denied => NarviStatus::Denied,
        ErrorKind::Corrupt => NarviStatus::Corrupt,
        ErrorKind::Unavailable => NarviStatus::Unavailable,
        ErrorKind::Closed => NarviStatus::Closed,
        ErrorKind::Poisoned => NarviStatus::Poisoned,
        _ => NarviStatus::Internal,
    }
}

fn remember(message: &str) {
    let text = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
    LAST_ERROR.with(|last| *last.borrow_mut() = text);
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Runs a function's body: keeps its error for `narvi_last_error`, and lets no panic cross into C.
fn guard<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, NarviStatus> {
    remember("");
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            remember(&format!("{error}{cause}"));
            Err(status(error.kind()))
        }
        Err(_) => {
            remember("a defect in Narvi: the call panicked");
            Err(NarviStatus::Internal)
        }
    }
}

fn done(result: Result<(), NarviStatus>) -> NarviStatus {
    result.err().unwrap_or(NarviStatus::Ok)
}

/// Borrows a C string.
///
/// # Safety
/// `text` is NULL or points to bytes that end with a zero byte and stay unchanged for `'a`.
#[expect(unsafe_code, reason = "reads a C string")]
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(invalid(&format!("{what} is NULL")));
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| invalid(&format!("{what} is not UTF-8")))
}

/// Opens a database.
///
/// # Safety
/// `path` is NULL or a zero-terminated string.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_open(path: *const c_char) -> *mut NarviDb {
    // SAFETY: the caller vouches for the string.
    let opened = guard(|| Db::open(unsafe { text(path, "the path") }?));
    opened.map_or(ptr::null_mut(), |db| Box::into_raw(Box::new(NarviDb(db))))
}

/// Adds a line.
///
/// # Safety
/// `db` is NULL or came from [`narvi_open`] and was not closed; `labels` is NULL or zero-terminated; `line` points to
/// `line_len` readable bytes, or `line_len` is 0.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_push(
    db: *mut NarviDb,
    labels: *const c_char,
    timestamp_ns: i64,
    line: *const u8,
    line_len: usize,
) -> NarviStatus {
    done(guard(|| {
        // SAFETY: the caller vouches for the three pointers; a NULL line is not dereferenced.
        let (db, labels, line) = unsafe {
            let line = match line_len {
                0 => &[][..],
                _ if line.is_null() => return Err(invalid("the line is NULL")),
                len => std::slice::from_raw_parts(line, len),
            };
            (db.as_ref().ok_or_else(|| invalid("the database is NULL"))?, text(labels, "the labels")?, line)
        };
        let selector = narvi::logql::parse_selector(labels)?;
        let pairs = selector.matchers().iter().map(|m| match m.op() {
            narvi::MatchOp::Equal => Ok((m.name(), m.value())),
            _ => Err(invalid("labels are written with =, as in {a=\"1\"}")),
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let labels = Labels::from_pairs(pairs).map_err(|error| invalid(&error.to_string()))?;
        let entry = Entry::new(Timestamp::from_ns(timestamp_ns), line.to_vec());
        db.0.push(&Tenant::default(), vec![PushStream::new(labels, vec![entry])])?.wait()
    }))
}

/// Flushes.
///
/// # Safety
/// `db` is NULL or came from [`narvi_open`] and was not closed.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_flush(db: *mut NarviDb) -> NarviStatus {
    // SAFETY: the caller vouches for the pointer.
    done(guard(|| unsafe { db.as_ref() }.ok_or_else(|| invalid("the database is NULL"))?.0.flush()))
}

/// Starts a query.
///
/// # Safety
/// `db` is NULL or came from [`narvi_open`] and was not closed; `query` is NULL or zero-terminated.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_query(
    db: *mut NarviDb,
    query: *const c_char,
    start_ns: i64,
    end_ns: i64,
    limit: u64,
    forward: c_int,
) -> *mut NarviRows {
    let rows = guard(|| {
        // SAFETY: the caller vouches for both pointers.
        let (db, query) =
            unsafe { (db.as_ref().ok_or_else(|| invalid("the database is NULL"))?, text(query, "the query")?) };
        let mut query = db.0.query(query).range(Timestamp::from_ns(start_ns), Timestamp::from_ns(end_ns));
        if forward != 0 {
            query = query.forward();
        }
        if limit > 0 {
            query = query.limit(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        query.rows()
    });
    rows.map_or(ptr::null_mut(), |rows| {
        Box::into_raw(Box::new(NarviRows { rows, labels: CString::default(), line: Vec::new() }))
    })
}

/// Gets the next row.
///
/// # Safety
/// `rows` is NULL or came from [`narvi_query`], was not freed and is used by one thread at a time; `row` is NULL or may be
/// written to.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_next(rows: *mut NarviRows, row: *mut NarviRow) -> NarviStatus {
    let next = guard(|| {
        // SAFETY: the caller vouches for the pointer and that no other thread uses it now.
        let rows = unsafe { rows.as_mut() }.ok_or_else(|| invalid("the rows are NULL"))?;
        let Some(next) = rows.rows.next().transpose()? else { return Ok(None) };
        rows.labels = CString::new(next.labels.to_string()).unwrap_or_default();
        rows.line = next.line.to_vec();
        let (labels, line, line_len) = (rows.labels.as_ptr(), rows.line.as_ptr(), rows.line.len());
        Ok(Some(NarviRow { timestamp_ns: next.ts, labels, line, line_len }))
    });
    match next {
        Err(status) => status,
        Ok(None) => NarviStatus::End,
        Ok(Some(_)) if row.is_null() => {
            remember("the row is NULL");
            NarviStatus::Invalid
        }
        Ok(Some(next)) => {
            // SAFETY: not NULL, and the caller vouches that it may be written to.
            unsafe { row.write(next) };
            NarviStatus::Ok
        }
    }
}

/// Ends a query.
///
/// # Safety
/// `rows` is NULL or came from [`narvi_query`] and was not freed.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_rows_free(rows: *mut NarviRows) {
    if !rows.is_null() {
        // SAFETY: it was made by `Box::into_raw` in `narvi_query`, and the caller vouches that it is freed once.
        drop(unsafe { Box::from_raw(rows) });
    }
}

/// Closes a database.
///
/// # Safety
/// `db` is NULL or came from [`narvi_open`] and was not closed.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called from C")]
pub unsafe extern "C" fn narvi_close(db: *mut NarviDb) -> NarviStatus {
    if db.is_null() {
        return NarviStatus::Ok;
    }
    // SAFETY: it was made by `Box::into_raw` in `narvi_open`, and the caller vouches that it is closed once.
    let db = unsafe { Box::from_raw(db) };
    done(guard(move || db.0.close()))
}

/// The last error of this thread.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "exported to C")]
pub extern "C" fn narvi_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}
