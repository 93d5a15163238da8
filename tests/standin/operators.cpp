// How each ATen operator becomes work for the queue.
//
// The metadata of the results comes from running the operator on meta tensors; the results are
// allocated, the operator is queued to run on CPU aliases of the device memory, and the call
// returns. Where metadata don't tell (shapes that depend on values, results that are numbers,
// random numbers, which come from the CPU's generator), the queue is drained and the call waits.
#include "operators.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <cstring>
#include <mutex>
#include <unordered_map>

namespace standin {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

Tensor empty_like(const Tensor& pattern, c10::DeviceIndex device) {
  const c10::DeviceGuard guard(c10::Device(kDevice, device));
  const auto dtype = c10::typeMetaToScalarType(pattern.dtype());
  const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  if (pattern.is_non_overlapping_and_dense()) {
    return at::detail::empty_strided_generic(
        pattern.sizes(), pattern.strides(), allocator(), keys, dtype);
  }
  return at::detail::empty_generic(pattern.sizes(), allocator(), keys, dtype, std::nullopt);
}

namespace {

// A tensor over the storage of `base` with the geometry of `host`, which is a view of its alias.
Tensor view_like(const Tensor& base, const Tensor& host) {
  auto keys = base.key_set();
  for (const auto key : {c10::DispatchKey::Conjugate, c10::DispatchKey::Negative}) {
    keys = host.key_set().has(key) ? keys.add(key) : keys.remove(key);
  }
  auto view = at::detail::make_tensor<c10::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(base.storage()), keys, host.dtype());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(
      host.sizes(), host.strides(), host.storage_offset());
  return view;
}

// New memory for a storage; what it held moves over in its turn.
void grow(c10::StorageImpl* storage, size_t bytes) {
  const c10::DeviceGuard guard(storage->device());
  auto fresh = allocator()->allocate(bytes);
  std::shared_ptr<Block> from;
  if (storage->nbytes() > 0) {
    from = block_of(storage->data_ptr());
  }
  auto to = block_of(fresh);
  if (from) {
    Job job;
    job.work = [from, to] {
      std::memcpy(to->data, from->data, std::min(from->bytes, to->bytes));
    };
    enqueue(std::move(job));
  }
  storage->set_data_ptr_noswap(std::move(fresh));
  storage->set_nbytes(bytes);
}

} // namespace

void reshape(
    const Tensor& tensor, c10::IntArrayRef sizes, std::optional<c10::IntArrayRef> strides) {
  auto* impl = tensor.unsafeGetTensorImpl();
  if (strides) {
    impl->set_sizes_and_strides(sizes, *strides);
  } else {
    impl->set_sizes_contiguous(sizes);
  }
  const size_t wanted = at::detail::computeStorageNbytes(
      impl->sizes(), impl->strides(), impl->dtype().itemsize(), impl->storage_offset());
  if (tensor.numel() > 0 && wanted > tensor.storage().nbytes()) {
    grow(tensor.storage().unsafeGetStorageImpl(), wanted);
  }
}

namespace {

// ---------------------------------------------------------------- arguments
template <typename Function>
IValue replace_tensors(const IValue& value, const Function& function) {
  if (value.isTensor()) {
    return function(value.toTensor());
  }
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& each : value.toTensorVector()) {
      list.push_back(function(each));
    }
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor>& each : value.toOptionalTensorVector()) {
      list.push_back(each ? std::optional<Tensor>(function(*each)) : std::nullopt);
    }
    return list;
  }
  return value;
}

template <typename Function>
void visit_tensors(const IValue& value, const Function& function) {
  if (value.isTensor()) {
    function(value.toTensor());
  } else if (value.isTensorList()) {
    for (const Tensor& each : value.toTensorVector()) {
      function(each);
    }
  } else if (value.isOptionalTensorList()) {
    for (const std::optional<Tensor>& each : value.toOptionalTensorVector()) {
      if (each) {
        function(*each);
      }
    }
  }
}

template <typename Function>
Stack replace(const Stack& arguments, c10::DeviceType device, const Function& function) {
  Stack replaced;
  replaced.reserve(arguments.size());
  for (const auto& argument : arguments) {
    if (argument.isDevice() && argument.toDevice().type() == kDevice) {
      replaced.emplace_back(c10::Device(device));
    } else {
      replaced.push_back(replace_tensors(argument, function));
    }
  }
  return replaced;
}

