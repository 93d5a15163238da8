// The device's thread: work in order, stamps, and the failures of kernels.
#include "standin.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace standin {
namespace {

struct Served {
  bool stamped;
  Stamp stamp;
};

class Queue {
  struct Silence final : c10::WarningHandler { // the CPU's warnings are not this device's
    void process(const c10::Warning&) override {}
  } silence_;

 public:
  void start() {
    thread_ = std::thread([this] { serve(); });
  }

  void put(Job job) {
    if (!job.enqueued_ns) {
      job.enqueued_ns = now_ns();
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    ready_.notify_one();
  }

  void wait() {
    std::exception_ptr error;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (held_ && !jobs_.empty()) {
        throw std::runtime_error("the stand-in is held: this would wait for ever");
      }
      idle_.wait(lock, [this] { return jobs_.empty() && !running_; });
      const auto now = now_ns();
      for (; waited_ < stamps_.size(); ++waited_) {
        stamps_[waited_].synchronized_ns = now;
      }
      std::swap(error, error_);
    }
    if (error) {
      std::rethrow_exception(error);
    }
  }

  std::vector<Stamp> take_stamps() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Stamp> taken;
    taken.swap(stamps_);
    waited_ = 0;
    return taken;
  }

  int64_t pending() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return static_cast<int64_t>(jobs_.size()) + (running_ ? 1 : 0);
  }

  void hold(bool held) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ = held;
    }
    ready_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      jobs_.clear();
    }
    ready_.notify_one();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  void serve() {
    const at::AutoDispatchBelowADInplaceOrView below;
    const c10::AutoGradMode no_gradients(false);
    const c10::WarningUtils::WarningHandlerGuard quiet(&silence_);
    bool rested = true;
    while (true) {
      Job job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        ready_.wait(lock, [this] { return stopping_ || (!held_ && !jobs_.empty()); });
        if (stopping_) {
          return;
        }
        job = std::move(jobs_.front());
        jobs_.pop_front();
        running_ = true;
      }
      if (rested) { // a device at rest takes a while to start; one with a full queue doesn't
        spin_until(job.enqueued_ns + launch_ns_);
      }
      rested = finish(serve(std::move(job)));
    }
  }

  static void spin_until(int64_t time_ns) {
    while (now_ns() < time_ns) {
    }
  }

  // Returns the stamp of the job after all that it costs: its memory is given back by then.
  Served serve(Job job) {
    auto begin = now_ns();
    try {
      if (!job.name.empty()) {
        const auto kernel = ++kernels_;
        if (!job.in_graph) {
          load_program(job);
          record_executed(job.name);
        }
        if (job.busy_ns && now_ns() - begin > 1'000'000) {
          begin = now_ns(); // that was a compile, not the kernel
        }
        fail_before(kernel);
      }
      job.work();
      spoil(job);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) {
        error_ = std::current_exception();
      }
    }
    const auto busy_ns = job.busy_ns;
    const auto enqueued_ns = job.enqueued_ns;
    job = Job();
    spin_until(busy_ns ? begin + busy_ns : 0);
    return {busy_ns > 0, {enqueued_ns, begin, now_ns(), 0}};
  }

  // Whether the device rests now.
  bool finish(const Served& served) {
    bool idle = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (served.stamped) {
        stamps_.push_back(served.stamp);
      }
      running_ = false;
      idle = jobs_.empty();
    }
    if (idle) {
      idle_.notify_all();
    }
    return idle;
  }

  void fail_before(int64_t kernel) {
    const auto due = [&](const Fault* failure) {
      return failure && kernel == failure->count(1);
    };
    if (due(fault("crash"))) {
      std::abort();
    }
    if (due(fault("exec_timeout"))) {
      throw std::runtime_error(
          "NRT Error NRT_TIMEOUT(5): execution timeout (30000 ms), model: standin");
    }
    if (due(fault("hang"))) {
      while (!is_stopping()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  }

  static void spoil(const Job& job) {
    const auto* failure = fault("numeric");
    if (!failure || (!failure->argument.empty() && failure->argument != job.name)) {
      return;
    }
    for (const auto& result : job.results) {
      if (result.defined() && result.is_floating_point()) {
        result.fill_(std::numeric_limits<double>::quiet_NaN());
      }
    }
  }

  bool is_stopping() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stopping_;
  }

  std::mutex mutex_;
  std::condition_variable ready_, idle_;
  std::deque<Job> jobs_;
  bool running_ = false, held_ = false, stopping_ = false;
  std::exception_ptr error_;
  std::vector<Stamp> stamps_;
  size_t waited_ = 0;
  int64_t kernels_ = 0;
  const int64_t launch_ns_ = number("STANDIN_LAUNCH_US", 0) * 1000;
  std::thread thread_;
};

Queue& queue() {
  static auto* const the_queue = new Queue(); // outlives every tensor
  return *the_queue;
}

} // namespace

void start_queue() {
  queue().start();
}

void enqueue(Job job) {
  start_runtime();
  job.in_graph = in_graph();
  queue().put(std::move(job));
  static const bool blocks = is_on("NEURON_LAUNCH_BLOCKING", false);
  if (blocks) {
    drain();
  }
}

void drain() {
  start_runtime();
  queue().wait();
}

std::vector<Stamp> take_stamps() {
  return queue().take_stamps();
}

int64_t pending() {
  return queue().pending();
}

void hold(bool held) {
  queue().hold(held);
}

void stop() {
  if (is_started() && !is_forked()) {
    queue().stop();
  }
}

} // namespace standin
