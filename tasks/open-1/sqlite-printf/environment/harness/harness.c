/* Runs the file as SQL over an empty database in memory. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static int steps;

static int too_long(void *unused)
{
    return ++steps > 200;
}

static int on_row(void *unused, int columns, char **values, char **names)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sqlite3 *db = NULL;
    if (size > 16384 || sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 0;
    sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 25000);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 100000);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_hard_heap_limit64(20000000);
    steps = 0;
    sqlite3_progress_handler(db, 100, too_long, NULL);

    char *sql = malloc(size + 1);
    memcpy(sql, data, size);
    sql[size] = 0;
    sqlite3_exec(db, sql, on_row, NULL, NULL);
    free(sql);
    sqlite3_close(db);
    return 0;
}
