# shellcheck shell=bash
# What the demo's scripts share: which cluster they talk to, and how. Sourced, never run.
#
# Without KUBE_CONTEXT it is the demo's own cluster on this machine (e2e/cluster); with it, that context of the user's.

set -euo pipefail
ROOT=$(readlink -f "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..")
export CLUSTER_DIR=${CLUSTER_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/gantry/cluster}
KUBE_CONTEXT=${KUBE_CONTEXT:-}
# shellcheck disable=SC2034 # used by those who source this
SYSTEM=gantry-system NAMESPACE=gantry-demo

say() { echo "demo: $*"; }
die() { echo "demo: $*" >&2; exit 1; }

kubectl() {
	if [ "$KUBE_CONTEXT" ]; then command kubectl --context "$KUBE_CONTEXT" "$@"; else "$ROOT/e2e/cluster/in" kubectl "$@"; fi
}

helm() {
	local program
	program=$("$ROOT/e2e/cluster/build" helm)/helm
	if [ "$KUBE_CONTEXT" ]; then "$program" --kube-context "$KUBE_CONTEXT" "$@"; else "$ROOT/e2e/cluster/in" "$program" "$@"; fi
}

own_cluster_runs() { [ -e "$CLUSTER_DIR/pid" ] && [ -d "/proc/$(cat "$CLUSTER_DIR/pid")" ]; }

k() { kubectl -n "$NAMESPACE" "$@"; }

# fill FILE [RUN COUNT MODE]: a manifest with its words in capitals replaced. CLIENT is the image, ENDPOINT the NameServer.
fill() {
	sed "s|CLIENT_IMAGE|$CLIENT|; s|NAMESRV|$ENDPOINT|; s|RUN|${2:-}|; s|COUNT|${3:-}|; s|MODE|${4:-strict}|" "$ROOT/deploy/demo/$1"
}

# start_producer RUN COUNT [MODE]: lets the producer send.
start_producer() {
	fill producer.yaml "$@" | k apply -f - > /dev/null
	k wait --for=jsonpath='{.status.ready}'=1 "job/produce-$1" --timeout=60s > /dev/null 2>&1 || true # or it has ended by now
}

# produce RUN COUNT: lets the producer send, shows how far it is, and waits until it has sent all.
produce() {
	start_producer "$1" "$2"
	k logs -f "job/produce-$1" | sed -u 's/^run=[^ ]* /demo:   producer: /'
	k wait --for=condition=Complete "job/produce-$1" --timeout=10s > /dev/null || { say "not every message was acknowledged"; return 1; }
}

# received RUN: the consumer's last word on a run: "DIFFERENT DUPLICATES".
received() {
	k logs deployment/billing --tail=-1 | sed -n "s/^run=$1 received=\([0-9]*\) of=[0-9]* duplicates=\([0-9]*\)$/\1 \2/p" | tail -n 1
}
