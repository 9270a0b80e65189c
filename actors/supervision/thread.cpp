#include "actors/supervision/thread.hpp"

#include <csignal>
#include <pthread.h>
#include <utility>

namespace troupe {

void name_this_thread(const std::string& name) noexcept {
  char cut[max_thread_name + 1] = {};
  name.copy(cut, max_thread_name);
  pthread_setname_np(pthread_self(), cut);
}

std::thread start_thread(std::string name, std::function<void()> body) {
  // Blocked before the thread exists, so that there is no moment in which it could take a signal.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread made{[name = std::move(name), body = std::move(body)] {
      name_this_thread(name);
      body();
    }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return made;
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

} // namespace troupe
