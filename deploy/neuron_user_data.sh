#!/bin/sh
# User data of an EC2 instance with Ubuntu 24.04 or 26.04, or a script for Systems Manager: measure
# once, keep the results in /var/lib/trnbench, and switch the machine off where that is wanted.
# Both run this as root under /bin/sh, without HOME. Log: /var/log/trnbench.log.
set -eu

REPOSITORY=${REPOSITORY:-https://example.com/trnbench.git} # yours
REVISION=${REVISION:-main}
ROOT=${ROOT:-/var/lib/trnbench}
LOG=${LOG:-/var/log/trnbench.log}
SWITCH_OFF=${SWITCH_OFF:-no} # yes: an instance that terminates on shutdown is gone then
export TRNBENCH_BACKEND="${TRNBENCH_BACKEND:-neuron}"       # neuron-xla on Trn1 and Inf2
export TRNBENCH_DEVICE="${TRNBENCH_DEVICE:-trainium2}"      # trainium1, inferentia2, trainium3
export TRNBENCH_OUT="$ROOT/runs"
export HOME="${HOME:-/root}"

measure() {
    apt-get update
    apt-get install --yes git
    mkdir -p "$ROOT"
    if [ ! -d "$ROOT/checkout" ]; then
        git clone --depth 1 --branch "$REVISION" "$REPOSITORY" "$ROOT/checkout"
    fi
    # Deep Learning AMIs have the driver; a plain Ubuntu has not.
    if [ ! -e /dev/neuron0 ]; then
        bash "$ROOT/checkout/deploy/neuron_packages.sh" --driver
    fi
    bash "$ROOT/checkout/deploy/neuron_ci.sh"
}

# In a subshell of its own, so that -e still ends it at the first failure.
set +e
(set -e; measure) > "$LOG" 2>&1
code=$?
echo "trnbench: code $code; see $LOG and $ROOT/runs"
if [ "$SWITCH_OFF" = yes ]; then
    shutdown -h now
fi
exit "$code"
