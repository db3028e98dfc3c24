# shellcheck shell=bash
# Sourced by the scripts that run inside the cluster's namespaces.

# start LOGS PROGRAM ARGUMENT...: runs a program in the background, and notes in /mnt/ended when it ends.
start() {
	local log=$1/$2.log; shift
	{ "$@" > "/mnt/$log" 2>&1 || true; echo "$log" >> /mnt/ended; } &
}