// What the device's thread gets: aliases of our memory; copies of the host's small tensors,
// which the caller may change before their turn comes.
Stack host_arguments(const Stack& arguments) {
  return replace(arguments, c10::kCPU, [](const Tensor& tensor) {
    if (is_ours(tensor)) {
      return host_alias(tensor);
    }
    const bool keep = !tensor.defined() || !tensor.device().is_cpu() ||
        tensor.unsafeGetTensorImpl()->is_wrapped_number();
    return keep ? tensor : tensor.clone();
  });
}

// Operands with the geometry of the real ones and nothing in them: on meta, or on the CPU where
// only its kernels tell what they return.
Stack patterns_of(const Stack& arguments, c10::DeviceType device) {
  std::unordered_map<const c10::TensorImpl*, Tensor> known;
  return replace(arguments, device, [&](const Tensor& tensor) {
    const bool keep = !tensor.defined() || (!is_ours(tensor) && tensor.dim() == 0);
    if (keep) {
      return tensor;
    }
    auto& pattern = known[tensor.unsafeGetTensorImpl()];
    if (!pattern.defined()) {
      pattern = device == c10::kMeta
          ? at::detail::empty_strided_meta(
                tensor.sizes(), tensor.strides(), tensor.scalar_type())
          : at::detail::empty_strided_cpu(
                tensor.sizes(), tensor.strides(), tensor.scalar_type());
      if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) {
        pattern.unsafeGetTensorImpl()->set_wrapped_number(true);
      }
    }
    return pattern;
  });
}

// ---------------------------------------------------------------- what an operator is like
Traits examine(const c10::OperatorHandle& op) {
  Traits traits;
  const auto& schema = op.schema();
  traits.name = schema.name();
  const auto full = traits.name + "." + schema.overload_name();
  traits.hash = mix(kHashSeed, full.data(), full.size());
  traits.waits = op.hasTag(at::Tag::nondeterministic_seeded) ||
      op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape);
  // Statistics that a CPU keeps in the dtype of its input, or not at all; meta tensors promise fp32.
  const bool batch_norm = traits.name.find("batch_norm") != std::string::npos &&
      traits.name.find("backward") == std::string::npos;
  traits.host_tells = batch_norm || traits.name == "aten::native_layer_norm" ||
      traits.name == "aten::native_group_norm";
  traits.mixes_devices = traits.name.rfind("aten::index", 0) == 0 ||
      traits.name.rfind("aten::_index_put", 0) == 0 ||
      traits.name.rfind("aten::_foreach", 0) == 0 || traits.name.rfind("aten::_fused", 0) == 0;
  for (const auto& argument : schema.arguments()) {
    const auto* alias = argument.alias_info();
    traits.writes.push_back(alias && alias->isWrite());
  }
  for (const auto& result : schema.returns()) {
    const auto* alias = result.alias_info();
    int source = -1;
    if (alias) {
      for (size_t i = 0; i < schema.arguments().size(); ++i) {
        const auto* other = schema.arguments()[i].alias_info();
        if (other && other->beforeSets() == alias->beforeSets()) {
          source = static_cast<int>(i);
        }
      }
      traits.is_view |= !alias->isWrite();
    }
    traits.returned.push_back(source);
    const auto kind = result.type()->kind();
    const bool is_tensor = kind == c10::TypeKind::TensorType ||
        (kind == c10::TypeKind::ListType &&
         result.type()->castRaw<c10::ListType>()->getElementType()->kind() ==
             c10::TypeKind::TensorType);
    traits.waits |= !is_tensor;
  }
  return traits;
}

const Traits& traits_of(const c10::OperatorHandle& op) {
  static std::mutex mutex;
  static auto* const known = new std::unordered_map<c10::OperatorName, std::unique_ptr<Traits>>();
  const std::lock_guard<std::mutex> lock(mutex);
  auto& traits = (*known)[op.operator_name()];
  if (!traits) {
    traits = std::make_unique<Traits>(examine(op));
  }
  return *traits;
}

// The device that the call runs on; tensors of two devices are refused in PyTorch's own words.
c10::DeviceIndex device_of(const Traits& traits, const Stack& arguments) {
  std::optional<c10::Device> ours, other;
  for (const auto& argument : arguments) {
    visit_tensors(argument, [&](const Tensor& tensor) {
      if (is_ours(tensor)) {
        ours = tensor.device();
      } else if (tensor.defined() && tensor.dim() > 0) {
        other = tensor.device();
      }
    });
    if (argument.isDevice() && argument.toDevice().type() == kDevice && !ours) {
      ours = argument.toDevice();
    }
  }
  TORCH_CHECK(
      !ours || !other || traits.mixes_devices,
      "Expected all tensors to be on the same device, but found at least two devices, ",
      *ours,
      " and ",
      *other,
      "! (when running ",
      traits.name,
      ")");
  return ours && ours->has_index() ? ours->index() : current_device();
}

} // namespace

