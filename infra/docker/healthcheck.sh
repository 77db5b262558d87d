#!/bin/sh
# Succeeds where a worker wrote its --health-file within the last 30 seconds.
#   healthcheck.sh FILE
written=$(stat -c %Y "$1" 2>/dev/null) || { echo "$1 is not there" >&2; exit 1; }
age=$(($(date +%s) - written))
[ "$age" -le 30 ] || { echo "$1 was last written $age s ago" >&2; exit 1; }
