#include "tools/bench/command_line.hpp"

#include "tools/bench/bench.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace troupe::bench {
namespace {

/// Exit status of a command line that is wrong.
constexpr int wrong_line = 2;

parsed refused(const std::string& text) {
  return {std::nullopt, text + "\nRun with --help for more information.\n", wrong_line};
}

parsed checked(request what, bool has_n) {
  if (what.list)
    return {std::move(what), "", 0};
  if (what.name.empty())
    return refused("NAME: which bench? --list names them");
  const auto* found = find_bench(what.name);
  if (found == nullptr)
    return refused(fmt::format("NAME: '{}' is no bench; --list names them", what.name));
  if (!has_n)
    what.n = found->default_n;
  return {std::move(what), "", 0};
}

} // namespace

parsed parse_words(std::span<const char* const> words) {
  CLI::App app{"Measures Troupe against its peers: a JSON object a line on standard output, what "
               "happens meanwhile on standard error. Needs root.",
               "troupe-bench"};
  request what;
  bool json = true;
  app.add_option("NAME", what.name, "The bench");
  app.add_flag("--list", what.list, "Name the benches");
  app.add_flag("--json", json, "Print JSON, which is the default and the only form");
  const auto* n = app.add_option("--n", what.n, "Rounds, or pods of each kind: see --list")
                      ->check(CLI::Range(std::uint32_t{1}, max_rounds));
  app.footer("TROUPE_BUILD=DIR: measure the build in DIR instead of the one this program is of.");
  std::vector<std::string> reversed{words.rbegin(), words.rend()};
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Success&) {
    return {std::nullopt, app.help(), 0};
  } catch (const CLI::ParseError& error) {
    return refused(error.what());
  }
  return checked(std::move(what), n->count() > 0);
}

} // namespace troupe::bench
