#include "actors/sandbox/hypervisor/qemu/qmp.hpp"

namespace troupe::hypervisor::qemu::qmp {
namespace {

using nlohmann::json;

constexpr std::size_t shown = 120; // of a bad line in an error text

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::optional<std::uint64_t> id_of(const json& object) {
  const auto found = object.find("id");
  if (found == object.end() || !found->is_number_unsigned())
    return std::nullopt;
  return found->get<std::uint64_t>();
}

std::uint64_t number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

/// {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}}}
message read_greeting(const json& body) {
  json version = json::object();
  if (body.is_object() && body.contains("version") && body["version"].is_object() &&
      body["version"].contains("qemu") && body["version"]["qemu"].is_object())
    version = body["version"]["qemu"];
  return greeting{fmt::format("{}.{}.{}", number_of(version, "major"), number_of(version, "minor"),
                              number_of(version, "micro"))};
}

message read_refusal(const json& object) {
  const auto& body = object["error"];
  if (!body.is_object())
    return refusal{id_of(object), {}, {}};
  return refusal{id_of(object), text_of(body, "class"), text_of(body, "desc")};
}

} // namespace

outcome<message> parse(std::string_view line) {
  const auto object = json::parse(line, nullptr, false);
  if (!object.is_object())
    return fail(errc::peer_fault, "qemu: QMP: no JSON object: {}", line.substr(0, shown));
  if (object.contains("QMP"))
    return read_greeting(object["QMP"]);
  if (object.contains("event"))
    return event{text_of(object, "event"), object.value("data", json::object())};
  if (object.contains("error"))
    return read_refusal(object);
  const auto id = id_of(object);
  if (object.contains("return") && id)
    return answer{*id, object["return"]};
  return fail(errc::peer_fault, "qemu: QMP: unknown message: {}", line.substr(0, shown));
}

std::string command(std::uint64_t id, std::string_view name, const json& arguments) {
  json object{{"execute", name}, {"id", id}};
  if (!arguments.is_null())
    object["arguments"] = arguments;
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

outcome<void> splitter::feed(std::string_view bytes) {
  buffer_ += bytes;
  const auto last_end = buffer_.rfind('\n');
  const auto open = last_end == std::string::npos ? buffer_.size() : buffer_.size() - last_end - 1;
  if (open > max_line)
    return fail(errc::peer_fault, "qemu: QMP: a line is longer than {} bytes", max_line);
  return {};
}

std::optional<std::string> splitter::next() {
  const auto end = buffer_.find('\n');
  if (end == std::string::npos)
    return std::nullopt;
  auto line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  if (!line.empty() && line.back() == '\r')
    line.pop_back();
  return line;
}

} // namespace troupe::hypervisor::qemu::qmp
