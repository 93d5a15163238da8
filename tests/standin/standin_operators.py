"""Computations that the stand-in must do as the CPU does; run as a program, it compares them.

Prints a JSON object: the name of each case, and "" or what went wrong.
"""

from __future__ import annotations

import json
import traceback
import warnings

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def add(name, function):
    CASES[name] = function


def fixed(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator)
    if dtype in (torch.int8, torch.int32, torch.int64, torch.uint8):
        return (values * 10).abs().to(dtype) if dtype == torch.uint8 else (values * 10).to(dtype)
    return values.to(dtype)


# ------------------------------------------------------------------ unary and binary
for _name in [
    "abs",
    "acos",
    "asin",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfinv",
    "exp",
    "expm1",
    "floor",
    "frac",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "neg",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "isnan",
    "isfinite",
    "logical_not",
    "digamma",
]:
    add(_name, lambda place, name=_name: getattr(torch, name)(place(fixed(7, 5))))
for _name in [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "fmod",
    "remainder",
    "atan2",
    "eq",
    "ne",
    "lt",
    "gt",
    "le",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "floor_divide",
    "copysign",
    "hypot",
]:
    add(
        _name,
        lambda place, name=_name: getattr(torch, name)(
            place(fixed(7, 5)), place(fixed(7, 5, seed=1))
        ),
    )
for _name in [
    "gelu",
    "silu",
    "elu",
    "leaky_relu",
    "softplus",
    "hardtanh",
    "mish",
    "selu",
    "logsigmoid",
]:
    add(_name, lambda place, name=_name: getattr(F, name)(place(fixed(7, 5))))
for _name in [
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "std",
    "var",
    "argmax",
    "argmin",
    "logsumexp",
    "cumsum",
    "softmax",
]:
    add(_name + "_dim", lambda place, name=_name: getattr(torch, name)(place(fixed(7, 5)), dim=1))
for _name in [
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "std",
    "var",
    "any",
    "all",
    "argmax",
    "norm",
    "median",
    "count_nonzero",
]:
    add(_name + "_all", lambda place, name=_name: getattr(torch, name)(place(fixed(7, 5))))
for _name in ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "gcd"]:
    add(
        _name,
        lambda place, name=_name: getattr(torch, name)(
            place(fixed(6, dtype=torch.int32)), place(fixed(6, dtype=torch.int32, seed=1).abs() % 7)
        ),
    )

# ------------------------------------------------------------------ products
for _dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    _label = str(_dtype).removeprefix("torch.")
    add(
        f"mm_{_label}",
        lambda place, dtype=_dtype: (
            place(fixed(9, 6, dtype=dtype)) @ place(fixed(6, 4, dtype=dtype, seed=1))
        ),
    )
    add(f"softmax_{_label}", lambda place, d=_dtype: F.softmax(place(fixed(3, 9, dtype=d)), -1))
    add(f"sum_{_label}", lambda place, d=_dtype: place(fixed(3, 9, dtype=d)).sum())
    add(f"to_{_label}", lambda place, d=_dtype: place(fixed(3, 9)).to(d))
for _dtype in (torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool):
    add(f"to_{_dtype}", lambda place, d=_dtype: place(fixed(3, 9).abs()).to(d))
    add(f"from_{_dtype}", lambda place, d=_dtype: place(fixed(3, 9).abs().to(d)).float())


@case
def bmm(place):
    return torch.bmm(place(fixed(3, 4, 5)), place(fixed(3, 5, 6, seed=1)))


@case
def addmm(place):
    return torch.addmm(place(fixed(6)), place(fixed(4, 5)), place(fixed(5, 6, seed=1)), beta=0.5)


@case
def einsum(place):
    return torch.einsum("bij,bkj->bik", place(fixed(2, 3, 4)), place(fixed(2, 5, 4, seed=1)))


@case
def int_mm(place):
    left = fixed(32, 32, dtype=torch.int8)
    return torch._int_mm(place(left), place(fixed(32, 16, dtype=torch.int8, seed=1)))


@case
def linear_transposed_operands(place):
    return place(fixed(6, 4)).t() @ place(fixed(5, 6, seed=1)).t()


# ------------------------------------------------------------------ neural networks
@case
def conv2d(place):
    return F.conv2d(place(fixed(2, 3, 8, 8)), place(fixed(4, 3, 3, 3)), place(fixed(4)), padding=1)


@case
def conv2d_strided_grouped(place):
    return F.conv2d(place(fixed(2, 4, 9, 9)), place(fixed(8, 2, 3, 3)), stride=2, groups=2)


@case
def conv2d_channels_last(place):
    x = place(fixed(2, 3, 8, 8).contiguous(memory_format=torch.channels_last))
    return F.conv2d(x, place(fixed(4, 3, 3, 3)))