uint64_t signature_of(const Traits& traits, const Stack& arguments) {
  uint64_t hash = traits.hash;
  for (const auto& argument : arguments) {
    visit_tensors(argument, [&](const Tensor& tensor) {
      if (tensor.defined()) {
        hash = mix(hash, static_cast<int64_t>(tensor.scalar_type()));
        for (const auto size : tensor.sizes()) {
          hash = mix(hash, size);
        }
        hash = mix(hash, -1);
      }
    });
  }
  return hash;
}

namespace {

// ---------------------------------------------------------------- the ways to run one
void call_below_autograd(const c10::OperatorHandle& op, Stack& stack) {
  const at::AutoDispatchBelowADInplaceOrView below;
  op.callBoxed(&stack);
}

// The CPU's and the meta kernels' warnings are not this device's.
struct Silence final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

Silence& silence() {
  static auto* const handler = new Silence();
  return *handler;
}

std::optional<Stack> infer(const c10::OperatorHandle& op, Stack& patterns) {
  const c10::WarningUtils::WarningHandlerGuard quiet(&silence());
  try {
    Stack results = patterns;
    call_below_autograd(op, results);
    return results;
  } catch (...) {
    // No meta kernel, or a call that is wrong: the CPU knows which, and says so.
    return std::nullopt;
  }
}

// An argument that the operator resized on another device is resized here as well.
void follow(const Tensor& tensor, const Tensor& other) {
  if (tensor.sizes() != other.sizes()) {
    reshape(tensor, other.sizes(), other.strides());
  }
}

std::vector<Tensor> tensors_in(const IValue& value) {
  std::vector<Tensor> tensors;
  visit_tensors(value, [&](const Tensor& tensor) { tensors.push_back(tensor); });
  return tensors;
}

void push_results(
    const Traits& traits, const Stack& arguments, std::vector<IValue> fresh, Stack* stack) {
  size_t next = 0;
  for (const int source : traits.returned) {
    stack->push_back(source >= 0 ? arguments[source] : std::move(fresh[next++]));
  }
}

std::vector<Tensor> written(const Traits& traits, const Stack& host) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < host.size(); ++i) {
    if (traits.writes[i]) {
      visit_tensors(host[i], [&](const Tensor& tensor) { tensors.push_back(tensor); });
    }
  }
  return tensors;
}

// The arguments with nothing but what is written.
Stack written_arguments(const Traits& traits, const Stack& arguments) {
  Stack kept;
  for (size_t i = 0; i < arguments.size(); ++i) {
    kept.push_back(traits.writes[i] ? arguments[i] : IValue());
  }
  return kept;
}

// Some operators resize an output on the way, so that it has other memory in the end.
bool is_moved(const Tensor& alias, const Tensor& place) {
  return alias.defined() && alias.storage().data() != place.storage().data();
}

void copy_result(const Tensor& target, const Tensor& source) {
  if (!target.defined()) {
    return;
  }
  TORCH_CHECK(
      source.defined() && source.sizes() == target.sizes() &&
          source.scalar_type() == target.scalar_type(),
      "stand-in: the result on the CPU isn't what the meta tensors promised");
  target.copy_(source);
}

void run_view(
    const c10::OperatorHandle& op, const Traits& traits, const Stack& arguments, Stack* stack) {
  Stack host = host_arguments(arguments);
  call_below_autograd(op, host);
  std::vector<IValue> views;
  for (size_t i = 0; i < traits.returned.size(); ++i) {
    const auto& base = arguments[std::max(traits.returned[i], 0)].toTensor();
    views.emplace_back(
        replace_tensors(host[i], [&](const Tensor& view) { return view_like(base, view); }));
  }
  for (auto& view : views) {
    stack->push_back(std::move(view));
  }
}

