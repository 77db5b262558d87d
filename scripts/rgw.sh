#!/bin/bash
# A real S3 server for tests: Ceph RGW with one monitor and one in-memory OSD, as plain processes on 127.0.0.1.
# Prints one line of JSON (endpoint, accessKey, secretKey) once it answers, and runs until its standard input ends
# or it gets a signal; then it stops the processes and removes their folder. So it cannot outlive whoever holds the
# other end of its standard input.
#
#   scripts/rgw.sh            in a terminal: end it with Ctrl-D
#   RGW_PORT=8000 RGW_ACCESS_KEY=… RGW_SECRET_KEY=… scripts/rgw.sh
#
# Needs: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd
set -euo pipefail

host=${RGW_HOST:-127.0.0.1}
access_key=${RGW_ACCESS_KEY:-testaccess}
secret_key=${RGW_SECRET_KEY:-testsecretkey}
start_seconds=${RGW_START_SECONDS:-45}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 12000))
    if ! port_answers "$port"; then
      echo "$port"
      return
    fi
  done
  echo 'rgw.sh: no free port found' >&2
  return 1
}

for tool in radosgw radosgw-admin ceph ceph-mon ceph-osd monmaptool; do
  command -v "$tool" >/dev/null || { echo "rgw.sh: needs $tool" >&2; exit 69; }
done

port=${RGW_PORT:-$(free_port)}
mon_port=$(free_port)
# Short, since the daemons' sockets live in it and their paths are limited to 107 bytes.
dir=$(mktemp -d /tmp/rgw-XXXXXX)
conf=$dir/ceph.conf
daemons=()

cleanup() {
  trap - EXIT INT TERM HUP
  ((${#daemons[@]})) && kill -9 "${daemons[@]}" 2>/dev/null
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

fail() {
  echo "rgw.sh: $1" >&2
  tail -n 20 "$dir"/log/* >&2 2>/dev/null || true
  exit 1
}

# daemon NAME COMMAND…: starts it detached from the terminal's signals
daemon() {
  local name=$1
  shift
  "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
  daemons+=($!)
}

deadline=$((SECONDS + start_seconds))
# until_ready WHAT COMMAND…
until_ready() {
  local what=$1 pid
  shift
  until "$@" >/dev/null 2>&1; do
    for pid in "${daemons[@]}"; do kill -0 "$pid" 2>/dev/null || fail "a daemon died before $what"; done
    ((SECONDS < deadline)) || fail "no $what within $start_seconds s"
    sleep 0.1
  done
}

mkdir -p "$dir"/{mon,osd,run,log}
fsid=$(cat /proc/sys/kernel/random/uuid)
osd_uuid=$(cat /proc/sys/kernel/random/uuid)
cat >"$conf" <<END
[global]
fsid = $fsid
mon_host = [v2:127.0.0.1:$mon_port/0]
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
log_file = $dir/log/\$name.log
pid_file = $dir/run/\$name.pid
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 2
osd_pool_default_pgp_num = 2
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
mon_tick_interval = 1
ms_bind_msgr1 = false
ms_mon_client_mode = crc secure
setuser_match_path =
[mon]
mon_data = $dir/mon
mon_data_avail_warn = 1
mon_data_avail_crit = 0
mon_osd_min_down_reporters = 1
[osd]
osd_data = $dir/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_memory_target = 939524096
[client]
rgw_frontends = beast endpoint=$host:$port tcp_nodelay=1
rgw_dns_name = localhost
rgw_run_sync_thread = false
rgw_enable_usage_log = false
rgw_gc_max_objs = 7
rgw_gc_obj_min_wait = 20
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
rgw_lc_max_objs = 3
rgw_objexp_hints_num_shards = 3
rgw_data_log_num_shards = 2
rgw_usage_max_shards = 2
rgw_num_control_oids = 1
rgw_thread_pool_size = 32
rgw_override_bucket_index_max_shards = 1
rgw_multipart_min_part_size = 5242880
END

monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap" >/dev/null
ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" >/dev/null
daemon mon ceph-mon -c "$conf" -i a -f
until_ready 'monitor' timeout 20 ceph -c "$conf" osd new "$osd_uuid" 0
ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_uuid" >"$dir/log/osd-mkfs.out" 2>&1 || fail 'no OSD'
daemon osd ceph-osd -c "$conf" -i 0 -f --osd-uuid "$osd_uuid"
# The gateway waits for the OSD by itself while it makes its pools.
daemon rgw radosgw -c "$conf" -n client.rgw -f
until_ready 'gateway' port_answers "$port"
until_ready 'user' radosgw-admin -c "$conf" user create --uid=test --display-name=test \
  --access-key="$access_key" --secret="$secret_key"

printf '{"endpoint":"http://127.0.0.1:%s","accessKey":"%s","secretKey":"%s"}\n' "$port" "$access_key" "$secret_key"
while read -r _; do :; done
