// The operators that have no twin on the CPU, and the kernel of known duration.
#include "operators.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_local_scalar_dense.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

namespace standin {
namespace {

using at::Tensor;
using torch::jit::Stack;

// ---------------------------------------------------------------- kernels with no CPU twin
Tensor empty_memory_format(
    c10::IntArrayRef sizes,
    std::optional<c10::ScalarType> dtype,
    std::optional<c10::Layout>,
    std::optional<c10::Device> device,
    std::optional<bool>,
    std::optional<c10::MemoryFormat> format) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(
      sizes,
      allocator(),
      c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::dtype_or_default(dtype),
      format);
}

Tensor empty_strided(
    c10::IntArrayRef sizes,
    c10::IntArrayRef strides,
    std::optional<c10::ScalarType> dtype,
    std::optional<c10::Layout>,
    std::optional<c10::Device> device,
    std::optional<bool>) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(
      sizes,
      strides,
      allocator(),
      c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::dtype_or_default(dtype));
}

const Tensor& resize_(
    const Tensor& self, c10::IntArrayRef sizes, std::optional<c10::MemoryFormat> format) {
  if (self.sizes() != sizes) {
    reshape(self, sizes, std::nullopt);
  }
  if (format && *format != c10::MemoryFormat::Preserve) {
    self.unsafeGetTensorImpl()->empty_tensor_restride(*format);
  }
  return self;
}

Tensor copy_from(const Tensor& self, const Tensor& target, bool) {
  if (is_ours(self) && is_ours(target)) {
    static const Traits traits = [] {
      Traits copy;
      copy.name = "aten::copy_";
      copy.hash = mix(kHashSeed, copy.name.data(), copy.name.size());
      return copy;
    }();
    Job job;
    job.name = traits.name;
    job.signature = signature_of(traits, {self, target});
    job.results = {host_alias(target)};
    job.work = [source = host_alias(self), to = job.results[0]] { to.copy_(source); };
    enqueue(std::move(job));
    return target;
  }
  drain(); // a copy between host and device waits, as on the real device
  const at::AutoDispatchBelowADInplaceOrView below;
  const auto to = is_ours(target) ? host_alias(target) : target;
  to.copy_(is_ours(self) ? host_alias(self) : self);
  return target;
}

Tensor copy_from_and_resize(const Tensor& self, const Tensor& target) {
  if (target.sizes() != self.sizes()) {
    target.resize_(self.sizes());
  }
  return target.copy_(self);
}

c10::Scalar local_scalar_dense(const Tensor& self) {
  drain();
  const at::AutoDispatchBelowADInplaceOrView below;
  return at::_local_scalar_dense(host_alias(self));
}

Tensor& set_source(
    Tensor& self,
    c10::Storage source,
    int64_t offset,
    c10::IntArrayRef sizes,
    c10::IntArrayRef strides) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset);
  // A set of sizes with no strides is contiguous.
  reshape(self, sizes, strides.size() == sizes.size() ? std::make_optional(strides) : std::nullopt);
  return self;
}

Tensor& set_storage(Tensor& self, c10::Storage source) {
  const auto size =
      static_cast<int64_t>(source.nbytes() / self.dtype().itemsize());
  return set_source(self, std::move(source), 0, {size}, {});
}

Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return set_source(
      self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}

Tensor& set_empty(Tensor& self) {
  const c10::DeviceGuard guard(self.device());
  c10::Storage nothing(
      c10::Storage::use_byte_size_t(), 0, allocator()->allocate(0), allocator(), true);
  return set_source(self, std::move(nothing), 0, {0}, {});
}

// PyTorch sends the convolution of a device that it doesn't know here; the CPU's own is the same.
Tensor convolution(
    const Tensor& input,
    const Tensor& weight,
    const std::optional<Tensor>& bias,
    c10::IntArrayRef stride,
    c10::IntArrayRef padding,
    c10::IntArrayRef dilation,
    bool transposed,
    c10::IntArrayRef output_padding,
    int64_t groups) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution", "");
  Stack stack{
      input, weight, bias, stride, padding, dilation, transposed, output_padding, groups};
  run(op, &stack);
  return stack[0].toTensor();
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient,
    const Tensor& input,
    const Tensor& weight,
    c10::IntArrayRef stride,
    c10::IntArrayRef padding,
    c10::IntArrayRef dilation,
    bool transposed,
    c10::IntArrayRef output_padding,
    int64_t groups,
    std::array<bool, 3> mask) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution_backward", "");
  c10::List<bool> wanted;
  for (const bool each : mask) {
    wanted.push_back(each);
  }
  Stack stack{
      gradient,
      input,
      weight,
      std::vector<int64_t>{gradient.size(1)},
      stride,
      padding,
      dilation,
      transposed,
      output_padding,
      groups,
      wanted};
  run(op, &stack);
  return {stack[0].toTensor(), stack[1].toTensor(), stack[2].toTensor()};
}

// ---------------------------------------------------------------- a kernel of known duration
void check_duration(int64_t microseconds) {
  TORCH_CHECK(microseconds > 0, "busy: wanted microseconds > 0, got ", microseconds);
}

Tensor busy(const Tensor& x, int64_t microseconds) {
  check_duration(microseconds);
  Job job;
  job.enqueued_ns = now_ns();
  static const std::string name = "standin::busy";
  auto result = empty_like(x, x.device().index());
  Traits traits;
  traits.name = name;
  traits.hash = mix(kHashSeed, name.data(), name.size());
  job.name = name;
  job.signature = mix(signature_of(traits, {x}), microseconds);
  job.busy_ns = microseconds * 1000;
  job.results = {host_alias(result)};
  job.work = [from = host_alias(x), to = job.results[0]] { to.copy_(from); };
  enqueue(std::move(job));
  return result;
}

Tensor busy_on_cpu(const Tensor& x, int64_t microseconds) {
  check_duration(microseconds);
  const auto end = now_ns() + microseconds * 1000;
  auto result = x.clone();
  while (now_ns() < end) {
  }
  return result;
}

Tensor busy_on_meta(const Tensor& x, int64_t) {
  return at::empty_strided(x.sizes(), x.strides(), x.options());
}

} // namespace
} // namespace standin

TORCH_LIBRARY(standin, m) {
  m.def("busy(Tensor x, int microseconds) -> Tensor");
}
TORCH_LIBRARY_IMPL(standin, PrivateUse1, m) {
  m.impl("busy", standin::busy);
}
TORCH_LIBRARY_IMPL(standin, CPU, m) {
  m.impl("busy", standin::busy_on_cpu);
}
TORCH_LIBRARY_IMPL(standin, Meta, m) {
  m.impl("busy", standin::busy_on_meta);
}

// A copy reads and writes the bits itself; PyTorch's own answer would be a copy first.
TORCH_LIBRARY_IMPL(aten, Conjugate, m) {
  m.impl("_copy_from", torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, Negative, m) {
  m.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", standin::empty_memory_format);
  m.impl("empty_strided", standin::empty_strided);
  m.impl("resize_", standin::resize_);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_copy_from", standin::copy_from);
  m.impl("_copy_from_and_resize", standin::copy_from_and_resize);
  m.impl("_local_scalar_dense", standin::local_scalar_dense);
  m.impl("set_.source_Storage_storage_offset", standin::set_source);
  m.impl("set_.source_Storage", standin::set_storage);
  m.impl("set_.source_Tensor", standin::set_tensor);
  m.impl("set_", standin::set_empty);
  m.impl("convolution_overrideable", standin::convolution);
  m.impl("convolution_backward_overrideable", standin::convolution_backward);
}