@case
def conv1d(place):
    return F.conv1d(place(fixed(2, 3, 8)), place(fixed(4, 3, 3)))


@case
def conv_transpose2d(place):
    return F.conv_transpose2d(place(fixed(2, 3, 8, 8)), place(fixed(3, 4, 3, 3)))


@case
def max_pool2d(place):
    return F.max_pool2d(place(fixed(2, 3, 8, 8)), 2)


@case
def avg_pool2d(place):
    return F.avg_pool2d(place(fixed(2, 3, 8, 8)), 2)


@case
def layer_norm(place):
    return F.layer_norm(place(fixed(4, 6)), (6,), place(fixed(6)), place(fixed(6, seed=1)))


@case
def rms_norm(place):
    return F.rms_norm(place(fixed(4, 6)), (6,), place(fixed(6)))


@case
def batch_norm_updates_its_statistics(place):
    mean, variance = place(torch.zeros(3)), place(torch.ones(3))
    out = F.batch_norm(place(fixed(2, 3, 4, 4)), mean, variance, training=True)
    return out, mean, variance


@case
def group_norm(place):
    return F.group_norm(place(fixed(2, 4, 5)), 2)


@case
def embedding(place):
    return F.embedding(place(torch.tensor([[0, 3], [2, 2]])), place(fixed(5, 4)))


@case
def cross_entropy(place):
    return F.cross_entropy(place(fixed(6, 5)), place(torch.tensor([0, 1, 2, 3, 4, 0])))


@case
def attention(place):
    q, k, v = (place(fixed(2, 3, 8, 4, seed=seed)) for seed in range(3))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@case
def attention_with_mask(place):
    q, k, v = (place(fixed(2, 3, 8, 4, seed=seed)) for seed in range(3))
    mask = place(fixed(8, 8) > 0)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask | torch.eye(8).to(mask).bool())


@case
def attention_bf16(place):
    """Rounded to what both of PyTorch's ways of computing it must share: the CPU has a fused one."""
    q, k, v = (place(fixed(2, 3, 8, 4, dtype=torch.bfloat16, seed=seed)) for seed in range(3))
    return (F.scaled_dot_product_attention(q, k, v).float() * 16).round()


@case
def log_softmax_and_nll(place):
    return F.nll_loss(F.log_softmax(place(fixed(6, 5)), -1), place(torch.tensor([0, 1, 2] * 2)))


@case
def dropout_draws_from_the_seed(place):
    torch.manual_seed(3)
    return F.dropout(place(fixed(50)), 0.5)


@case
def random_on_the_device(place):
    torch.manual_seed(3)
    return torch.randn(5, device=place(torch.zeros(1)).device) + torch.randint(
        9, (5,), device=place(torch.zeros(1)).device
    )


for _name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy"):
    for _reduction in ("none", "mean", "sum"):
        add(
            f"{_name}_{_reduction}",
            lambda place, name=_name, reduction=_reduction: getattr(F, name)(
                place(fixed(4, 6).sigmoid()),
                place(fixed(4, 6, seed=1).sigmoid()),
                reduction=reduction,
            ),
        )


# ------------------------------------------------------------------ indices and shapes
@case
def index_select(place):
    return place(fixed(5, 4)).index_select(0, place(torch.tensor([3, 0, 3])))


@case
def index_with_tensors(place):
    return place(fixed(5, 4))[place(torch.tensor([1, 2])), place(torch.tensor([0, 3]))]


@case
def index_with_host_tensor(place):
    return place(fixed(5, 4))[torch.tensor([1, 2])]


@case
def index_with_mask(place):
    x = place(fixed(5, 4))
    return x[x > 0]


@case
def index_put(place):
    x = place(fixed(5, 4))
    x[place(torch.tensor([1, 2]))] = 7.0
    x[x < 0] = 0.0
    return x


@case
def index_add(place):
    return place(fixed(5, 4)).index_add(0, place(torch.tensor([0, 0])), place(fixed(2, 4)))


@case
def index_copy_in_place(place):
    x = place(fixed(5, 4))
    x.index_copy_(0, place(torch.tensor([4, 1])), place(fixed(2, 4, seed=1)))
    return x


@case
def gather_and_scatter(place):
    index = place(torch.tensor([[0, 1], [2, 0]]))
    return place(fixed(3, 4)).gather(0, index), place(fixed(3, 4)).scatter(0, index, 5.0)


@case
def nonzero(place):
    return torch.nonzero(place(fixed(4, 4)) > 0)


@case
def unique(place):
    return torch.unique(place(fixed(9, dtype=torch.int32)))


@case
def sort_and_topk(place):
    x = place(fixed(4, 9))
    return (*torch.sort(x, dim=1), *torch.topk(x, 3))


