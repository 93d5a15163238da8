"""Counters of the compile cache; off unless TORCH_NEURONX_METRICS_ENABLED=1.

``CompilationCache.TotalCompilations``, ``.InMemoryHits``, ``.InMemoryMisses``,
``.PersistentHits``, ``.PersistentMisses``; the metric ``CompilationCache.CompilationTime`` is in
microseconds. Programs are made on the device's thread: synchronise before reading.
"""

from . import standin_device as device

_TIME = "CompilationCache.CompilationTime"


def is_enabled():
    return device.are_metrics_enabled()


def set_enabled(enabled):
    device.enable_metrics(enabled)


def get_counter_names():
    return list(device.counters())


def get_counter_value(name):
    """The count, or None until it is counted for the first time."""
    return device.counters().get(name)


def get_metric_names():
    return [_TIME] if device.compilation_time()[0] else []


def get_metric_data(name):
    """``{"total_samples", "accumulator", "repr"}``, or None for a metric without samples."""
    samples, total_us = device.compilation_time()
    if name != _TIME or not samples:
        return None
    return {"total_samples": samples, "accumulator": total_us, "repr": f"{total_us}us"}


def get_compilation_metrics():
    found = {name: get_counter_value(name) for name in get_counter_names()}
    for name in get_metric_names():
        data = get_metric_data(name)
        found[name] = {
            "accumulator": data["accumulator"],
            "total_samples": data["total_samples"],
            "formatted": data["repr"],
        }
    return found


def report():
    lines = [f"Counter: {name}\n  Value: {value}" for name, value in device.counters().items()]
    for name in get_metric_names():
        data = get_metric_data(name)
        lines.append(
            f"Metric: {name}\n  TotalSamples: {data['total_samples']}\n"
            f"  Accumulator: {data['repr']}"
        )
    return "\n".join(lines)


def clear_counters():
    device.clear_counters()


def clear_metrics():
    device.clear_metrics()


def clear_all():
    clear_counters()
    clear_metrics()
