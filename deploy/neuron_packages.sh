#!/usr/bin/env bash
# Install the packages of AWS Neuron on Ubuntu, as root: runtime, collectives and tools; with
# --driver the kernel module too (never in a container: the driver is the host's). After
# https://awsdocs-neuron.readthedocs-hosted.com/en/v2.33.1/torch/get-started/quickstart-torch-neuron.html
# and .../en/v2.33.0/neuron-runtime/nrt-troubleshoot.html (read 2026-11-23).
if [ -z "${BASH_VERSION:-}" ]; then
    exec bash "$0" "$@"
fi
set -euo pipefail

REPOSITORY=https://apt.repos.neuron.amazonaws.com
KEYRING=/usr/share/keyrings/neuron-archive-keyring.gpg
SOURCES=/etc/apt/sources.list.d/neuron.list

driver=0 dry_run=0
for option in "$@"; do
    case $option in
        --driver) driver=1 ;;
        --dry-run) dry_run=1 ;;
        *) echo "neuron_packages: unknown option '$option'; known: --driver, --dry-run" >&2; exit 4 ;;
    esac
done

run() {
    printf '+ %s\n' "$*"
    [ "$dry_run" = 1 ] || "$@"
}

install_packages() {
    run env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

add_key() {
    curl --fail --silent --show-error --location "$REPOSITORY/GPG-PUB-KEY-AMAZON-AWS-NEURON.PUB" |
        gpg --batch --yes --dearmor --output "$KEYRING"
}

add_repository() { # CODENAME
    printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$REPOSITORY" "$1" > "$SOURCES"
}

# What was loaded before stays loaded after an update, and the runtime refuses it.
reload_driver() {
    if [ -d /sys/module/neuron ]; then
        run rmmod neuron
    fi
    run modprobe neuron
}

# shellcheck source=/dev/null
. "${OS_RELEASE:-/etc/os-release}"
if [ "${ID:-}" != ubuntu ]; then
    echo "neuron_packages: this is ${PRETTY_NAME:-an unknown system}; wanted Ubuntu 24.04 or 26.04 (Amazon Linux 2023 has a glibc too old for PyTorch 2.9)" >&2
    exit 2
fi

run apt-get update
install_packages ca-certificates curl gnupg g++ python3-dev python3-venv
run add_key
run add_repository "$VERSION_CODENAME"
run apt-get update
if [ "$driver" = 1 ]; then
    install_packages "linux-headers-$(uname -r)" aws-neuronx-dkms
    reload_driver
fi
install_packages aws-neuronx-runtime-lib aws-neuronx-collectives aws-neuronx-tools
