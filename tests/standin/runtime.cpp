// Settings, failures asked for, and the state of the runtime.
#include "standin.h"

#include <c10/util/Exception.h>

#include <pthread.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>

namespace standin {

// ---------------------------------------------------------------- settings
int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

int64_t number(const char* name, int64_t otherwise) {
  const auto text = setting(name);
  return text.empty() ? otherwise : std::stoll(text);
}

bool is_on(const char* name, bool otherwise) {
  const auto text = setting(name);
  return text.empty() ? otherwise : text == "1" || text == "true" || text == "yes";
}

namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    if (!part.empty()) {
      parts.push_back(part);
    }
  }
  return parts;
}

} // namespace

int64_t Fault::count(int64_t otherwise) const {
  return argument.empty() ? otherwise : std::stoll(argument);
}

const Fault* fault(const std::string& kind) {
  static const auto* const faults = [] {
    static const std::set<std::string> kinds = {
        "no_cores",
        "init_status_1",
        "oom",
        "compile_oom",
        "unsupported_op",
        "exec_timeout",
        "hang",
        "crash",
        "numeric",
        "recompile"};
    auto* all = new std::map<std::string, Fault>();
    for (const auto& part : split(setting("STANDIN_FAIL"))) {
      const auto colon = part.find(':');
      const bool alone = colon == std::string::npos;
      const auto name = part.substr(0, colon);
      if (!kinds.count(name)) { // a misspelt failure would be a test that can't fail
        throw std::runtime_error("STANDIN_FAIL: there is no failure '" + name + "'");
      }
      (*all)[name] = Fault{alone ? "" : part.substr(colon + 1)};
    }
    return all;
  }();
  const auto found = faults->find(kind);
  return found == faults->end() ? nullptr : &found->second;
}

// ---------------------------------------------------------------- runtime state
namespace {

std::atomic<bool> started{false};
std::atomic<bool> forked{false};
std::atomic<int64_t> synchronized{0};
thread_local c10::DeviceIndex current = 0;
std::mutex start_mutex;

int64_t count_visible_cores() {
  const auto visible = setting("NEURON_RT_VISIBLE_CORES");
  int64_t cores = 0;
  for (const auto& part : split(visible)) { // "0", "0-3", "2,3"
    const auto dash = part.find('-');
    const auto first = std::stoll(part.substr(0, dash));
    cores += dash == std::string::npos ? 1 : std::stoll(part.substr(dash + 1)) - first + 1;
  }
  const auto all = 8 / number("NEURON_LOGICAL_NC_CONFIG", 2);
  const auto wanted = number("NEURON_RT_NUM_CORES", 0);
  return cores ? cores : wanted ? wanted : all;
}

} // namespace

c10::DeviceIndex device_count() noexcept {
  static const auto count = []() -> c10::DeviceIndex {
    const auto root = setting("TRNBENCH_NEURON_ROOT");
    struct stat found {};
    if (!root.empty() && ::stat((root + "/dev/neuron0").c_str(), &found) != 0) {
      return 0;
    }
    try {
      return static_cast<c10::DeviceIndex>(count_visible_cores());
    } catch (const std::exception&) { // as documented: no devices rather than an exception
      return 0;
    }
  }();
  return count;
}

bool is_started() {
  return started;
}

bool is_forked() {
  return forked;
}

c10::DeviceIndex current_device() {
  return current;
}

void set_current_device(c10::DeviceIndex index) {
  TORCH_CHECK(
      index >= 0 && index < device_count(),
      "neuron device index ",
      static_cast<int>(index),
      " is out of range: there are ",
      static_cast<int>(device_count()),
      " devices");
  current = index;
}

int64_t synchronizations() {
  return synchronized;
}

void count_synchronization() {
  ++synchronized;
}

// ---------------------------------------------------------------- the start
namespace {

void claim_cores() {
  const std::lock_guard<std::mutex> lock(start_mutex);
  if (started) {
    return;
  }
  if (fault("no_cores")) { // the runtime logs, the framework raises: both words are documented
    const std::string line =
        "ERROR   NRT:nrt_allocate_neuron_cores               Logical Neuron Core(s) not available"
        " - Requested:1 Available:0";
    std::cerr << line << std::endl;
    throw std::runtime_error("Failed to initialize Neuron Runtime: status code 9: " + line);
  }
  if (fault("init_status_1") || device_count() == 0) {
    throw std::runtime_error("Failed to initialize Neuron Runtime: status code 1");
  }
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  start_queue();
  started = true;
}

} // namespace

void start_runtime() {
  if (forked) {
    throw std::runtime_error(
        "Cannot re-initialize Neuron runtime in forked subprocess. To use Neuron with "
        "multiprocessing, you must use the 'spawn' start method");
  }
  if (started) {
    return;
  }
  claim_cores();
  // On first use PyTorch imports its meta kernels, which takes a second: here, rather than in
  // the first operator, whose time would seem that of a compile.
  load_meta_kernels();
}

// ---------------------------------------------------------------- names of operators
namespace {
std::mutex names_mutex;
std::set<std::string> executed, fallen_back;
} // namespace

bool is_fallback(const std::string& name) {
  static const auto* const names = [] {
    const auto parts = split(setting("STANDIN_FALLBACK_OPS"));
    return new std::set<std::string>(parts.begin(), parts.end());
  }();
  return names->count(name) > 0;
}

void record_fallback(const std::string& name) {
  bool fresh = false;
  {
    const std::lock_guard<std::mutex> lock(names_mutex);
    fresh = fallen_back.insert(name).second;
  }
  static auto* const warned = new std::set<std::string>();
  if (fresh && warned->insert(name).second) {
    TORCH_WARN("operator ", name, " is not implemented on neuron and runs on the CPU");
  }
}

void record_executed(const std::string& name) {
  const std::lock_guard<std::mutex> lock(names_mutex);
  executed.insert(name);
}

std::vector<std::string> fallback_operators() {
  const std::lock_guard<std::mutex> lock(names_mutex);
  return {fallen_back.begin(), fallen_back.end()};
}

std::vector<std::string> executed_operators() {
  const std::lock_guard<std::mutex> lock(names_mutex);
  return {executed.begin(), executed.end()};
}

void clear_operators() {
  const std::lock_guard<std::mutex> lock(names_mutex);
  executed.clear();
  fallen_back.clear();
}

} // namespace standin
