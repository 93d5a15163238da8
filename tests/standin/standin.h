// A device named `neuron` that is a thread: what its three parts share.
//
// memory.cpp     blocks of host memory that count as device memory, and their statistics
// runtime.cpp    settings, failures on request, the state of the runtime
// queue.cpp      the device's thread: work in order, stamps
// programs.cpp   the compile cache
// operators.cpp  how each ATen operator becomes work for the queue
// kernels.cpp    the operators that have no twin on the CPU, and the kernel of known duration
// autocast.cpp   torch.autocast
// bindings.cpp   guard, hooks and what the Python package asks for
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace standin {

constexpr auto kDevice = c10::DeviceType::PrivateUse1;

// ---------------------------------------------------------------- settings and clocks
int64_t now_ns(); // std::chrono::steady_clock, what Python calls time.monotonic_ns()
std::string setting(const char* name, const std::string& otherwise = "");
int64_t number(const char* name, int64_t otherwise);
bool is_on(const char* name, bool otherwise);

// Failures asked for with STANDIN_FAIL="kind", "kind:argument" or several with commas.
struct Fault {
  std::string argument;
  int64_t count(int64_t otherwise) const;
};
const Fault* fault(const std::string& kind);

// ---------------------------------------------------------------- runtime state
void start_runtime(); // claims the cores on first use; raises what the real one raises
bool is_started();
bool is_forked();
c10::DeviceIndex device_count() noexcept;
c10::DeviceIndex current_device();
void set_current_device(c10::DeviceIndex index);

// ---------------------------------------------------------------- memory
// The memory itself. Work in the queue keeps it alive; the statistics follow the tensors, so
// that they don't depend on how far the thread has come.
struct Block {
  Block(size_t bytes, c10::DeviceIndex device);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  void* data = nullptr;
  size_t bytes;
  c10::DeviceIndex device;
};

c10::DeviceAllocator* allocator();
size_t capacity_bytes();
std::shared_ptr<Block> block_of(const c10::DataPtr& pointer);
// A CPU tensor over the memory of a device tensor, which it keeps alive.
at::Tensor host_alias(const at::Tensor& tensor);
struct RequestCounts {
  int64_t allocations, frees;
};
RequestCounts request_counts(c10::DeviceIndex device);

// ---------------------------------------------------------------- queue
struct Job {
  std::function<void()> work;
  std::string name; // of the operator; empty for what needs no program (markers, growth)
  uint64_t signature = 0; // of operator, shapes and dtypes: what a compile is for
  std::vector<at::Tensor> results; // aliases of what the operator writes
  int64_t enqueued_ns = 0;
  int64_t busy_ns = 0; // at least so long, and stamped
  bool in_graph = false;
};

struct Stamp {
  int64_t enqueued_ns, begin_ns, end_ns, synchronized_ns; // the last is 0 before it happens
};

void start_queue();
void enqueue(Job job);
void drain(); // returns when all work is done; raises the first error of it
std::vector<Stamp> take_stamps();
int64_t pending();
void hold(bool held); // a held device starts no work
void stop(); // at exit: drop what is queued
int64_t synchronizations();
void count_synchronization();

// ---------------------------------------------------------------- programs (NEFFs)
// A set of operators run as one program: its own compile, none for each operator.
void load_program(const Job& job); // of an operator, on the device's thread
void compile_graph(uint64_t key, const std::string& name, int64_t milliseconds);
void begin_graph(uint64_t key, const std::string& name);
void end_graph();
bool in_graph();

bool are_metrics_enabled();
void enable_metrics(bool enabled);
std::map<std::string, int64_t> counters();
std::pair<int64_t, int64_t> compilation_time(); // samples, microseconds in all
void clear_counters();
void clear_metrics();

// ---------------------------------------------------------------- operators
void load_meta_kernels();
bool is_fallback(const std::string& name);
void record_fallback(const std::string& name);
void record_executed(const std::string& name);
std::vector<std::string> fallback_operators();
std::vector<std::string> executed_operators();
void clear_operators();

constexpr uint64_t kHashSeed = 14695981039346656037ull;
inline uint64_t mix(uint64_t hash, const void* data, size_t bytes) { // FNV-1a
  const auto* byte = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) {
    hash = (hash ^ byte[i]) * 1099511628211ull;
  }
  return hash;
}
inline uint64_t mix(uint64_t hash, int64_t value) {
  return (hash ^ static_cast<uint64_t>(value)) * 1099511628211ull + (hash >> 29);
}

} // namespace standin
