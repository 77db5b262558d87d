#!/bin/sh
# Starts Redis for imagemill: durable to the second, never evicting a job, and with one user, who may do with the keys of
# imagemill what a queue needs and nothing to the server. In an access list rather than in arguments, since those are
# for everyone to see; and as a digest, since a password may hold any character.
set -eu
digest=$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)
umask 077
cat >/tmp/users.acl <<END
user default reset off
user imagemill reset on #$digest ~imagemill:* &* -@all +@read +@write +@scripting +@connection +@transaction +@blocking -@dangerous +info +client|list +client|setname
END
exec redis-server --aclfile /tmp/users.acl --dir /data --save '' --appendonly yes --appendfsync everysec \
  --maxmemory "${REDIS_MAXMEMORY:-768mb}" --maxmemory-policy noeviction
