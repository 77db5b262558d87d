#!/bin/bash
# A Docker engine for tests. Prints `ready` once one answers, and holds it until standard input ends or a signal comes,
# so that it cannot outlive whoever holds the other end. An engine that answers already is used as it is. Where none
# does, one is started, which needs root, dockerd and iptables but no systemd; whoever uses it last stops it, and removes
# what tests may have left on it. Ends with 69 where no engine can be had.
#
#   scripts/docker-engine.sh            in a terminal: end it with Ctrl-D
#
# Needs: apt-get install --no-install-recommends docker.io iptables
set -euo pipefail

start_seconds=${DOCKER_START_SECONDS:-30}
# Shared by all checkouts of this machine, since the engine is.
dir=${DOCKER_ENGINE_DIR:-/tmp/imagemill-docker-$(id -u)}

# `docker info` succeeds without an engine in some versions.
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

unavailable() {
  echo "docker-engine.sh: $1" >&2
  exit 69
}

for tool in docker flock setsid; do command -v "$tool" >/dev/null || unavailable "needs $tool"; done
mkdir -p "$dir"
# Everyone who uses the engine shares the lock `users`; whoever may start or stop it holds `turn`.
exec 8>"$dir/turn" 9>"$dir/users"

is_ours() {
  [[ -f $dir/pid && $(cat "/proc/$(cat "$dir/pid")/comm" 2>/dev/null) == dockerd ]]
}

start() {
  [[ -z ${DOCKER_HOST:-} ]] || unavailable "no engine answers at $DOCKER_HOST, which DOCKER_HOST names"
  [[ $(id -u) == 0 ]] || unavailable 'no engine answers, and only root can start one'
  local tool pid deadline=$((SECONDS + start_seconds))
  for tool in dockerd iptables; do command -v "$tool" >/dev/null || unavailable "needs $tool"; done
  # Limits on open files are inherited by every container. The locks must not be: the engine outlives this script.
  (
    ulimit -n 1048576 2>/dev/null || true
    exec setsid dockerd >"$dir/dockerd.log" 2>&1 </dev/null 8>&- 9>&-
  ) &
  pid=$!
  echo "$pid" >"$dir/pid"
  until answers; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
      stop
      tail -n 5 "$dir/dockerd.log" >&2
      unavailable "dockerd does not start within $start_seconds s"
    fi
    sleep 0.1
  done
}

# Tests remove what they make; those that were killed could not.
remove_leftovers() {
  {
    docker ps -aq --filter label=org.testcontainers=true
    docker ps -aq --filter name=imagemill-test
  } | sort -u | xargs -r docker rm -f -v
  docker volume ls -q --filter name=imagemill-test | xargs -r docker volume rm -f
  docker network ls -q --filter name=imagemill-test | xargs -r docker network rm
  # Of older states of the sources; the newest make the next build short.
  docker image prune -f --filter label=org.imagemill.stage --filter until=24h
}

stop() {
  local pid
  pid=$(cat "$dir/pid")
  rm -f "$dir/pid"
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 200); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

leave() {
  trap - EXIT INT TERM HUP
  flock 8
  if flock -n -x 9 && is_ours; then
    remove_leftovers >/dev/null 2>&1 || true
    stop
  fi
}

flock 8
answers || start
flock -s 9
flock -u 8
trap leave EXIT
trap 'exit 130' INT TERM HUP

echo ready
while read -r _; do :; done
