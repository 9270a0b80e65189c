#include "actors/container/io/stdio_pump.hpp"

#include "actors/container/io/input_pump.hpp"

#include <asio/post.hpp>

#include <utility>

namespace troupe::stdio {

class stdio_pump::core : public std::enable_shared_from_this<core> {
public:
  core(asio::io_context& io, bool terminal, drained done)
      : io_(io), terminal_(terminal), done_(std::move(done)) {}

  outcome<void> open(const stdio_paths& paths);
  void start(const std::shared_ptr<stream_source>& source);
  void resume(const std::shared_ptr<stream_source>& source);
  void close_stdin() { in_->close_when_read(); }
  void close();

  template <class Job>
  void post(Job job) {
    asio::post(io_, [self = shared_from_this(), job = std::move(job)] { job(*self); });
  }

private:
  std::shared_ptr<output_pump> make(output which);
  void run(const std::shared_ptr<output_pump>& pump, const std::shared_ptr<stream_source>& source);
  void tell_if_resting();

  asio::io_context& io_;
  bool terminal_;
  drained done_;
  std::shared_ptr<input_pump> in_;
  std::shared_ptr<output_pump> out_;
  std::shared_ptr<output_pump> err_;
};

std::shared_ptr<output_pump> stdio_pump::core::make(output which) {
  return std::make_shared<output_pump>(io_, which, [weak = weak_from_this()] {
    if (const auto self = weak.lock())
      self->tell_if_resting();
  });
}

outcome<void> stdio_pump::core::open(const stdio_paths& paths) {
  in_ = std::make_shared<input_pump>(io_);
  out_ = make(output::out);
  err_ = make(output::err);
  TRY(in_->attach(TRY(open_input(paths.in, terminal_))));
  TRY(out_->attach(TRY(open_output("stdout", paths.out))));
  if (!terminal_)
    TRY(err_->attach(TRY(open_output("stderr", paths.err))));
  return {};
}

void stdio_pump::core::start(const std::shared_ptr<stream_source>& source) {
  out_->run(source);
  if (!terminal_)
    err_->run(source);
  in_->run(source);
}

void stdio_pump::core::resume(const std::shared_ptr<stream_source>& source) {
  for (const auto& pump : {out_, err_})
    if (pump->resting())
      pump->run(source);
}

void stdio_pump::core::tell_if_resting() {
  if (out_->resting() && (terminal_ || err_->resting()) && done_)
    done_({in_->report(), out_->report(), err_->report()});
}

void stdio_pump::core::close() {
  done_ = nullptr;
  in_->close();
  out_->close();
  err_->close();
}

outcome<stdio_pump> stdio_pump::open(asio::io_context& io, const stdio_paths& paths, drained done) {
  auto made = std::make_shared<core>(io, paths.terminal, std::move(done));
  TRY(made->open(paths));
  return stdio_pump{std::move(made)};
}

stdio_pump::~stdio_pump() {
  if (core_)
    close();
}

void stdio_pump::start(std::shared_ptr<stream_source> source) const {
  core_->post([source = std::move(source)](core& self) { self.start(source); });
}

void stdio_pump::close_stdin() const {
  core_->post([](core& self) { self.close_stdin(); });
}

void stdio_pump::resume(std::shared_ptr<stream_source> source) const {
  core_->post([source = std::move(source)](core& self) { self.resume(source); });
}

void stdio_pump::close() const {
  core_->post([](core& self) { self.close(); });
}

} // namespace troupe::stdio
