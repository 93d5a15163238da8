// What kernels.cpp needs of operators.cpp.
#pragma once

#include "standin.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <optional>
#include <string>
#include <vector>

namespace standin {

// What an operator is like.
struct Traits {
  std::string name;
  uint64_t hash = 0;
  bool is_view = false;
  bool waits = false; // the results can't be told from metadata
  bool mixes_devices = false; // takes tensors of the CPU on purpose
  bool host_tells = false; // only its CPU kernel tells what the results are like
  std::vector<bool> writes; // by argument
  std::vector<int> returned; // by result: the argument that it is, or -1 for a new tensor
};

inline bool is_ours(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kDevice;
}

at::Tensor empty_like(const at::Tensor& pattern, c10::DeviceIndex device);
// Without strides, contiguous; the storage grows where it must.
void reshape(
    const at::Tensor& tensor,
    c10::IntArrayRef sizes,
    std::optional<c10::IntArrayRef> strides);
uint64_t signature_of(const Traits& traits, const torch::jit::Stack& arguments);
// Any operator that the CPU has, on the device.
void run(const c10::OperatorHandle& op, torch::jit::Stack* stack);

} // namespace standin
