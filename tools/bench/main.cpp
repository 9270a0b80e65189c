// troupe-bench: ours beside its peers, measured in the same run.

#include "tools/bench/bench.hpp"
#include "tools/bench/command_line.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace troupe::bench {
namespace {

constexpr int could_not_measure = 1;
constexpr int interrupted = 130;

std::string build_folder() {
  if (const char* given = std::getenv("TROUPE_BUILD"); given != nullptr && *given != '\0')
    return std::filesystem::absolute(given).lexically_normal().string();
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error)
      .parent_path()
      .parent_path()
      .string();
}

/// Load of the machine and time stolen from it: whoever reads a figure wants to know.
void note_load(const char* when) {
  std::ifstream load{"/proc/loadavg"};
  std::ifstream stat{"/proc/stat"};
  std::string averages;
  std::string cpu;
  std::getline(load, averages);
  std::getline(stat, cpu);
  note(fmt::format("{}: load {}; {}", when, averages, cpu));
}

int measure(const bench& which, std::uint32_t n, const std::string& build, const world& where) {
  const auto stop = stop_signal::install();
  if (!stop) {
    note(stop.error().to_string());
    return could_not_measure;
  }
  note_load("before");
  const auto rows = which.run({n, build, where, *stop});
  note_load("after");
  if (!rows) {
    note(fmt::format("{}: {}", which.name, rows.error().to_string()));
    return rows.error().code == errc::cancelled ? interrupted : could_not_measure;
  }
  for (const auto& each : *rows)
    std::printf("%s\n", json_line(each).c_str());
  std::fflush(stdout);
  return 0;
}

int list() {
  for (const auto& each : all_benches())
    std::printf("%s: %s (--n: %s, %u by default)\n", each.name.data(), each.about.data(),
                each.counts.data(), each.default_n);
  return 0;
}

int carry_out(const request& what) {
  if (what.list)
    return list();
  const auto* which = find_bench(what.name);
  const auto build = build_folder(); // the world has another /proc
  const auto status =
      in_own_world([&](const world& where) { return measure(*which, what.n, build, where); });
  if (!status) {
    note(status.error().to_string());
    return could_not_measure;
  }
  return *status;
}

} // namespace
} // namespace troupe::bench

int main(int argc, char** argv) {
  using namespace troupe::bench;
  const auto line = parse_words({argv + 1, static_cast<std::size_t>(argc - 1)});
  if (line.what)
    return carry_out(*line.what);
  std::fprintf(line.status == 0 ? stdout : stderr, "%s", line.text.c_str());
  return line.status;
}
