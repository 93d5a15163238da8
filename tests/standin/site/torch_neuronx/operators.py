"""Which operators ran on the device and which on the host."""

from . import standin_device as device


def get_fallback_ops():
    """Names such as "aten::cumsum" of the operators that ran on the CPU, in order of name."""
    return list(device.fallback_operators())


def get_executed_ops():
    """Names of the operators that ran on the device; complete after a synchronisation."""
    return list(device.executed_operators())


def clear_op_tracking():
    device.clear_operators()
