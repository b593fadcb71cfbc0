// The server: its clients, and the snapshot.
#ifndef KV_SERVER_H
#define KV_SERVER_H

#include "resp.h"

// clients_add counts a connection, until clients_remove.
void clients_add(struct conn *c);
void clients_remove(struct conn *c);

// server_settings are for INFO and SAVE. `snapshot` may be NULL.
void server_settings(const char *address, int workers, const char *snapshot);

// snapshot_save replaces the file by commands that rebuild the table; a crash leaves
// the old file or the new one. snapshot_load runs the commands; a missing file means an
// empty table. Both are for tasks.
// Returns: 0; a negative error.
int snapshot_save(const char *path);
int snapshot_load(const char *path);

#endif
