# shellcheck shell=bash
# What the cluster's scripts share: messages, waiting, folders, packages, cgroups. Sourced, never run.
#
# CLUSTER_DIR names the cluster: its whole state is in that folder, and its cgroup is named after it. Clusters of
# different folders run side by side.

set -euo pipefail
# shellcheck disable=SC2034 # used by those who source this
HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry
CLUSTER_DIR=$(readlink -m "${CLUSTER_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/gantry/cluster}")

say() { echo "cluster: $*" >&2; }
die() { say "$@"; exit 1; }

# PATIENCE multiplies every wait: for slow machines.
PATIENCE=${PATIENCE:-1}

# until_ok SECONDS COMMAND...: tries until it succeeds.
until_ok() {
	local end=$((SECONDS + $1 * PATIENCE)); shift
	until "$@" > /dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# alive PID...: whether one of them runs.
alive() {
	local p
	for p; do [ ! -d "/proc/$p" ] || return 0; done
	return 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "a node needs root: it makes namespaces, mounts and cgroups. (\`light\`, the API server alone, does not.)"
}

# need PACKAGE=PROGRAM...: installs the Debian packages whose programs (names or paths) are missing, and says so.
need() {
	local missing=() pair
	for pair; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair#*=}" > /dev/null || missing+=("${pair%%=*}")
	done
	[ ${#missing[@]} != 0 ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
		die "missing; please install (Debian's names): ${missing[*]}"
	fi
	say "installing packages: ${missing[*]}"
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } > "/tmp/gantry-apt.$$" 2>&1 \
		|| { tail -n 20 "/tmp/gantry-apt.$$" >&2; rm -f "/tmp/gantry-apt.$$"; die "apt-get could not install ${missing[*]}"; }
	rm -f "/tmp/gantry-apt.$$"
	# The cluster runs its own containerd; Debian's package also starts one for the machine, which nobody asked for.
	if [[ " ${missing[*]} " = *" containerd "* ]] && [ -d /run/systemd/system ]; then
		systemctl disable --now containerd.service > /dev/null 2>&1 || true
	fi
}

cluster_id() { echo "gantry-$(sha256sum <<< "$CLUSTER_DIR" | head -c 8)"; }

cgroup_version() { if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then echo 2; else echo 1; fi; }

# The folders to make a group in: each hierarchy's of version 1, or the one of version 2.
cgroup_roots() {
	if [ "$(cgroup_version)" = 2 ]; then echo /sys/fs/cgroup; return; fi
	local c
	for c in /sys/fs/cgroup/*/; do
		c=${c%/}
		[ -L "$c" ] || [ "$c" = /sys/fs/cgroup/unified ] || echo "$c"
	done
}

# move_processes FROM TO: moves what can be moved; the kernel's own threads stay.
move_processes() {
	local p
	while read -r p; do echo "$p" > "$2/cgroup.procs" 2> /dev/null || true; done < "$1/cgroup.procs"
}

# first_child PID: the number, on this machine, of a process's first child.
first_child() {
	local child rest
	read -r child rest < "/proc/$1/task/$1/children" || true # the file ends without a newline
	echo "$child"
}

# node_pid N: the number, on this machine, of process 1 of node N's namespaces.
node_pid() {
	local control child children
	control=$(first_child "$(cat "$CLUSTER_DIR/pid")")
	[ "$1" != 1 ] || { echo "$control"; return; }
	read -ra children < "/proc/$control/task/$control/children" || true
	for child in "${children[@]}"; do
		[[ "$(tr '\0' ' ' < "/proc/$child/cmdline")" != unshare*"/node $1 "* ]] || first_child "$child"
	done
}