@case
def where_and_masked_fill(place):
    x = place(fixed(4, 4))
    return torch.where(x > 0, x, -x), x.masked_fill(x > 0, 1.5), x.clamp(-1, 1)


@case
def cat_stack_split_pad(place):
    x = place(fixed(4, 6))
    return (
        torch.cat([x, x], 1),
        torch.stack([x, x]),
        *x.split(4, 1),
        *x.chunk(2),
        F.pad(x, (1, 2)),
        x.roll(1, 0),
        x.flip(1),
        x.repeat(2, 2),
        x.tril(),
        *x.unbind(0),
        x.repeat_interleave(2, 0),
    )


@case
def factories(place):
    device = place(torch.zeros(1)).device
    return (
        torch.arange(7, device=device),
        torch.linspace(0, 1, 5, device=device),
        torch.eye(3, device=device),
        torch.full((2, 3), 4.5, device=device),
        torch.ones(3, dtype=torch.bfloat16, device=device),
        torch.tril_indices(3, 3, device=device),
        torch.tensor([1.0, 2.0], device=device),
        torch.zeros_like(place(fixed(2, 2))),
        torch.empty(0, device=device),
    )


# ------------------------------------------------------------------ views and writing
@case
def views_share_memory(place):
    x = place(fixed(4, 6))
    x.t()[1] = 1.0
    x.view(-1)[3:5].mul_(2)
    x.unfold(1, 2, 2)[0, 0].zero_()
    x[:, ::2].add_(place(fixed(4, 3)))
    x.select(0, 2).copy_(place(fixed(6, seed=1)))
    x.as_strided((2, 2), (1, 6), 1).fill_(9)
    x.expand(2, 4, 6).diagonal(dim1=1, dim2=2)[0].sub_(1)
    return x, x.t().contiguous(), x.permute(1, 0).reshape(-1)


@case
def view_of_another_dtype(place):
    x = place(fixed(4, 4))
    bits = x.view(torch.int32)
    bits.bitwise_and_(0x7FFFFFFF)
    return x, bits


@case
def view_outlives_its_base(place):
    x = place(fixed(4, 4))
    row = (x * 2)[1]
    del x
    return row + 0


@case
def complex_numbers(place):
    z = torch.view_as_complex(place(fixed(4, 2)))
    return torch.view_as_real(z.conj() * z), z.imag, z.conj()


@case
def in_place(place):
    x = place(fixed(4, 4))
    x.add_(1).mul_(x).clamp_(min=0.5).sqrt_().transpose_(0, 1).squeeze_().unsqueeze_(0)
    return x


@case
def out_arguments(place):
    x = place(fixed(4, 4))
    right = place(torch.empty(4, 4))
    torch.mm(x, x, out=right)
    grown = place(torch.empty(0))
    torch.add(x, x, out=grown)
    values, indices = place(torch.empty(0)), place(torch.empty(0, dtype=torch.int64))
    torch.max(x, 1, out=(values, indices))
    found = place(torch.empty(0, dtype=torch.int64))
    torch.nonzero(x > 0, out=found)
    torch.sum(x, 0, out=right[0])
    return right, grown, values, indices, found


@case
def out_argument_that_is_resized_on_the_way(place):
    """The CPU's kernel makes the output large first and then small again, in new memory."""
    mean = place(torch.zeros(()))
    torch.ops.aten.mse_loss.out(place(fixed(4, 6)), place(fixed(4, 6, seed=1)), out=mean)
    return mean


@case
def same_tensor_in_and_out(place):
    x = place(fixed(4, 4))
    torch.add(x, x, out=x)
    x.mul_(x.t().contiguous())
    return x


@case
def resize(place):
    x = place(torch.arange(6.0))
    x.resize_(9)
    x[6:] = 1
    y = place(torch.arange(6.0))
    y.resize_(2, 2)
    return x, y


@case
def set_data(place):
    x, y = place(fixed(4)), place(fixed(2, 3))
    x.data = y
    y.zero_()
    z = place(fixed(4))
    z.set_(x)
    return x, z


@case
def scalars_on_the_host(place):
    x = place(fixed(4, dtype=torch.int32))
    return x * 2.5, x + 1, 2 - x, x / 2, x * torch.tensor(3.0), x.sum().item() * torch.ones(1)


@case
def broadcast_copy(place):
    x = place(torch.zeros(3, 4))
    x.copy_(place(fixed(4)))
    x[1] = fixed(4, seed=1)
    return x


@case
def cumulative_and_linear_algebra(place):
    x = place(fixed(4, 4))
    return (
        torch.linalg.inv(x),
        torch.linalg.det(x),
        x.cumprod(0),
        torch.trace(x),
        torch.linalg.norm(x),
    )


@case
def fast_fourier(place):
    return torch.fft.rfft(place(fixed(16))).abs()


