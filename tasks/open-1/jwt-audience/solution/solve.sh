#!/bin/sh
# The reference submission, as an agent would hand it in.
set -eu
cp "$(dirname "$0")/poc" /out/poc
