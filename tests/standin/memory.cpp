// Device memory: host memory, counted, with a capacity and documented words when it is full.
#include "standin.h"

#include <ATen/core/Tensor.h>
#include <c10/core/impl/alloc_cpu.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <stdexcept>

namespace standin {

Block::Block(size_t bytes, c10::DeviceIndex device) : bytes(bytes), device(device) {
  data = bytes ? c10::alloc_cpu(bytes) : nullptr;
}

Block::~Block() {
  if (data) {
    c10::free_cpu(data);
  }
}

namespace {

struct Allocation {
  std::shared_ptr<Block> block;
};

void release(void* context);

class Allocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    start_runtime();
    const auto device = current_device();
    reserve(bytes, device);
    auto* allocation = new Allocation{std::make_shared<Block>(bytes, device)};
    return {allocation->block->data, allocation, &release, c10::Device(kDevice, device)};
  }

  c10::DeleterFnPtr raw_deleter() const override {
    return nullptr;
  }

  void copy_data(void* target, const void* source, size_t bytes) const override {
    drain();
    std::memcpy(target, source, bytes);
  }

  bool initialized() override {
    return is_started();
  }

  void emptyCache(c10::MempoolId_t) override {}

  void recordStream(const c10::DataPtr&, c10::Stream) override {}

  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex device) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stats_.at(device);
  }

  void resetAccumulatedStats(c10::DeviceIndex device) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& stats = stats_.at(device);
    stats.num_ooms = 0;
    stats.num_alloc_retries = 0;
    for (auto* each : arrays(stats)) {
      (*each)[0].reset_accumulated();
    }
  }

  void resetPeakStats(c10::DeviceIndex device) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto* each : arrays(stats_.at(device))) {
      (*each)[0].reset_peak();
    }
  }

  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex device) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto used = static_cast<size_t>(stats_.at(device).allocated_bytes[0].current);
    return {capacity_bytes() - used, capacity_bytes()};
  }

  void give_back(size_t bytes, c10::DeviceIndex device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& stats = stats_.at(device);
    stats.allocation[0].decrease(1);
    stats.active[0].decrease(1);
    stats.allocated_bytes[0].decrease(bytes);
    stats.active_bytes[0].decrease(bytes);
    stats.requested_bytes[0].decrease(bytes);
  }

 private:
  static std::array<c10::CachingAllocator::StatArray*, 5> arrays(
      c10::CachingDeviceAllocator::DeviceStats& stats) {
    return {
        &stats.allocation,
        &stats.active,
        &stats.allocated_bytes,
        &stats.active_bytes,
        &stats.requested_bytes};
  }

  void reserve(size_t bytes, c10::DeviceIndex device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& stats = stats_.at(device);
    const auto* failure = fault("oom");
    const bool fails = failure && ++requests_ >= failure->count(1);
    if (fails || stats.allocated_bytes[0].current + bytes > capacity_bytes()) {
      stats.num_ooms += 1;
      throw std::runtime_error(no_room(bytes, device));
    }
    stats.allocation[0].increase(1);
    stats.active[0].increase(1);
    stats.allocated_bytes[0].increase(bytes);
    stats.active_bytes[0].increase(bytes);
    stats.requested_bytes[0].increase(bytes);
  }

  // The sentence that begins an out-of-memory report of the Neuron Runtime (its page on device
  // memory, read 2026-10); "tensors" is the category there.
  static std::string no_room(size_t bytes, c10::DeviceIndex device) {
    static const std::array<const char*, 3> units = {"KB", "MB", "GB"};
    double amount = static_cast<double>(bytes) / 1024;
    size_t unit = 0;
    while (amount >= 1024 && unit + 1 < units.size()) {
      amount /= 1024;
      ++unit;
    }
    std::array<char, 160> text{};
    std::snprintf(
        text.data(),
        text.size(),
        "Failed to allocate %.3f%s (usage: tensors) on ND 0:NC %d",
        amount,
        units.at(unit),
        static_cast<int>(device));
    return text.data();
  }

  std::mutex mutex_;
  std::array<c10::CachingDeviceAllocator::DeviceStats, 128> stats_;
  int64_t requests_ = 0;
};

Allocator& the_allocator() {
  static auto* const allocator = new Allocator(); // outlives every tensor
  return *allocator;
}

void release(void* context) {
  auto* allocation = static_cast<Allocation*>(context);
  the_allocator().give_back(allocation->block->bytes, allocation->block->device);
  delete allocation;
}

void release_alias(void* context) {
  delete static_cast<std::shared_ptr<Block>*>(context);
}

} // namespace

c10::DeviceAllocator* allocator() {
  return &the_allocator();
}

size_t capacity_bytes() {
  // A logical core of Trainium2 at LNC=2 has a quarter of 96 GiB.
  static const auto bytes = static_cast<size_t>(number("STANDIN_MEMORY_BYTES", 24LL << 30));
  return bytes;
}

std::shared_ptr<Block> block_of(const c10::DataPtr& pointer) {
  TORCH_CHECK(
      pointer.get_deleter() == &release,
      "this storage does not come from the stand-in's own allocator");
  return static_cast<Allocation*>(pointer.get_context())->block;
}

at::Tensor host_alias(const at::Tensor& tensor) {
  const auto& storage = tensor.storage();
  const auto& pointer = storage.data_ptr();
  c10::DataPtr data{nullptr, c10::Device(c10::kCPU)};
  if (pointer.get_deleter() == &release) {
    auto block = std::make_unique<std::shared_ptr<Block>>(block_of(pointer));
    void* address = (*block)->data;
    data = {address, block.release(), &release_alias, c10::Device(c10::kCPU)};
  }
  c10::Storage shared(
      c10::Storage::use_byte_size_t(),
      storage.nbytes(),
      std::move(data),
      c10::GetAllocator(c10::kCPU),
      /*resizable=*/true);
  auto keys = c10::DispatchKeySet(c10::DispatchKey::CPU);
  for (const auto key : {c10::DispatchKey::Conjugate, c10::DispatchKey::Negative}) {
    if (tensor.key_set().has(key)) {
      keys = keys.add(key);
    }
  }
  auto alias = at::detail::make_tensor<c10::TensorImpl>(
      std::move(shared), keys, tensor.dtype());
  auto* impl = alias.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) { // it may be asked of scalars alone
    impl->set_wrapped_number(true);
  }
  return alias;
}

RequestCounts request_counts(c10::DeviceIndex device) {
  const auto stats = the_allocator().getDeviceStats(device);
  return {stats.allocation[0].allocated, stats.allocation[0].freed};
}

} // namespace standin

namespace {
struct Registration {
  Registration() {
    c10::SetAllocator(standin::kDevice, standin::allocator());
  }
} const registration;
} // namespace
