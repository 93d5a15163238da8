#!/usr/bin/env bash
# Measure on a Trainium or Inferentia machine that nobody watches, and fail unless the run is what
# it was meant to be. The workflow, the Slurm job, the EKS job and the user data all call this.
#
# Systems Manager and cloud-init start things with /bin/sh and without HOME: under another shell
# this starts itself again under bash, and gives HOME a folder.
if [ -z "${BASH_VERSION:-}" ]; then
    exec bash "$0" "$@"
fi
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: deploy/neuron_ci.sh [OPTION]... [-- ARGUMENT_OF_TRNBENCH_RUN...]

  --backend NAME       neuron (native: Trn2, Trn3), neuron-xla (Trn1, Inf2), or another [neuron]
  --torch VERSION      family of torch-neuronx to install: 2.14 or 2.13 (native), 2.9 (XLA)
  --requirement SPEC   install this in place of the family's own list; may be repeated
  --environment DIR    virtual environment: taken where there is one, else made [.venv-neuron]
  --environment active take the environment of the python that is first on PATH; install nothing
  --install-only       make the environment and stop
  --python PYTHON      what a new environment is made with [python3.12, else python3]
  --preset NAME        quick, standard or full [quick]
  --device NAME        the device's chip, instance type, or words of its name
  --least-ok COUNT     cases that must be OK [1]
  --allow-simulated    let a stand-in for hardware pass
  --strict             fail as well where any case ended other than OK, UNSUPPORTED or SKIPPED
  --label TEXT         label of the run [neuron_ci]
  --out DIR            folder for this and later runs; each gets one of its own [results/runs/neuron_ci]
  --help               print this

Each option can come from the environment too: TRNBENCH_BACKEND, TRNBENCH_TORCH,
TRNBENCH_ENVIRONMENT, TRNBENCH_PYTHON, TRNBENCH_PRESET, TRNBENCH_DEVICE, TRNBENCH_LEAST_OK,
TRNBENCH_LABEL, TRNBENCH_OUT; and as 1: TRNBENCH_ALLOW_SIMULATED, TRNBENCH_STRICT.

Exit codes: 0 the run is what was asked for; 1 it is not; 2 nothing could be installed or measured;
4 a wrong option.
TEXT
}

NEURON_INDEX=https://pip.repos.neuron.amazonaws.com
TORCH_INDEX=https://download.pytorch.org/whl/cpu
NEURON_TOOLS=/opt/aws/neuron/bin

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
backend=${TRNBENCH_BACKEND:-neuron}
torch=${TRNBENCH_TORCH:-}
environment=${TRNBENCH_ENVIRONMENT:-${RUNNER_TEMP:-$root}/.venv-neuron}
python=${TRNBENCH_PYTHON:-}
preset=${TRNBENCH_PRESET:-quick}
device=${TRNBENCH_DEVICE:-}
least_ok=${TRNBENCH_LEAST_OK:-1}
allow_simulated=${TRNBENCH_ALLOW_SIMULATED:-0}
strict=${TRNBENCH_STRICT:-0}
install_only=0
label=${TRNBENCH_LABEL:-neuron_ci}
out=${TRNBENCH_OUT:-$root/results/runs/neuron_ci}
requirements=()
run_arguments=()

step() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }
note() { printf 'neuron_ci: %s\n' "$1" >&2; }
fail() { # CODE MESSAGE
    note "$2"
    exit "$1"
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) usage; exit 0 ;;
            --allow-simulated) allow_simulated=1; shift; continue ;;
            --strict) strict=1; shift; continue ;;
            --install-only) install_only=1; shift; continue ;;
            --) shift; run_arguments=("$@"); return ;;
        esac
        [ $# -ge 2 ] || fail 4 "$1 was given without a value, or isn't known; see --help"
        case $1 in
            --backend) backend=$2 ;;
            --torch) torch=$2 ;;
            --requirement) requirements+=("$2") ;;
            --environment) environment=$2 ;;
            --python) python=$2 ;;
            --preset) preset=$2 ;;
            --device)
                [ -n "$2" ] || fail 4 "--device '' given; wanted a chip, an instance type or words of the device's name: name one, or leave --device out"
                device=$2 ;;
            --least-ok) least_ok=$2 ;;
            --label) label=$2 ;;
            --out) out=$2 ;;
            *) fail 4 "unknown option '$1'; see --help" ;;
        esac
        shift 2
    done
}

# Compilers and tools write below HOME, and some stop where there is none.
prepare_home() {
    if [ ! -d "${HOME:-}" ] || [ ! -w "$HOME" ]; then
        note "HOME ('${HOME:-}') is no folder that can be written; taking a temporary one"
        HOME=$(mktemp -d)
        export HOME
    fi
}

# The XLA plugin looks for a program of the environment on PATH, and the Neuron tools call each
# other by name.
prepare_path() {
    if [ "$environment" != active ]; then
        PATH=$environment/bin:$PATH
    fi
    case :$PATH: in
        *:"$NEURON_TOOLS":*) ;;
        *) PATH=$PATH:$NEURON_TOOLS ;;
    esac
    export PATH
}

