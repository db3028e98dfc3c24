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