void run_queued(
    const c10::OperatorHandle& op,
    const Traits& traits,
    const Stack& arguments,
    const Stack& patterns,
    const Stack& promised,
    c10::DeviceIndex device,
    int64_t enqueued_ns,
    Stack* stack) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (traits.writes[i]) {
      const auto tensors = tensors_in(arguments[i]);
      const auto others = tensors_in(patterns[i]);
      for (size_t j = 0; j < tensors.size(); ++j) {
        if (is_ours(tensors[j])) {
          follow(tensors[j], others[j]);
        }
      }
    }
  }
  std::vector<IValue> fresh;
  std::vector<std::vector<Tensor>> targets; // by result; empty where it is an argument
  Job job;
  Stack host = host_arguments(arguments);
  const auto places = written(traits, host_arguments(written_arguments(traits, arguments)));
  job.results = places;
  for (size_t i = 0; i < traits.returned.size(); ++i) {
    auto& aliases = targets.emplace_back();
    if (traits.returned[i] < 0) {
      fresh.push_back(replace_tensors(promised[i], [&](const Tensor& pattern) {
        auto result = pattern.defined() ? empty_like(pattern, device) : Tensor();
        aliases.push_back(pattern.defined() ? host_alias(result) : Tensor());
        job.results.push_back(aliases.back());
        return result;
      }));
    }
  }
  job.name = traits.name;
  job.signature = signature_of(traits, arguments);
  job.enqueued_ns = enqueued_ns;
  job.work = [op,
              &traits,
              host = std::move(host),
              places = std::move(places),
              targets = std::move(targets)]() mutable {
    const auto aliases = written(traits, host);
    op.callBoxed(&host);
    for (size_t i = 0; i < aliases.size(); ++i) {
      if (is_moved(aliases[i], places[i])) {
        copy_result(places[i], aliases[i]);
      }
    }
    for (size_t i = 0; i < targets.size(); ++i) {
      if (!targets[i].empty()) {
        const auto sources = tensors_in(host[i]);
        for (size_t j = 0; j < targets[i].size(); ++j) {
          copy_result(targets[i][j], sources.at(j));
        }
      }
    }
  };
  enqueue(std::move(job));
  push_results(traits, arguments, std::move(fresh), stack);
}

// On the device's thread, or on this one for an operator that the device is said not to have.
void run_waiting(
    const c10::OperatorHandle& op,
    const Traits& traits,
    const Stack& arguments,
    c10::DeviceIndex device,
    bool falls_back,
    Stack* stack) {
  drain();
  const auto host = std::make_shared<Stack>(host_arguments(arguments));
  const auto aliases = written(traits, *host);
  if (falls_back) {
    record_fallback(traits.name);
    call_below_autograd(op, *host);
  } else {
    Job job;
    job.name = traits.name;
    job.signature = signature_of(traits, arguments);
    job.results = aliases;
    job.work = [op, host] { op.callBoxed(host.get()); };
    enqueue(std::move(job));
    drain();
  }
  const auto tensors = written(traits, arguments);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (is_ours(tensors[i]) && is_moved(aliases[i], host_alias(tensors[i]))) {
      follow(tensors[i], aliases[i]);
      drain();
      host_alias(tensors[i]).copy_(aliases[i]);
    } else if (is_ours(tensors[i])) {
      follow(tensors[i], aliases[i]);
    }
  }
  std::vector<IValue> fresh;
  for (size_t i = 0; i < traits.returned.size(); ++i) {
    if (traits.returned[i] < 0) {
      fresh.push_back(replace_tensors((*host)[i], [&](const Tensor& source) {
        if (!source.defined()) {
          return source;
        }
        auto result = empty_like(source, device);
        host_alias(result).copy_(source);
        return result;
      }));
    }
  }
  push_results(traits, arguments, std::move(fresh), stack);
}

} // namespace

void run(const c10::OperatorHandle& op, Stack* stack) {
  const auto enqueued_ns = now_ns();
  const auto& traits = traits_of(op);
  const auto count = traits.writes.size();
  const Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  torch::jit::drop(*stack, count);
  const auto device = device_of(traits, arguments);
  start_runtime();
  const bool falls_back = is_fallback(traits.name);
  if (traits.is_view) {
    run_view(op, traits, arguments, stack);
    return;
  }
  if (!falls_back && !traits.waits) {
    Stack patterns = patterns_of(arguments, traits.host_tells ? c10::kCPU : c10::kMeta);
    if (const auto promised = infer(op, patterns)) {
      run_queued(op, traits, arguments, patterns, *promised, device, enqueued_ns, stack);
      return;
    }
  }
  run_waiting(op, traits, arguments, device, falls_back, stack);
}

void load_meta_kernels() {
  const at::AutoDispatchBelowADInplaceOrView below;
  const at::Tensor nothing = at::detail::empty_meta({0}, at::kFloat);
  nothing.add(nothing);
}

} // namespace standin

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&standin::run>());
}
