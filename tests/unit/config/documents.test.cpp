#include "config/keys.hpp"
#include "config/load.hpp"
#include "config/pattern.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

using namespace troupe;
using namespace troupe::config;
namespace fs = std::filesystem;

namespace {

const fs::path top = TROUPE_SOURCE_DIR;

std::string read_all(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string shown(bool value) {
  return value ? "`true`" : "`false`";
}
std::string shown(std::uint32_t value) {
  return fmt::format("`{}`", value);
}
template <class Period>
std::string shown(std::chrono::duration<std::int64_t, Period> value) {
  return fmt::format("`{}`", value.count());
}
std::string shown(const std::string& value) {
  return fmt::format("`\"{}\"`", value);
}
std::string shown(const std::vector<std::string>&) {
  return "`[]`";
}

template <class Table>
std::string rows(std::span<const key<Table>> keys) {
  static const Table defaults; // static: g++ 12 cannot see that it is initialised
  std::string all = "| key | default | range | annotation | meaning |\n|---|---|---|---|---|\n";
  for (const auto& row : keys) {
    const auto value = std::visit([&](auto member) { return shown(defaults.*member); }, row.where);
    const bool bounded = row.most != std::numeric_limits<std::uint32_t>::max();
    all += fmt::format("| `{}` | {} | {} | {} | {} |\n", row.name, value,
                       bounded ? fmt::format("{} ... {}", row.least, row.most) : "",
                       row.annotation ? "yes" : "", row.meaning);
  }
  return all;
}

/// The part of the page that is made from the rows.
std::string tables() {
  return fmt::format("### `[runtime]`\n\n{}\n### `[hypervisor.builtin]`\n\n{}\n"
                     "### `[hypervisor.qemu]`\n\n{}\n"
                     "### `[agent.troupe]` and `[agent.kata]`\n\n{}\n### `[budgets]`\n\n{}",
                     rows(runtime_keys()), rows(builtin_keys()), rows(qemu_keys()),
                     rows(agent_keys()), rows(budgets_keys()));
}

std::vector<fs::path> shipped() {
  std::vector<fs::path> found;
  for (const auto& each : fs::directory_iterator(top / "config"))
    if (each.path().extension() == ".toml")
      found.push_back(each.path());
  return found;
}

} // namespace

TEST_CASE("docs/configuration.md: its tables are the keys, their defaults and ranges") {
  const auto page = read_all(top / "docs/configuration.md");
  if (page.find(tables()) == std::string::npos) {
    std::puts(tables().c_str());
    FAIL("docs/configuration.md does not hold the tables printed above");
  }
}

TEST_CASE("shipped files: each loads without an error or a warning") {
  const auto files = shipped();
  REQUIRE_FALSE(files.empty());
  for (const auto& file : files) {
    INFO(file);
    const auto result = parse({{file.filename(), read_all(file)}});
    CHECK(result.errors == std::vector<std::string>{});
    CHECK(result.warnings == std::vector<std::string>{});
  }
}

TEST_CASE("shipped files: every commented key is a real one, with a value that is legal") {
  for (const auto& file : shipped()) {
    INFO(file);
    std::istringstream lines(read_all(file));
    std::string text;
    for (std::string line; std::getline(lines, line);)
      text += (line.starts_with("#") && !line.starts_with("# ") ? line.substr(1) : line) + "\n";
    const auto result = parse({{file.filename(), text}});
    CHECK(result.errors == std::vector<std::string>{});
    CHECK(result.warnings == std::vector<std::string>{});
  }
}

TEST_CASE("keys: no name stands for two rows") {
  const auto once = [](const auto& keys) {
    std::set<std::string_view> names;
    for (const auto& row : keys)
      CHECK(names.insert(row.name).second);
  };
  once(runtime_keys());
  once(qemu_keys());
  once(builtin_keys());
  once(agent_keys());
  once(budgets_keys());
}

TEST_CASE("keys: a host path that annotations may set always has its globs") {
  for (const auto keys : {qemu_keys(), builtin_keys()})
    for (const auto& row : keys)
      if (row.annotation && row.rule == text_rule::path)
        CHECK(row.valid_paths != nullptr);
  for (const auto& row : runtime_keys())
    CHECK_FALSE((row.annotation && row.rule == text_rule::path));
}

TEST_CASE("keys: what is QEMU's alone says in the built-in VMM's table why it is not there") {
  const auto builtin = builtin_keys();
  for (const auto& row : qemu_keys()) {
    INFO(row.name);
    const bool shared =
        std::ranges::find(builtin, row.name, &key<hypervisor_config>::name) != builtin.end();
    const auto foreign = find_foreign(table_kind::builtin, row.name);
    CHECK(shared == !foreign);
    CHECK((shared || !foreign->hint.empty()));
  }
}

TEST_CASE("patterns: whole words, bounded in length, without repetition counts") {
  const auto names = pattern::compile("default_.*|kernel");
  REQUIRE(names.has_value());
  CHECK(names->matches("default_vcpus"));
  CHECK(names->matches("kernel"));
  CHECK_FALSE(names->matches("kernel_params"));
  CHECK_FALSE(names->matches("my_default_vcpus"));
  const auto tricky = pattern::compile("kernel)|(x");
  CHECK_FALSE((tricky && tricky->matches("kernel_params")));
  CHECK(pattern::compile("a{9}{9}").error().text == "\"a{9}{9}\": a pattern must not hold braces");
  CHECK(pattern::compile("(").error().text == "\"(\" is no regular expression");
  CHECK(pattern::compile(std::string(129, 'a')).error().text ==
        "a pattern is longer than 128 bytes");
}

TEST_CASE("keys: the nearest name is near, or there is none") {
  const std::vector<std::string_view> names{"kernel", "initrd", "kernel_params"};
  CHECK(nearest("kernle", names) == "kernel");
  CHECK(nearest("kernel_param", names) == "kernel_params");
  CHECK(nearest("zebra", names) == std::nullopt);
  CHECK(nearest(std::string(1000, 'k'), names) == std::nullopt);
}
