"""The sampler process, the windows that its readings are folded over, and their merging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from trnbench.backends.sensors import HOST, NEURON_MONITOR, Fold, Reading, SensorKind, level
from trnbench.bench import telemetry
from trnbench.bench.telemetry import Telemetry, merge
from trnbench.bench.windows import figure_of
from trnbench.results.record import Sensor

HOST_NAMES = [kind.name for kind in HOST]
AVERAGE = SensorKind("cpu.busy", "percent")
STEADY = SensorKind("neuron.flops", "FLOP/s", Fold.STEADY)
RISE = SensorKind("neuron.ecc_uncorrected", "events", Fold.RISE)
LOADS = SensorKind("neuron.model_loads", "loads", Fold.RISE, stuck_at=0)
WHOLE = SensorKind("neuron.power", "percent of the maximum", Fold.WHOLE)


def periods(*values, length_s=1.0):
    """Readings of periods that follow one another from 0 on."""
    return [level("x", i * length_s, (i + 1) * length_s, value) for i, value in enumerate(values)]


# -------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("begin_s", "end_s", "mean", "least", "most", "samples"),
    [
        # Inside one period: its reading, for want of a finer one.
        (1.4, 1.6, 20, 20, 20, 1),
        (1.0, 2.0, 20, 20, 20, 1),
        # Weighted by what of each lies in the window; of the last one too little does.
        (0.5, 2.2, (0.5 * 10 + 1.0 * 20) / 1.5, 10, 20, 2),
        (0.0, 3.0, 20, 10, 30, 3),
        # Across a boundary, half of neither: both, weighted.
        (0.9, 1.3, (0.1 * 10 + 0.3 * 20) / 0.4, 10, 20, 2),
        (2.9, 99.0, 30, 30, 30, 1),
    ],
)
def test_average(begin_s, end_s, mean, least, most, samples):
    sensor = figure_of(AVERAGE, periods(10, 20, 30), begin_s, end_s)

    assert sensor.mean == pytest.approx(mean)
    assert (sensor.least, sensor.most, sensor.samples) == (least, most, samples)
    assert sensor.unit == "percent"
    assert sensor.reason == ""


def test_a_sliver_of_a_neighbour_does_not_count():
    readings = [*periods(50, 90), level("x", 2.0, 2.3, 10.0)]
    sensor = figure_of(AVERAGE, readings, 1.99, 2.3)

    assert (sensor.mean, sensor.most, sensor.samples) == (10.0, 10.0, 1)


def test_extremes_are_those_of_the_readings():
    readings = [Reading("x", 0, 1, 2.7, 2.0, 3.4), Reading("x", 1, 2, 2.5, 1.0, 3.0)]
    sensor = figure_of(AVERAGE, readings, 0, 2)

    assert (sensor.least, sensor.mean, sensor.most) == (1.0, 2.6, 3.4)


def test_rounding_does_not_carry_a_mean_beyond_its_readings():
    ends = (0.0, 0.13, 0.98, 1.74)
    readings = [level("x", a, b, 0.00125) for a, b in pairwise(ends)]
    weights = [b - a for a, b in pairwise(ends)]
    assert sum(0.00125 * weight for weight in weights) / sum(weights) != 0.00125

    assert figure_of(AVERAGE, readings, 0.0, 3.0).mean == 0.00125


@pytest.mark.parametrize("kind", [AVERAGE, STEADY, RISE, WHOLE], ids=lambda kind: kind.fold)
def test_no_reading_is_a_reason(kind):
    for readings in ([], [level("x", 0.0, 1.0, 5.0)]):
        sensor = figure_of(kind, readings, 7.0, 9.0)
        assert (sensor.mean, sensor.least, sensor.most, sensor.samples) == (None, None, None, 0)
        assert sensor.reason


def test_where_nothing_was_run_there_is_no_figure():
    sensor = figure_of(AVERAGE, periods(10), 0.5, 0.5)

    assert (sensor.samples, sensor.reason) == (0, "nothing was run")


def test_steady_is_the_interior_of_the_longest_busy_run():
    readings = periods(0, 7, 0, 18.25, 72.34, 72.35, 71.02, 72.35, 72.57, 53.43, 0)
    sensor = figure_of(STEADY, readings, 0.0, 11.0)

    assert sensor.mean == pytest.approx(72.126)
    assert (sensor.least, sensor.most, sensor.samples) == (71.02, 72.57, 5)


@pytest.mark.parametrize(("busy", "samples"), [((), 0), ((5,), 0), ((5, 9), 0), ((5, 9, 6), 1)])
def test_a_busy_run_without_interior_has_no_steady_figure(busy, samples):
    sensor = figure_of(STEADY, periods(0, *busy, 0), 0.0, len(busy) + 2.0)

    assert sensor.samples == samples
    if samples:
        assert sensor.mean == 9
    else:
        assert f"{len(busy)} busy periods" in sensor.reason


def test_busy_periods_outside_the_window_do_not_count():
    sensor = figure_of(STEADY, periods(50, 50, 50, 0, 70, 80, 70, 0), 3.5, 8.0)

    assert (sensor.mean, sensor.samples) == (80, 1)


def test_a_rise_is_from_before_the_window_to_after_it():
    readings = periods(3, 3, 4, 9, 9, 20)
    sensor = figure_of(RISE, readings, 2.2, 3.7)

    # The counter read 3 at the end of second 2, and 9 at the end of second 4.
    assert (sensor.mean, sensor.least, sensor.most, sensor.samples) == (6, 6, 6, 3)


def test_a_counter_that_stands_still_has_a_rise_of_zero():
    sensor = figure_of(RISE, periods(0, 0, 0), 0.5, 2.5)

    assert (sensor.mean, sensor.samples, sensor.reason) == (0.0, 3, "")


@pytest.mark.parametrize(
    ("kind", "readings", "reason"),
    [
        (RISE, periods(4), "two readings; there are 1"),
        (RISE, periods(4, 4, 1, 1), "fell"),
        (LOADS, periods(0, 0, 0), "stands at 0"),
    ],
)
def test_a_rise_that_cannot_be_told(kind, readings, reason):
    sensor = figure_of(kind, readings, 0.5, 3.0)

    assert (sensor.mean, sensor.samples) == (None, 0)
    assert reason in sensor.reason


def test_loads_are_counted_where_the_driver_counts_them():
    assert figure_of(LOADS, periods(0, 0, 2), 0.5, 3.0).mean == 2
    assert figure_of(LOADS, periods(5, 5, 5), 0.5, 3.0).mean == 0


def test_a_minute_of_power_counts_where_all_of_it_lies_in_the_window():
    readings = [
        Reading("x", 0.0, 60.0, 1.0, 0.5, 2.0),
        Reading("x", 60.0, 120.0, 19.0, 0.9, 25.0),
        Reading("x", 120.0, 180.0, 21.0, 1.0, 24.0),
        Reading("x", 180.0, 240.0, 9.0, 0.0, 22.0),
    ]
    sensor = figure_of(WHOLE, readings, 30.0, 200.0)

    assert (sensor.mean, sensor.least, sensor.most, sensor.samples) == (20.0, 0.9, 25.0, 2)
    assert sensor.unit == "percent of the maximum"
    short = figure_of(WHOLE, readings, 30.0, 119.0)
    assert short.samples == 0
    assert "60 s" in short.reason
    assert "89 s" in short.reason


# ---------------------------------------------------------------------------------- merge


def test_merging_weighs_by_readings():
    parts = [
        {"a": Sensor(unit="W", mean=10.0, least=8.0, most=12.0, samples=3)},
        {"a": Sensor(unit="W", reason="asleep")},
        {"a": Sensor(unit="W", mean=20.0, least=19.0, most=21.0, samples=1)},
    ]

    merged = merge(parts)

    assert merged == {"a": Sensor(unit="W", mean=12.5, least=8.0, most=21.0, samples=4)}


def test_merging_keeps_the_reason_where_all_are_absent():
    parts = [
        {
            "a": Sensor(unit="W", reason=reason),
            "b": Sensor(unit="B", mean=0.0, least=0.0, most=0.0, samples=1),
        }
        for reason in ("late", "no RAPL", "no RAPL")
    ]
    merged = merge([{}, *parts])

    assert merged["a"] == Sensor(unit="W", reason="no RAPL")
    assert (merged["b"].mean, merged["b"].samples) == (0.0, 3)
    assert merge([]) == {}
    assert merge([{}, {}]) == {}


# ------------------------------------------------------------------- the process, for real


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """The sampler gives way to whatever else runs on a busy machine, so it may answer late."""
    monkeypatch.setattr(telemetry, "ANSWER_S", 20.0)


def is_gone(pid):
    """Whether a process has ended; one that nobody has taken leave of yet has, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(true, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it never came to that")


def sampler_of(running):
    return psutil.Process(running._sampler._process.pid)


def begin_run(running):
    """Wait until the sampler is up; when it was."""
    wait_until(
        lambda: running.between(time.monotonic() - 0.01, time.monotonic())["cpu.load"].samples
    )
    return time.monotonic()


def test_a_run_has_its_host_sensors():
    with Telemetry(["cpu"], period_s=0.05) as running:
        begin_s = begin_run(running)
        wait_until(lambda: os.fstat(running._sampler._readings.fileno()).st_size > 4000)
        found = running.between(begin_s, time.monotonic())

    assert list(found) == HOST_NAMES
    for name in ("cpu.busy", "cpu.load", "memory.available"):
        assert found[name].samples >= 2, name
        assert found[name].reason == ""
    assert 0 <= found["cpu.busy"].least <= found["cpu.busy"].mean <= found["cpu.busy"].most <= 100
    assert 0 < found["memory.available"].mean < psutil.virtual_memory().total
    for sensor in found.values():
        assert (sensor.mean is None) == (sensor.samples == 0) == bool(sensor.reason)


def test_a_case_shorter_than_the_period_has_a_reading_that_ends_with_it():
    with Telemetry(["cpu"], period_s=60.0) as running:
        begin_run(running)
        for _ in range(3):
            begin_s = time.monotonic()
            sum(range(2_000_000))
            found = running.between(begin_s, time.monotonic())
            assert found["cpu.load"].samples == 1
            assert found["memory.available"].samples == 1


def test_the_sampler_is_silent_and_unheard_while_nobody_asks():
    with Telemetry(["cpu"], period_s=0.05) as running:
        begin_run(running)
        read = {name: len(readings) for name, readings in running._readings.items()}
        wait_until(lambda: os.fstat(running._sampler._readings.fileno()).st_size > 4000)

        assert {name: len(readings) for name, readings in running._readings.items()} == read


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are Linux's")
def test_the_sampler_gives_way():
    usable = os.sched_getaffinity(0)
    with Telemetry(["cpu"]) as running:
        begin_run(running)
        process = sampler_of(running)

        assert process.nice() == 19
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        assert os.getsid(process.pid) == process.pid
        if len(usable) > 1 and "OMP_NUM_THREADS" not in os.environ:
            assert process.cpu_affinity() == [max(usable)]
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "libc" in maps
        assert "torch" not in maps


def test_the_sampler_ends_with_the_run():
    with Telemetry(["cpu"]) as running:
        begin_run(running)
        pid = sampler_of(running).pid

    assert is_gone(pid)
    # What was read before can still be asked about; nothing is read any more.
    assert running.between(0.0, time.monotonic())["cpu.load"].samples > 0


def test_a_sampler_that_dies_is_a_reason_and_its_readings_stay():
    with Telemetry(["cpu"], period_s=0.05) as running:
        begin_s = begin_run(running)
        time.sleep(0.2)
        os.kill(sampler_of(running).pid, signal.SIGKILL)
        running._sampler._process.wait()
        end_s = time.monotonic()
        before = running.between(begin_s, end_s)
        after = running.between(end_s, end_s + 1.0)

    assert before["cpu.load"].samples > 0
    assert after["cpu.load"].samples == 0
    assert after["cpu.load"].reason
    assert list(after) == HOST_NAMES


def test_a_sampler_that_cannot_start_is_a_reason_in_every_sensor(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with Telemetry(["cpu", "neuron"]) as running:
        found = running.between(0.0, time.monotonic())

    assert "neuron.power" in found
    for sensor in found.values():
        assert sensor.samples == 0
        assert "can't be started" in sensor.reason
        assert str(tmp_path) not in sensor.reason


def test_a_sampler_that_fails_at_once_is_a_reason_in_every_sensor(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho cannot open {tmp_path}/x >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with Telemetry(["cpu"]) as running:
        running._sampler._process.wait()
        found = running.between(0.0, time.monotonic())

    for sensor in found.values():
        assert "exit status 3: cannot open <path>" in sensor.reason
        assert str(tmp_path) not in sensor.reason


def test_without_a_backend_nothing_is_started():
    with Telemetry([]) as running:
        assert running._sampler is None
        assert running.between(0.0, 1.0) == {}


def test_a_sampler_that_does_not_answer_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(telemetry, "ANSWER_S", 0.05)
    with Telemetry(["cpu"], period_s=60.0) as running:
        begin_s = begin_run(running)
        os.kill(sampler_of(running).pid, signal.SIGSTOP)
        try:
            late = running.between(begin_s, time.monotonic())
        finally:
            os.kill(sampler_of(running).pid, signal.SIGCONT)
        wait_until(lambda: running.between(begin_s, time.monotonic())["cpu.load"].samples)

    assert late["cpu.load"].samples == 0


def test_a_late_answer_is_not_taken_for_the_next_one(monkeypatch, tmp_path):
    """The program answers the first question when it hears the second, and then that one."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        "read order; read first; read second\n"
        "echo $first; sleep 0.3\n"
        f"touch {tmp_path}/answering-the-second; echo $second\n"
        "cat > /dev/null\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(telemetry, "ANSWER_S", 0.05)
    with Telemetry(["cpu"]) as running:
        running._sampler.ask()
        running._sampler._patience_s = 60.0
        running._sampler.ask()

        assert (tmp_path / "answering-the-second").is_file()


def test_old_readings_are_forgotten(monkeypatch):
    monkeypatch.setattr(telemetry, "KEEP_S", 0.1)
    with Telemetry(["cpu"], period_s=0.02) as running:
        begin_run(running)
        time.sleep(0.5)
        now_s = time.monotonic()
        running.between(now_s - 0.01, now_s)

        kept = running._readings["cpu.load"]
        assert len(kept) >= 1
        assert all(reading.end_s >= now_s - 0.12 for reading in kept)


def test_the_sampler_dies_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "from trnbench.bench.telemetry import Telemetry\n"
        "with Telemetry(['cpu']) as running:\n"
        "    while not running.between(time.monotonic() - 1, time.monotonic())['cpu.load'].samples:\n"
        "        pass\n"
        "    pid = running._sampler._process.pid\n"
        "    print(pid, flush=True)\n"
        # Not even one that can't see its standard input end may be left over.
        "    os.kill(pid, signal.SIGSTOP)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: is_gone(int(done.stdout)))


# ---------------------------------------------------------- a program in neuron-monitor's place

STAND_IN = '''#!{python}
"""Prints what neuron-monitor prints, as its configuration asks; obeys whole seconds only."""
import json, os, re, signal, sys, time

assert sys.argv[1] == "-c", sys.argv
config = json.load(open(sys.argv[2]))
folder = os.path.dirname(os.path.abspath(__file__))
open(os.path.join(folder, "asked.json"), "w").write(json.dumps(config))
def leave(*_):
    open(os.path.join(folder, "terminated"), "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, leave)
open(os.path.join(folder, "pid"), "w").write(str(os.getpid()))
whole = re.fullmatch(r"([0-9]+)s", config["period"])
period = float(whole[1]) if whole else 5.0
metrics = [m["type"] for m in config["neuron_runtimes"][0]["metrics"]]
assert set(metrics) == {{"neuroncore_counters", "memory_used", "execution_stats"}}, metrics
assert [m["type"] for m in config["system_metrics"]] == ["neuron_hw_counters"]

def show(line):
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

show(json.dumps({{"neuron_runtime_data": [], "system_data": {{"neuron_hw_counters": None}},
                  "instance_info": {{"instance_id": "i-00000000000000003"}}}}))
number, before = 0, time.monotonic()
while True:
    time.sleep(period)
    number += 1
    now = time.monotonic()
    spent, before = now - before, now
    if number == 2:
        show('{{"neuron_runtime_data": [{{"report": ')
    cores = {{"0": {{"effective_flops": 50e12 + number, "neuroncore_utilization": 90.0}},
              "1": {{"effective_flops": 0, "neuroncore_utilization": 0}}}}
    report = {{
        "neuroncore_counters": {{"period": spent, "neuroncores_in_use": cores, "error": ""}},
        "execution_stats": {{"period": spent, "error_summary": None,
            "execution_summary": {{"completed": round(700 * spent)}},
            "latency_stats": {{"total_latency": None, "device_latency": {{"p50": 0.00125}}}},
            "error": ""}},
        "memory_used": {{"period": spent, "error": "",
            "neuron_runtime_used_bytes": {{"host": 1, "neuron_device": 4096}}}},
    }}
    show(json.dumps({{
        "neuron_runtime_data": [{{"pid": 1, "error": "", "report": report}}],
        "system_data": {{"neuron_hw_counters": {{"period": spent, "error": "", "neuron_devices": [
            {{"neuron_device_index": 0, "mem_ecc_uncorrected": number, "sram_ecc_uncorrected": 0}}]}}}},
    }}))
'''


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A root with a driver's files and a program in neuron-monitor's place."""
    monkeypatch.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", os.defpath)
    program = tmp_path / "opt/aws/neuron/bin/neuron-monitor"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    device = tmp_path / "sys/devices/virtual/neuron_device/neuron0"
    loads = device / "neuron_core0/stats/other_info/model_load_count/total"
    loads.parent.mkdir(parents=True)
    loads.write_text("7\n")
    power = device / "stats/power/utilization"
    power.parent.mkdir(parents=True)
    power.write_text(f"POWER_STATUS_VALID,{int(time.time())},0.86,25.00,18.86\n")
    return tmp_path


def test_a_stream_from_start_to_end(root, monkeypatch):
    monkeypatch.setenv("NEURON_PROCESS_TAG", "ours.1")
    bin_folder = root / "opt/aws/neuron/bin"
    loads = next(root.rglob("model_load_count/total"))
    with Telemetry(["neuron"]) as running:
        begin_s = begin_run(running)
        wait_until(lambda: running.between(begin_s, time.monotonic())["neuron.flops"].samples > 1)
        loads.write_text("9\n")
        found = running.between(begin_s, time.monotonic())
        short_s = time.monotonic()
        time.sleep(0.01)
        short = running.between(short_s, time.monotonic())
        ended = psutil.Process(int((bin_folder / "pid").read_text()))
        assert ended.nice() == 19

    asked = json.loads((bin_folder / "asked.json").read_text())
    assert asked["period"] == "1s"
    assert asked["neuron_runtimes"][0]["tag_filter"] == r"^ours\.1$"
    assert is_gone(ended.pid)
    # The first and the last busy period stand for nothing; a number tells each from the others.
    flops = found["neuron.flops"]
    assert flops.samples == found["neuron.executions"].samples - 2 > 1
    assert flops.least >= 50e12 + 2
    assert flops.most - flops.least == flops.samples - 1
    assert found["neuron.utilization"].mean == 90.0
    assert found["neuron.executions"].mean == pytest.approx(700, rel=0.02)
    assert found["neuron.device_latency_p50"].mean == 0.00125
    assert found["neuron.device_memory"].mean == 4096
    assert found["neuron.ecc_uncorrected"].mean >= 2
    assert found["neuron.model_loads"].mean == 2
    assert found["neuron.power"].samples == 0
    assert "a reading is of 60 s" in found["neuron.power"].reason
    assert set(found) >= {kind.name for kind in NEURON_MONITOR}
    # A case inside one period gets that period's reading, which is waited for.
    assert short["neuron.executions"].samples == 1
    assert "1 busy periods" in short["neuron.flops"].reason
    assert (bin_folder / "terminated").is_file()


def test_a_monitor_that_prints_its_usage_and_ends(root):
    program = root / "opt/aws/neuron/bin/neuron-monitor"
    program.write_text("#!/bin/sh\necho usage: neuron-monitor -c FILE\nexit 2\n")
    with Telemetry(["neuron-xla"], period_s=0.1) as running:
        begin_s = begin_run(running)
        wait_until(
            lambda: (
                "exit status 2" in running.between(begin_s, time.monotonic())["neuron.flops"].reason
            )
        )
        found = running.between(begin_s, time.monotonic())

    for kind in NEURON_MONITOR:
        reason = found[kind.name].reason
        assert "1 lines are no records" in reason
        assert "neuron-monitor ended with exit status 2" in reason
    assert found["cpu.load"].samples > 0


def test_no_monitor_is_a_reason(root):
    (root / "opt/aws/neuron/bin/neuron-monitor").unlink()
    with Telemetry(["neuron"], period_s=0.1) as running:
        begin_s = begin_run(running)
        found = running.between(begin_s, time.monotonic())

    for kind in NEURON_MONITOR:
        assert "isn't installed" in found[kind.name].reason
        assert str(root) not in found[kind.name].reason


def test_a_monitor_that_may_not_be_run_is_a_reason_of_its_own(root):
    (root / "opt/aws/neuron/bin/neuron-monitor").chmod(0o644)
    with Telemetry(["neuron"], period_s=0.1) as running:
        begin_s = begin_run(running)
        found = running.between(begin_s, time.monotonic())

    assert "may not run it" in found["neuron.flops"].reason
