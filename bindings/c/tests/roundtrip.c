/* Pushes, queries, closes and opens again, and looks at what goes wrong. Exits with 0 when all is as it should be. */
#include <narvi.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            fprintf(stderr, "line %d: %s failed: %s\n", __LINE__, #condition, narvi_last_error());           \
            return 1;                                                                                         \
        }                                                                                                     \
    } while (0)

static int count(narvi_db *db, const char *query, int expected) {
    narvi_rows *rows = narvi_query(db, query, 0, INT64_MAX, 0, 1);
    narvi_row row;
    int n = 0;
    CHECK(rows != NULL);
    while (narvi_next(rows, &row) == NARVI_OK) {
        CHECK(row.timestamp_ns == 1000 + n);
        CHECK(strcmp(row.labels, "{app=\"c\"}") == 0);
        CHECK(row.line_len == 6 && memcmp(row.line, "line ", 5) == 0 && row.line[5] == '0' + n);
        n++;
    }
    CHECK(strlen(narvi_last_error()) == 0);
    narvi_rows_free(rows);
    CHECK(n == expected);
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    narvi_db *db = narvi_open(argv[1]);
    CHECK(db != NULL);
    for (int n = 0; n < 5; n++) {
        char line[16];
        int len = snprintf(line, sizeof line, "line %d", n);
        CHECK(narvi_push(db, "{app=\"c\"}", 1000 + n, (const uint8_t *)line, (size_t)len) == NARVI_OK);
    }
    if (count(db, "{app=\"c\"}", 5)) return 1;
    CHECK(narvi_flush(db) == NARVI_OK);
    if (count(db, "{app=\"c\"} |= \"line\"", 5)) return 1;

    CHECK(narvi_push(db, "{}", 1, NULL, 0) == NARVI_INVALID || narvi_push(db, "{}", 1, NULL, 0) == NARVI_QUERY);
    CHECK(strlen(narvi_last_error()) > 0);
    CHECK(narvi_push(db, NULL, 1, NULL, 0) == NARVI_INVALID);
    CHECK(narvi_query(db, "{app=", 0, 1, 0, 0) == NULL);
    CHECK(strstr(narvi_last_error(), "parse error") != NULL);
    CHECK(narvi_open(argv[1]) == NULL); /* it is open already */
    CHECK(strlen(narvi_last_error()) > 0);

    CHECK(narvi_close(db) == NARVI_OK);
    db = narvi_open(argv[1]);
    CHECK(db != NULL);
    if (count(db, "{app=\"c\"}", 5)) return 1;
    CHECK(narvi_close(db) == NARVI_OK);
    CHECK(narvi_close(NULL) == NARVI_OK);
    narvi_rows_free(NULL);
    puts("ok");
    return 0;
}
