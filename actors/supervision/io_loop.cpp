#include "actors/supervision/io_loop.hpp"

#include "actors/supervision/thread.hpp"
#include "messages/vocabulary/log.hpp"

#include <exception>

namespace troupe {

io_loop::io_loop(std::string name)
    : name_(std::move(name)), thread_(start_thread(name_, [this] { run(); })) {}

io_loop::~io_loop() {
  stop();
}

void io_loop::stop() {
  context_.stop();
  if (thread_.joinable())
    thread_.join();
}

void io_loop::run() noexcept {
  while (!context_.stopped()) {
    try {
      context_.run();
    } catch (const std::exception& e) {
      log::error(name_, "a handler threw: {}", e.what());
    } catch (...) {
      log::error(name_, "a handler threw an exception of unknown type");
    }
  }
}

} // namespace troupe
