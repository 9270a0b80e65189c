// `troupectl ps` and `troupectl sweep`: what the journals tell, and undoing what dead owners left.

#include "tools/ctl/pods.hpp"

#include "actors/sandbox/journal/record.hpp"
#include "actors/sandbox/pod/run_folders.hpp"
#include "messages/vocabulary/ids.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace troupe::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr milliseconds sweep_patience{60'000};
/// So much of a pod's hash stands in its folder's name; the whole is its socket's.
constexpr std::size_t hash_in_name = 12;

outcome<std::size_t> count_effects(const std::string& path) {
  std::error_code error;
  if (const auto size = fs::file_size(path, error); error || size > journal::max_file_size)
    return fail(errc::corrupt, "{}: missing or too large", path);
  std::ifstream file{path, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  std::set<journal::effect_id> live;
  for (const auto& one : journal::scan(bytes).records) {
    if (const auto* made = std::get_if<journal::effect_record>(&one.what))
      live.insert(made->id);
    else if (const auto* gone = std::get_if<journal::settled_record>(&one.what))
      live.erase(gone->id);
  }
  return live.size();
}

pod_row read_pod(const fs::path& folder) {
  pod_row out;
  out.name = folder.filename().string();
  const auto path = (folder / journal::file_name).string();
  const auto owner = journal::read_owner(path);
  if (!owner) {
    out.problem = owner.error().text;
    return out;
  }
  out.pid = owner->pid;
  out.alive = journal::alive(*owner);
  if (const auto count = count_effects(path))
    out.effects = *count;
  else
    out.problem = count.error().text;
  return out;
}

std::string dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

} // namespace

std::string pods_root() {
  return pod::run_root() + "/pods";
}

outcome<std::vector<pod_row>> list_pods(const std::string& root) {
  std::vector<pod_row> out;
  std::error_code error;
  for (fs::directory_iterator at{root, error}, end; !error && at != end; at.increment(error))
    if (std::error_code ignored; at->symlink_status(ignored).type() == fs::file_type::directory)
      out.push_back(read_pod(at->path()));
  if (error && error != std::errc::no_such_file_or_directory)
    return fail_errno("read " + root, error.value());
  std::sort(out.begin(), out.end(),
            [](const pod_row& a, const pod_row& b) { return a.name < b.name; });
  return out;
}

std::string pods_text(const std::vector<pod_row>& rows, bool json) {
  if (!json) {
    auto out = fmt::format("{:<40} {:>8}  {:<5} {:>7}\n", "POD", "PID", "STATE", "EFFECTS");
    for (const auto& row : rows)
      out += fmt::format("{:<40} {:>8}  {:<5} {:>7}{}{}\n", row.name, row.pid,
                         row.alive ? "alive" : "dead", row.effects, row.problem.empty() ? "" : "  ",
                         row.problem);
    return out;
  }
  auto out = ordered_json::array();
  for (const auto& row : rows) {
    ordered_json one = {
        {"pod", row.name}, {"pid", row.pid}, {"alive", row.alive}, {"effects", row.effects}};
    if (!row.problem.empty())
      one["problem"] = row.problem;
    out.push_back(std::move(one));
  }
  return dump(out);
}

std::string sweep_text(const std::vector<journal::swept>& rows, bool json) {
  auto list = ordered_json::array();
  std::string out;
  for (const auto& row : rows) {
    const auto problem = row.problem ? row.problem->to_string() : "";
    out += fmt::format("{}: {}{}{}\n", row.directory, row.undo.to_string(),
                       problem.empty() ? "" : "; ", problem);
    ordered_json one = {{"directory", row.directory},
                        {"undone", row.undo.undone},
                        {"remaining", ordered_json::array()}};
    for (const auto& left : row.undo.remaining)
      one["remaining"].push_back(
          {{"effect", journal::describe(left.what.what)}, {"why", left.why.to_string()}});
    if (!problem.empty())
      one["problem"] = problem;
    list.push_back(std::move(one));
  }
  if (json)
    return dump(list);
  return out.empty() ? "nothing to sweep\n" : out;
}

outcome<std::string> door_of(const std::string& pod) {
  // A folder's name is an id and, of a shim's pod, a part of the hash.
  if (pod.empty() || pod.find('/') != std::string::npos || pod.front() == '.' ||
      pod.size() > max_id_length + 1 + hash_in_name)
    return fail(errc::invalid_argument, "pod \"{}\": no name of a pod", pod);
  std::error_code error;
  const auto own = pods_root() + "/" + pod + "/" + door_name;
  if (fs::exists(own, error))
    return own;
  const auto dash = pod.rfind('-');
  const auto hash = dash == std::string::npos ? "" : pod.substr(dash + 1);
  if (hash.size() == hash_in_name)
    for (fs::directory_iterator at{pod::run_root() + "/s", error}, end; !error && at != end;
         at.increment(error))
      if (const auto name = at->path().filename().string();
          name.starts_with(hash) && !name.ends_with(".lock"))
        return at->path().string();
  return fail(errc::not_found, "pod {}: no socket of it; see troupectl ps", pod);
}

int carry_out(const ps_options& options) {
  const auto rows = list_pods(pods_root());
  if (!rows) {
    complain(within("ps", rows.error()).value(), options.json);
    return 1;
  }
  std::fputs(pods_text(*rows, options.json).c_str(), stdout);
  return 0;
}

int carry_out(const sweep_options& options) {
  const auto host = journal::make_host_effects();
  const auto rows = journal::sweep(pods_root(), *host, monotonic_clock::now() + sweep_patience);
  if (!rows) {
    complain(within("sweep", rows.error()).value(), options.json);
    return 1;
  }
  std::fputs(sweep_text(*rows, options.json).c_str(), stdout);
  const bool clean = std::all_of(rows->begin(), rows->end(), [](const journal::swept& row) {
    return row.undo.clean() && !row.problem;
  });
  return clean ? 0 : 1;
}

} // namespace troupe::ctl
