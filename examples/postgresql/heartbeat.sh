#!/bin/sh
# Writes a heartbeat row of SOURCE every INTERVAL seconds (10 if unset), with a connection of its own each time. PGHOST,
# PGDATABASE and the other variables of psql say where.
set -u
export PGCONNECT_TIMEOUT=5
while :; do
    echo "CALL beat(:'source')" | psql --no-psqlrc --quiet --set "source=$SOURCE"
    sleep "${INTERVAL:-10}"
done
