/* Narvi, an embeddable log store that answers LogQL: the C interface.
 *
 * Every function may be called from any thread. Functions that can fail return NULL or a status other than NARVI_OK and
 * leave a message for narvi_last_error() of the same thread. Strings passed in are UTF-8 and end with a zero byte, and are
 * copied; a line is any bytes.
 */
#ifndef NARVI_H
#define NARVI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A database and the rows of a query. Made and freed only by the functions below. */
typedef struct narvi_db narvi_db;
typedef struct narvi_rows narvi_rows;

typedef enum narvi_status {
    NARVI_OK = 0,
    NARVI_END = 1,         /* no more rows */
    NARVI_INVALID = 2,     /* what was passed in cannot be accepted */
    NARVI_QUERY = 3,       /* the query has an error */
    NARVI_BUSY = 4,        /* try again later */
    NARVI_FULL = 5,        /* the disk is full */
    NARVI_LOCKED = 6,      /* another process has the database open */
    NARVI_DENIED = 7,      /* no access */
    NARVI_CORRUPT = 8,     /* stored data is damaged */
    NARVI_UNAVAILABLE = 9, /* the store cannot be reached or failed */
    NARVI_CLOSED = 10,     /* the database was closed */
    NARVI_POISONED = 11,   /* a sync failed: open the database again */
    NARVI_INTERNAL = 12    /* a defect of Narvi */
} narvi_status;

/* One line of a query's answer. Pointers are valid until the next call with the same rows. */
typedef struct narvi_row {
    int64_t timestamp_ns; /* since 1970-01-01T00:00:00Z */
    const char *labels;   /* {a="1", b="2"}, ends with a zero byte */
    const uint8_t *line;
    size_t line_len;
} narvi_row;

/* Opens the database in a folder, which is made if it does not exist. NULL on failure. */
narvi_db *narvi_open(const char *path);

/* Adds a line to the stream with the labels `{a="1", b="2"}`. When it returns NARVI_OK the line survives the death of the
 * process. */
narvi_status narvi_push(narvi_db *db, const char *labels, int64_t timestamp_ns, const uint8_t *line, size_t line_len);

/* Writes what was pushed into files and commits it. Never needed for safety. */
narvi_status narvi_flush(narvi_db *db);

/* Starts a LogQL log query over the lines from start_ns (inside) to end_ns (outside), newest first, or oldest first if
 * forward is not 0. At most limit lines; 0 is no limit. NULL on failure. */
narvi_rows *narvi_query(narvi_db *db, const char *query, int64_t start_ns, int64_t end_ns, uint64_t limit, int forward);

/* Gets the next row: NARVI_OK and the row, or NARVI_END after the last one. */
narvi_status narvi_next(narvi_rows *rows, narvi_row *row);

/* Ends a query, before or after its last row. NULL is fine. */
void narvi_rows_free(narvi_rows *rows);

/* Closes the database and frees it, also when it reports an error. Free all rows before. NULL is fine. */
narvi_status narvi_close(narvi_db *db);

/* Why the last call on this thread failed; "" if none did. Valid until the next call on this thread. */
const char *narvi_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
