#!/usr/bin/env bash
# From the model of wine.sh to a server that is watched: an image, manifests, a container, predictions, drift, an alert.
# Usage: deploy.sh FOLDER [BASE], FOLDER as wine.sh left it, BASE the image to build on, else the official one of Python.
# Needs a Docker engine and Prometheus. PORT is where the model is served, PROMETHEUS the port of Prometheus.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
base=() && [ -n "${2:-}" ] && base=(--base "$2")
port=${PORT:-8080} prometheus=${PROMETHEUS:-9090}
served=http://127.0.0.1:$port seen=http://127.0.0.1:$prometheus
export DSVC_USER_NAME=${DSVC_USER_NAME:-Ada Keller} DSVC_USER_EMAIL=${DSVC_USER_EMAIL:-ada@example.com}

bold='' plain=''
[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
step() { printf '\n$ %s\n' "$*"; "$@"; }
until_said() { # TEXT FILE: wait until a line has the text, two minutes at most
    for _ in $(seq 600); do grep -q "$1" "$2" && return; sleep 0.2; done
    echo "nobody said '$1':" >&2 && cat "$2" >&2 && exit 1
}
until_seen() { # GATE: wait until what Prometheus has seen meets it
    for _ in $(seq 120); do dsvc monitor status wine-docker --prometheus "$seen" --gate "$1" > /dev/null && return; sleep 0.5; done
    echo "Prometheus has not seen $1" >&2 && exit 1
}
watching=''
end() {
    [ -z "$watching" ] || { kill "$watching" 2> /dev/null && wait "$watching" || true; }
    dsvc deploy rm -q wine-docker 2> /dev/null || true
}
trap end EXIT

say 'The model, and what its training data looked like'
step dsvc model add wine model.pkl --profile train-features.csv --no-header --target x6 --stage prod

say 'For a cluster: manifests, for GitOps'
step dsvc deploy wine@prod --to manifest --name wine "${base[@]}" --env DSVC_SERVE_ALLOW_PICKLE=1

say 'Here: a container'
step dsvc deploy wine@prod --to docker --name wine-docker "${base[@]}" --port "$port" --env DSVC_SERVE_ALLOW_PICKLE=1 --wait
step dsvc verify "$served"

say 'Watched'
dsvc monitor up wine-docker --interval 1 --port "$prometheus" --alertmanager-port 0 --grafana-port 0 > watch.log 2>&1 &
watching=$!
until_said ' scraped ' watch.log
step python "$here/ask.py" "$served"
until_seen 'samples >= 300'
step dsvc monitor status wine-docker --prometheus "$seen" --gate 'errors < 0.01'

say 'A hot summer: all wines are stronger than those of the training'
step python "$here/ask.py" "$served" --stronger
until_said DsvcDrift watch.log
step cat watch.log
step dsvc monitor status wine-docker --prometheus "$seen" --gate 'psi < 0.2' || echo "exit code $?"
