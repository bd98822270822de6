#!/bin/bash
# Starts prefd on this machine with the sample data, says what to try next, and
# stays until Ctrl-C. `make run` builds first and calls this.
#   BUILD   where the binary lies (build)
#   PORT    the first port to try (8420)
#   DATA    the data folder (prefd-data)
set -euo pipefail
cd "$(dirname "$0")/.."

prefd=${BUILD:-build}/prefd
port=${PORT:-8420}
data=${DATA:-prefd-data}
first=$port

taken() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

while taken "$port"; do
	port=$((port + 1))
	if [ "$port" -gt $((first + 50)) ]; then
		echo "No free port from $first to $port." >&2
		exit 1
	fi
done
[ "$port" -eq "$first" ] || echo "Port $first is taken, so this one listens on $port."

base=http://127.0.0.1:$port
# A session of its own: Ctrl-C reaches this script alone, which passes on one signal.
setsid "$prefd" serve --listen "127.0.0.1:$port" --data "$data" &
pid=$!
# However this script ends: SIGTERM lets requests under way finish.
stop() {
	local failed=$1 status
	trap '' INT TERM HUP EXIT
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" && status=0 || status=$?
	exit $((failed ? failed : status))
}
trap 'stop $?' EXIT
trap 'stop 0' INT TERM HUP

# The lock is the daemon's: one for each data folder.
not_started() {
	echo "prefd did not start." >&2
	[ ! -f "$data/lock" ] || flock -n "$data/lock" true ||
		echo "Another prefd holds the data folder $data: use DATA=other make run." >&2
	exit 1
}

for _ in $(seq 300); do
	kill -0 "$pid" 2>/dev/null || not_started
	curl -sf -o /dev/null "$base/readyz" && break
	sleep 0.2
done
curl -sf -o /dev/null "$base/readyz" || { echo "prefd is not ready after a minute." >&2; exit 1; }

"$prefd" import --server "$base" --dataset sample \
	--attribute overall=1:10 --attribute correctness=0:1 --attribute brevity=1:5 \
	schema/sample/sample.ndjson || { echo "The sample was not imported." >&2; exit 1; }

cat <<END

prefd runs at $base with the dataset "sample" in $data. Try, in another terminal:

# 1. a judge posts a score
curl -X POST '$base/v1/datasets/sample/scores' -H 'Content-Type: application/json' -d '{"response": "arithmetic-000.terse", "judge": "me", "value": 7}'

# 2. make a snapshot, and wait until it is ready
curl -X POST '$base/v1/datasets/sample/snapshots?wait=30' -H 'Content-Type: application/json' -d '{"name": "first", "recipe": {}}'

# 3. fetch a batch for the trainer
curl '$base/v1/snapshots/first/batch?batch_size=2'

The dashboard: $base/        Ctrl-C stops.
END
wait "$pid"
