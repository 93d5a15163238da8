// torch.autocast(device_type="neuron"): PyTorch's own lists of operators, for this device.
#include <ATen/autocast_mode.h>
#include <ATen/ATen.h>
#include <torch/library.h>

namespace {

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define STANDIN_LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(STANDIN_LOWER)
#undef STANDIN_LOWER
#define STANDIN_FP32(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_FP32(STANDIN_FP32)
#undef STANDIN_FP32
#define STANDIN_FP32_UNLESS_ASKED(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
  AT_FORALL_FP32_SET_OPT_DTYPE(STANDIN_FP32_UNLESS_ASKED)
#undef STANDIN_FP32_UNLESS_ASKED
#define STANDIN_PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_PROMOTE(STANDIN_PROMOTE)
#undef STANDIN_PROMOTE
}

} // namespace
