#!/bin/bash
# Images for machines that reach no registry, made of the packages that this Debian or Ubuntu machine has installed:
# the same programs as outside of containers, in root file systems of their own. An image that is there is kept.
#
#   scripts/local-images.sh redis node s3
#
#   imagemill-local/redis   redis-server, started as in the image `redis`
#   imagemill-local/node    Node and npm of this machine on a small userland, in place of `node:22-bookworm-slim`
#   imagemill-local/s3      a Ceph RGW on port 8333 (memory only), in place of SeaweedFS; see scripts/rgw.sh
#
# Needs a Docker engine, and for `redis` and `s3` the packages redis-server; radosgw, ceph-mon and ceph-osd.
set -euo pipefail
# sort and comm must agree on an order.
export LC_ALL=C

here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

userland=(base-files bash dash coreutils findutils grep sed mawk gzip tar util-linux libc-bin libstdc++6)

# packages_with_dependencies PACKAGE…
packages_with_dependencies() {
  apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep -E '^[a-z0-9]' | sort -u >"$work/wanted"
  # Alternatives and virtual packages are among them.
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u |
    comm -12 "$work/wanted" -
}

# files_of PACKAGE…: the paths of their files. Nothing of /etc, where this machine's own settings and secrets are.
files_of() {
  # dpkg names files by where they were before /bin and /lib became links into /usr.
  packages_with_dependencies "$@" | xargs dpkg -L | grep '^/' | sort -u |
    grep -vE '^/(etc|boot|home|root|var|tmp|run|srv|proc|sys|dev)(/|$)|^/(bin|sbin|lib[0-9x]*)$|^/usr/share/(doc|man|info|locale|lintian)(/|$)' |
    sed -E 's#^/(bin|sbin|lib|lib32|lib64|libx32)/#/usr/\1/#' |
    while read -r path; do if [[ -h $path || -f $path ]]; then echo "${path#/}"; fi; done
}

# libraries_of BINARY…: what the loader would load for them
libraries_of() {
  ldd "$@" 2>/dev/null | grep -oE '/[^ )]+' | sort -u | while read -r path; do
    [[ $path == *: ]] || { echo "${path#/}"; readlink -f "$path" | cut -c2-; }
  done | sed -E 's#^(lib|lib64)/#usr/\1/#'
}

# import TAG STAGE LIST [CHANGE…]: an image of the listed files of this machine and of all that lies in STAGE
import() {
  local tag=$1 stage=$2 list=$3 change changes=()
  shift 3
  for change in 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@"; do
    changes+=(--change "$change")
  done
  mkdir -p "$stage"/{etc,proc,sys,dev,run,tmp,var/tmp,root}
  chmod 1777 "$stage"/tmp "$stage"/var/tmp
  ln -sfn ../usr/lib/os-release "$stage/etc/os-release"
  local link
  for link in bin sbin lib lib32 lib64 libx32; do
    if [[ -h /$link ]]; then ln -sfn "usr/$link" "$stage/$link"; fi
  done
  mkdir -p "$stage/usr/bin"
  ln -sfn mawk "$stage/usr/bin/awk"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$stage/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$stage/etc/group"
  sort -u "$list" -o "$list"
  tar -c -C / --no-recursion --verbatim-files-from -T "$list" --recursion -C "$stage" . |
    docker import "${changes[@]}" - "$tag" >/dev/null
}

redis_image() {
  local stage=$work/redis
  mkdir -p "$stage"/{data,usr/local/bin}
  chmod 1777 "$stage/data"
  files_of "${userland[@]}" redis-server redis-tools >"$work/redis.list"
  # As in the public image: bare flags are for redis-server, and a container's own network is trusted.
  cat >"$stage/usr/local/bin/docker-entrypoint.sh" <<'END'
#!/bin/sh
[ "${1#-}" = "$1" ] || set -- redis-server "$@"
[ "$1" != redis-server ] || set -- "$@" --protected-mode no
exec "$@"
END
  chmod 755 "$stage/usr/local/bin/docker-entrypoint.sh"
  import imagemill-local/redis "$stage" "$work/redis.list" 'WORKDIR /data' 'VOLUME /data' 'EXPOSE 6379' \
    'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["redis-server"]'
}

node_image() {
  local stage=$work/node node npm changes=('CMD ["node"]')
  node=$(readlink -f "$(command -v node)")
  npm=$(readlink -f "$(command -v npm)")
  npm=${npm%/bin/npm-cli.js}
  mkdir -p "$stage"/usr/local/{bin,lib/node_modules} "$stage"/etc/ssl/certs
  cp "$node" "$stage/usr/local/bin/node"
  cp -r "$npm" "$stage/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$stage/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$stage/usr/local/bin/npx"
  { files_of "${userland[@]}"; libraries_of "$node"; } >"$work/node.list"
  # Where this machine trusts authorities of its own (a proxy of its company), builds inside must trust them too.
  if [[ -f /etc/ssl/certs/ca-certificates.crt ]]; then
    cp /etc/ssl/certs/ca-certificates.crt "$stage/etc/ssl/certs/"
    changes+=('ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt')
  fi
  import imagemill-local/node "$stage" "$work/node.list" "${changes[@]}"
}

s3_image() {
  local stage=$work/s3
  mkdir -p "$stage/usr/local/bin"
  cp "$here/rgw.sh" "$stage/usr/local/bin/rgw.sh"
  files_of "${userland[@]}" radosgw ceph-mon ceph-osd >"$work/s3.list"
  import imagemill-local/s3 "$stage" "$work/s3.list" 'EXPOSE 8333' 'ENV RGW_HOST=0.0.0.0 RGW_PORT=8333' \
    'ENTRYPOINT ["rgw.sh"]'
}

# Two test files may ask for the same image at once.
exec 9>"${TMPDIR:-/tmp}/imagemill-local-images-$(id -u).lock"
flock 9
for name in "$@"; do
  case $name in redis | node | s3) ;; *) echo "local-images.sh: no image is called $name" >&2; exit 64 ;; esac
  docker image inspect "imagemill-local/$name" >/dev/null 2>&1 || "${name}_image"
done
