// What PyTorch asks of a device (guard, hooks), and what the Python package asks of it.
#include "standin.h"

#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

namespace standin {
namespace {

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override {
    return kDevice;
  }
  c10::Device exchangeDevice(c10::Device device) const override {
    const auto old = getDevice();
    set_current_device(device.index());
    return old;
  }
  c10::Device getDevice() const override {
    return {kDevice, current_device()};
  }
  void setDevice(c10::Device device) const override {
    set_current_device(device.index());
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0 && device.index() < device_count()) {
      set_current_device(device.index());
    }
  }
  c10::DeviceIndex deviceCount() const noexcept override {
    return device_count();
  }
  // One queue does all the work, in order: every stream is that one.
  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getNewStream(c10::Device device, int) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return stream;
  }
  bool queryStream(const c10::Stream&) const override {
    return pending() == 0;
  }
  void synchronizeStream(const c10::Stream&) const override {
    drain();
  }
  void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {
    *event = nullptr;
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override {
    return pending() == 0;
  }
  void synchronizeEvent(void*) const override {
    drain();
  }
  void synchronizeDevice(c10::DeviceIndex) const override {
    count_synchronization();
    drain();
  }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override {
    return true;
  }
  bool isAvailable() const override {
    return device_count() > 0;
  }
  bool hasPrimaryContext(c10::DeviceIndex) const override {
    return is_started();
  }
  void init() const override {
    start_runtime();
  }
  c10::DeviceIndex deviceCount() const override {
    return device_count();
  }
  void setCurrentDevice(c10::DeviceIndex index) const override {
    set_current_device(index);
  }
  c10::DeviceIndex getCurrentDevice() const override {
    return current_device();
  }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    const auto old = current_device();
    set_current_device(index);
    return old;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return index < 0 ? current_device() : exchangeDevice(index);
  }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    return c10::GetAllocator(c10::kCPU);
  }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    drain();
    auto fresh = allocator()->allocate(bytes);
    const auto kept = std::min(bytes, storage.nbytes());
    if (kept) {
      std::memcpy(fresh.get(), storage.data(), kept);
    }
    auto* impl = storage.unsafeGetStorageImpl();
    impl->set_data_ptr_noswap(std::move(fresh));
    impl->set_nbytes(bytes);
  }
};

const Guard guard;
const c10::impl::DeviceGuardImplRegistrar registrar(kDevice, &guard);

} // namespace
} // namespace standin

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  namespace py = pybind11;
  using released = py::call_guard<py::gil_scoped_release>;
  static standin::Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  m.def("start_runtime", &standin::start_runtime, released());
  m.def("is_started", &standin::is_started);
  m.def("is_forked", &standin::is_forked);
  m.def("device_count", [] { return int(standin::device_count()); });
  m.def("current_device", [] { return int(standin::current_device()); });
  m.def("set_current_device", [](int index) { standin::set_current_device(index); });
  m.def("capacity_bytes", &standin::capacity_bytes);
  m.def("request_counts", [](int device) {
    const auto counts = standin::request_counts(device);
    return std::make_pair(counts.allocations, counts.frees);
  });
  m.def("pending", &standin::pending);
  m.def("hold", &standin::hold);
  m.def("stop", &standin::stop, released());
  m.def("synchronizations", &standin::synchronizations);
  m.def("take_stamps", [] {
    std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>> stamps;
    for (const auto& each : standin::take_stamps()) {
      stamps.emplace_back(each.enqueued_ns, each.begin_ns, each.end_ns, each.synchronized_ns);
    }
    return stamps;
  });
  m.def("compile_graph", &standin::compile_graph, released());
  m.def("begin_graph", &standin::begin_graph, released());
  m.def("end_graph", &standin::end_graph);
  m.def("are_metrics_enabled", &standin::are_metrics_enabled);
  m.def("enable_metrics", &standin::enable_metrics);
  m.def("counters", &standin::counters);
  m.def("compilation_time", &standin::compilation_time);
  m.def("clear_counters", &standin::clear_counters);
  m.def("clear_metrics", &standin::clear_metrics);
  m.def("fallback_operators", &standin::fallback_operators);
  m.def("executed_operators", &standin::executed_operators);
  m.def("record_fallback", &standin::record_fallback);
  m.def("clear_operators", &standin::clear_operators);
}
