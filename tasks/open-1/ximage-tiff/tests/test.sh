#!/bin/sh
# The verifier is `proofhouse oracle check`, on the host and outside the agent's box: it runs the submission against the vulnerable and the
# fixed build in fresh boxes. This script only calls it where a Harbor runner has the program at hand.
set -eu
if ! command -v proofhouse >/dev/null 2>&1; then
	echo "proofhouse is not installed here; verify with: proofhouse oracle check open-1/ximage-tiff POC" >&2
	exit 2
fi
exec proofhouse oracle check open-1/ximage-tiff "${1:-/out/poc}"
