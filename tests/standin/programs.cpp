// The compile cache: a program (NEFF) for each operator and shape, or for each graph.
#include "standin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_set>

namespace standin {
namespace {

thread_local bool graph_running = false;

class Programs {
 public:
  // Makes the program of an operator ready: the eager path, on the device's thread.
  void load(const Job& job) {
    bool known = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      known = !loaded_.insert(job.signature).second;
    }
    if (known && !is_recompile_due()) {
      count("InMemoryHits");
      return;
    }
    make(job.signature, job.name, number("STANDIN_COMPILE_MS", 2), known);
  }

  void make_graph(uint64_t key, const std::string& name, int64_t milliseconds) {
    make(key, name, milliseconds, false);
  }

  void run_graph(uint64_t key, const std::string& name) {
    if (is_recompile_due()) {
      make(key, name, number("STANDIN_GRAPH_COMPILE_MS", 50), true);
    } else {
      count("InMemoryHits");
    }
  }

  std::map<std::string, int64_t> counters() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counters_;
  }

  std::pair<int64_t, int64_t> compilation_time() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {samples_, total_us_};
  }

  void clear_counters() {
    const std::lock_guard<std::mutex> lock(mutex_);
    counters_.clear();
  }

  void clear_metrics() {
    const std::lock_guard<std::mutex> lock(mutex_);
    samples_ = total_us_ = 0;
  }

  std::atomic<bool> enabled{is_on("TORCH_NEURONX_METRICS_ENABLED", false)};

 private:
  void make(uint64_t key, const std::string& name, int64_t milliseconds, bool again) {
    count("InMemoryMisses");
    const auto path = file_of(key);
    if (!again && !path.empty() && ::access(path.c_str(), R_OK) == 0) {
      count("PersistentHits");
      return;
    }
    if (!path.empty()) {
      count("PersistentMisses");
    }
    fail_to_compile(name);
    const auto begin = now_ns();
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    if (!path.empty()) {
      write(path, name);
    }
    count("TotalCompilations");
    const std::lock_guard<std::mutex> lock(mutex_);
    if (enabled) {
      samples_ += 1;
      total_us_ += (now_ns() - begin) / 1000;
    }
  }

  static void fail_to_compile(const std::string& name) {
    const auto applies = [&](const Fault* failure) {
      return failure && (failure->argument.empty() || failure->argument == name);
    };
    if (applies(fault("compile_oom"))) { // words of the page of that code, read 2026-11
      throw std::runtime_error(
          "[NCC_EOOM001] The combined memory needed for the model's activation tensors exceeds "
          "the high-bandwidth memory limit. (" +
          name + ")");
    }
    if (applies(fault("unsupported_op"))) {
      throw std::runtime_error(
          "[NCC_EVRF001] An unsupported operator was used. (" + name + ")");
    }
  }

  bool is_recompile_due() {
    const auto* failure = fault("recompile");
    return failure && ++launches_ % failure->count(10) == 0;
  }

  static std::string file_of(uint64_t key) {
    if (is_on("TORCH_NEURONX_DISABLE_NEFF_CACHE", false)) {
      return "";
    }
    std::array<char, 32> name{};
    std::snprintf(name.data(), name.size(), "%016llx", static_cast<unsigned long long>(key));
    return folder() + "/" + name.data() + ".neff";
  }

  // Read each time: the package sets a default when it is imported.
  static std::string folder() {
    return setting("TORCH_NEURONX_NEFF_CACHE_DIR", "/tmp/neff_cache");
  }

  static void write(const std::string& path, const std::string& name) {
    std::string part;
    for (const char letter : folder() + "/") { // mkdir -p
      part += letter;
      if (letter == '/' && part.size() > 1 && ::mkdir(part.c_str(), 0777) != 0 &&
          errno != EEXIST) {
        throw std::runtime_error("the NEFF cache folder " + folder() + " can't be made");
      }
    }
    const auto unfinished = path + "." + std::to_string(::getpid());
    std::ofstream(unfinished) << "stand-in program of " << name << "\n";
    if (std::rename(unfinished.c_str(), path.c_str()) != 0) {
      throw std::runtime_error("the NEFF cache file " + path + " can't be written");
    }
  }

  void count(const char* name) {
    if (enabled) {
      const std::lock_guard<std::mutex> lock(mutex_);
      counters_[std::string("CompilationCache.") + name] += 1;
    }
  }

  std::mutex mutex_;
  std::unordered_set<uint64_t> loaded_;
  std::map<std::string, int64_t> counters_;
  int64_t samples_ = 0, total_us_ = 0;
  std::atomic<int64_t> launches_{0};
};

Programs& programs() {
  static auto* const all = new Programs();
  return *all;
}

} // namespace

void load_program(const Job& job) {
  try {
    programs().load(job);
  } catch (const std::exception&) {
    // Documented default since 2.33: a failed compile raises. "0" runs it on the CPU instead.
    if (is_on("TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION", true)) {
      throw;
    }
    record_fallback(job.name);
  }
}

void compile_graph(uint64_t key, const std::string& name, int64_t milliseconds) {
  start_runtime();
  programs().make_graph(key, name, milliseconds);
}

void begin_graph(uint64_t key, const std::string& name) {
  programs().run_graph(key, name);
  graph_running = true;
}

void end_graph() {
  graph_running = false;
}

bool in_graph() {
  return graph_running;
}

bool are_metrics_enabled() {
  return programs().enabled;
}

void enable_metrics(bool enabled) {
  programs().enabled = enabled;
}

std::map<std::string, int64_t> counters() {
  return programs().counters();
}

std::pair<int64_t, int64_t> compilation_time() {
  return programs().compilation_time();
}

void clear_counters() {
  programs().clear_counters();
}

void clear_metrics() {
  programs().clear_metrics();
}

} // namespace standin