# The versions of SDK 2.33 (native) and of SDK 2.31, the last with the XLA stack. An unbounded
# name could be met by the empty package that holds its place on the general index.
choose_requirements() {
    case $backend in
        neuron) extra='[neuron]' torch=${torch:-2.14} ;;
        neuron-xla) extra='[neuron-xla]' torch=${torch:-2.9} ;;
        *) extra='' ;;
    esac
    case $backend:$torch in
        neuron:2.13 | neuron:2.14 | neuron-xla:2.9) ;;
        neuron:* | neuron-xla:*)
            fail 4 "torch-neuronx $torch is not for backend '$backend'; wanted 2.13 or 2.14 for neuron, 2.9 for neuron-xla" ;;
    esac
    if [ ${#requirements[@]} -eq 0 ]; then
        case $backend in
            neuron) requirements=("torch-neuronx==$torch.*" 'neuronx-cc==2.*' 'nki>=0.7') ;;
            neuron-xla) requirements=('torch-neuronx==2.9.0.2.15.32035' 'neuronx-cc==2.26.6360.0') ;;
        esac
    fi
    requirements+=('numpy!=2.1.*')
}

# Two families, or both stacks, in one environment leave neither in order.
refuse_another_stack() {
    local there
    there=$("$environment/bin/python" -c '
from importlib import metadata
print(*(d.version for d in metadata.distributions(name="torch-neuronx")))')
    case $there in
        '') ;;
        "$torch" | "$torch".*) ;;
        *) fail 2 "$environment holds torch-neuronx $there, and ${torch:-none} was asked for; name another folder with --environment" ;;
    esac
}

make_environment() {
    if [ -x "$environment/bin/python" ]; then
        [ -z "$extra" ] || refuse_another_stack
    else
        if [ -z "$python" ]; then
            python=$(command -v python3.12 || command -v python3) ||
                fail 2 'no python3 on PATH; install python3 and python3-venv, or name one with --python'
        fi
        note "making $environment with $("$python" --version 2>&1)"
        "$python" -m venv "$environment" ||
            fail 2 "can't make an environment in $environment; on Ubuntu: apt-get install python3-venv"
    fi
    # The second index has PyTorch without CUDA, a tenth of the size.
    "$environment/bin/python" -m pip install --disable-pip-version-check \
        ${extra:+--extra-index-url "$NEURON_INDEX"} --extra-index-url "$TORCH_INDEX" \
        "$root$extra" "${requirements[@]}" ||
        fail 2 "the installation failed; see what pip says above, and docs/install"
}

run_file() { # DIR: the run's records, or nothing
    find "$1" -maxdepth 1 -name '*.jsonl' -print -quit
}

say_output() { # NAME VALUE: for later steps of a workflow
    if [ -n "${GITHUB_OUTPUT:-}" ]; then
        printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
    fi
}

write_summary() { # VERDICT
    local fence='```'
    {
        printf '## trnbench, backend %s: %s\n\n' "$backend" "$1"
        printf '%stext\n%s\n%s\n\n' "$fence" "$(cat "$run_folder/check.txt")" "$fence"
        if [ -n "$records" ]; then
            printf '<details><summary>the run</summary>\n\n%stext\n' "$fence"
            COLUMNS=160 trnbench show "$records" 2>&1 || true
            printf '%s\n\n</details>\n\n' "$fence"
        fi
        printf '<details><summary>trnbench doctor</summary>\n\n%stext\n' "$fence"
        cat "$run_folder/doctor.txt"
        printf '%s\n\n</details>\n' "$fence"
    } > "$run_folder/summary.md"
    if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
        cat "$run_folder/summary.md" >> "$GITHUB_STEP_SUMMARY"
    fi
}

read_options "$@"
prepare_home
prepare_path

if [ "$environment" = active ]; then
    command -v trnbench > /dev/null ||
        fail 2 "no trnbench on PATH; install it in the active environment, or leave out --environment active"
else
    step 'install'
    choose_requirements
    make_environment
fi
[ "$install_only" != 1 ] || exit 0

run_folder=$out/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir -p "$run_folder"
say_output folder "$run_folder"

step 'trnbench doctor'
COLUMNS=120 trnbench doctor 2>&1 | tee "$run_folder/doctor.txt"

step "trnbench run, backend $backend, preset $preset"
run_code=0
trnbench run --backend "$backend" --preset "$preset" --label "$label" --out "$run_folder" \
    "${run_arguments[@]}" 2>&1 | tee "$run_folder/run.txt" || run_code=$?
records=$(run_file "$run_folder")
if [ -z "$records" ]; then
    {
        printf 'trnbench run ended with code %s and left no run; its last words:\n' "$run_code"
        tail -n 5 "$run_folder/run.txt"
    } > "$run_folder/check.txt"
    write_summary 'nothing was measured'
    fail 2 "trnbench run ended with code $run_code and left no run; it says why above"
fi
say_output run "$records"

step 'trnbench check'
check=(--backend "$backend" --least-ok "$least_ok")
[ -z "$device" ] || check+=(--device "$device")
[ "$allow_simulated" != 1 ] || check+=(--allow-simulated)
[ "$strict" != 1 ] || check+=(--strict)
check_code=0
trnbench check "$records" "${check[@]}" 2>&1 | tee "$run_folder/check.txt" || check_code=$?

code=0 verdict='as asked for'
if [ "$check_code" -ne 0 ]; then
    code=1 verdict='NOT as asked for'
elif [ "$run_code" -gt 1 ]; then
    code=1 verdict="interrupted (code $run_code)"
elif [ "$run_code" -eq 1 ]; then
    verdict='as asked for, with failed cases'
fi
write_summary "$verdict"

step "$verdict"
printf 'records: %s\nsummary: %s\n' "$records" "$run_folder/summary.md"
exit "$code"