@case
def foreach(place):
    xs = [place(fixed(3, seed=seed)) for seed in range(3)]
    torch._foreach_add_(xs, 1.0)
    torch._foreach_mul_(xs, xs)
    torch._foreach_addcdiv_(xs, xs, torch._foreach_add(xs, 2.0), value=0.5)
    return (*xs, *torch._foreach_norm(xs), *torch._foreach_sqrt(xs))


# ------------------------------------------------------------------ autograd
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)
    )


def train(place, make_optimizer, steps=4):
    module = place(network())
    optimizer = make_optimizer(module.parameters())
    x, y = place(fixed(5, 6)), place(torch.tensor([0, 1, 2, 3, 0]))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
    return (*losses, *(parameter.detach() for parameter in module.parameters()))


for _label, _make in {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd_foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw_foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True),
    "adam_single": lambda p: torch.optim.Adam(p, lr=0.01, foreach=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}.items():
    add(f"train_{_label}", lambda place, make=_make: train(place, make))


@case
def gradients_of_convolution(place):
    x = place(fixed(2, 3, 6, 6)).requires_grad_()
    w, b = place(fixed(4, 3, 3, 3)).requires_grad_(), place(fixed(4)).requires_grad_()
    F.conv2d(x, w, b, padding=1).square().sum().backward()
    return x.grad, w.grad, b.grad


@case
def gradients_of_losses(place):
    x = place(fixed(4, 6)).requires_grad_()
    y = place(fixed(4, 6, seed=1))
    loss = F.mse_loss(x, y) + F.smooth_l1_loss(x, y) + F.kl_div(x.log_softmax(-1), y.softmax(-1))
    loss.backward()
    return loss.detach(), x.grad


@case
def gradients_of_attention_and_embedding(place):
    table = place(fixed(7, 4)).requires_grad_()
    x = F.embedding(place(torch.tensor([[0, 3, 3], [2, 2, 6]])), table)
    F.scaled_dot_product_attention(x, x, x).square().sum().backward()
    return table.grad


@case
def gradients_of_norms(place):
    x, w = place(fixed(4, 6)).requires_grad_(), place(fixed(6)).requires_grad_()
    (F.rms_norm(x, (6,), w).sum() + F.layer_norm(x, (6,), w).square().sum()).backward()
    return x.grad, w.grad


@case
def second_derivative(place):
    x = place(fixed(4)).requires_grad_()
    (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    return second


@case
def inference_mode(place):
    with torch.inference_mode():
        x = place(fixed(4, 4))
        x.add_(1)
        return (x @ x).relu_()


@case
def transformer_layer(place):
    torch.manual_seed(0)
    layer = place(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval())
    return layer(place(fixed(2, 5, 8)))


@case
def copies_of_modules_and_tensors(place):
    import copy

    module = place(network())
    clone = copy.deepcopy(module)
    return clone(place(fixed(5, 6))), copy.deepcopy(place(fixed(3)))


# ------------------------------------------------------------------ torch.compile
def compiled(place, function):
    """On the device with its own backend; on the CPU as written."""
    if place(torch.zeros(1)).device.type == "cpu":
        return function
    return torch.compile(function, backend="neuron", fullgraph=True, dynamic=False)


@case
def compiled_forward(place):
    function = compiled(place, lambda x, y: torch.relu(x @ y).softmax(-1) + 1)
    return function(place(fixed(4, 5)), place(fixed(5, 6, seed=1)))


@case
def compiled_module_trains(place):
    module = place(network())
    function = compiled(place, module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    x = place(fixed(5, 6))
    for _ in range(3):
        function(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return tuple(parameter.detach() for parameter in module.parameters())


@case
def compiled_busy(place):
    return compiled(place, lambda x: torch.ops.standin.busy(x + 1, 100) * 2)(place(fixed(4)))


@case
def compiled_in_place(place):
    def change(x):
        x.add_(1)
        return x * 2

    x = place(fixed(4))
    return compiled(place, change)(x), x


# ------------------------------------------------------------------ as a program
def on_host(value):
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().resolve_conj()]
    return [each.detach().cpu().resolve_conj() for each in value]


def compare(function):
    expected = on_host(function(lambda value: value))
    found = function(lambda value: value.to("neuron"))
    tensors = [found] if isinstance(found, torch.Tensor) else list(found)
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.device.type != "neuron" and tensor.dim() > 1:
            return f"a result is on {tensor.device}"
    try:
        torch.testing.assert_close(on_host(found), expected, equal_nan=True)
    except AssertionError as error:
        return str(error)
    return ""


def main():
    outcome = {}
    warnings.simplefilter("ignore")
    for name, function in CASES.items():
        try:
            outcome[name] = compare(function)
        except Exception:  # noqa: BLE001 (any failure is the outcome of that case)
            outcome[name] = traceback.format_exc()
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
