#include "actors/sandbox/journal/record.hpp"

#include "actors/sandbox/journal/crc32c.hpp"

#include <algorithm>
#include <concepts>

namespace troupe::journal {
namespace {

constexpr std::uint8_t owner_tag = 1;
constexpr std::uint8_t effect_tag = 2;
constexpr std::uint8_t settled_tag = 3;
constexpr std::size_t crc_offset = 24;

template <std::unsigned_integral Number>
void put(std::string& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint16_t>(text.size()));
  out += text;
}

void put_located(std::string& out, const located& where) {
  put(out, static_cast<std::uint8_t>(where.base));
  put_text(out, where.path);
}

struct effect_writer {
  std::string& out;
  void operator()(const process_effect& e) const {
    put(out, static_cast<std::uint32_t>(e.pid));
    put(out, e.start_time);
    put_text(out, e.token);
  }
  void operator()(const mount_effect& e) const {
    put_located(out, e.target);
    put(out, e.mount_id);
  }
  void operator()(const tap_effect& e) const {
    put_text(out, e.name);
    put_text(out, e.netns);
  }
  void operator()(const auto& e) const { put_located(out, e.where); }
};

/// Takes fields off the front of a payload; after the first short field everything fails.
class reader {
public:
  explicit reader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral Number>
  outcome<Number> number(std::string_view field) {
    if (rest_.size() < sizeof(Number))
      return fail(errc::corrupt, "{}: cut short", field);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    rest_.remove_prefix(sizeof(Number));
    return static_cast<Number>(value);
  }

  outcome<std::string> text(std::string_view field) {
    const auto length = TRY(number<std::uint16_t>(field));
    if (rest_.size() < length)
      return fail(errc::corrupt, "{}: cut short", field);
    std::string value{rest_.substr(0, length)};
    rest_.remove_prefix(length);
    return value;
  }

  outcome<root> base(std::string_view field) {
    const auto value = TRY(number<std::uint8_t>(field));
    if (value < static_cast<std::uint8_t>(root::state) ||
        value > static_cast<std::uint8_t>(root::cgroup))
      return fail(errc::corrupt, "{}: {} is no root", field, value);
    return static_cast<root>(value);
  }

  outcome<located> where(std::string_view field) {
    const auto under = TRY(base(field));
    return located{under, TRY(text(field))};
  }

  [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }

private:
  std::string_view rest_;
};

outcome<effect> read_process(reader& in) {
  process_effect e;
  e.pid = static_cast<pid_t>(TRY(in.number<std::uint32_t>("process.pid")));
  e.start_time = TRY(in.number<std::uint64_t>("process.start_time"));
  e.token = TRY(in.text("process.token"));
  return e;
}

outcome<effect> read_mount(reader& in) {
  mount_effect e;
  e.target = TRY(in.where("mount.target"));
  e.mount_id = TRY(in.number<std::uint64_t>("mount.mount_id"));
  return e;
}

outcome<effect> read_tap(reader& in) {
  tap_effect e;
  e.name = TRY(in.text("tap.name"));
  e.netns = TRY(in.text("tap.netns"));
  return e;
}

outcome<effect> read_fields(std::uint8_t kind, reader& in) {
  switch (kind) {
  case 1:
    return read_process(in);
  case 2:
    return read_mount(in);
  case 3:
    return directory_effect{TRY(in.where("directory"))};
  case 4:
    return file_effect{TRY(in.where("file"))};
  case 5:
    return netns_effect{TRY(in.where("netns"))};
  case 6:
    return read_tap(in);
  case 7:
    return cgroup_effect{TRY(in.where("cgroup"))};
  default:
    return fail(errc::corrupt, "kind: {} is no effect", kind);
  }
}

outcome<record> read_effect(reader& in) {
  effect_record result;
  result.id = effect_id{TRY(in.number<std::uint32_t>("id"))};
  const auto kind = TRY(in.number<std::uint8_t>("kind"));
  result.what = TRY(read_fields(kind, in));
  if (auto sound = check(result.what); !sound)
    return fail(errc::corrupt, "{}", sound.error().text);
  return result;
}

outcome<record> read_owner_record(reader& in) {
  owner_record result;
  result.by.pid = static_cast<pid_t>(TRY(in.number<std::uint32_t>("owner.pid")));
  result.by.start_time = TRY(in.number<std::uint64_t>("owner.start_time"));
  const auto count = TRY(in.number<std::uint8_t>("owner.roots"));
  for (unsigned i = 0; i < count; ++i) {
    const auto which = TRY(in.base("owner.roots"));
    result.roots[which] = TRY(in.text("owner.roots"));
  }
  if (auto sound = check(result.roots); !sound)
    return fail(errc::corrupt, "{}", sound.error().text);
  return result;
}

outcome<record> read_record(reader& in) {
  switch (const auto tag = TRY(in.number<std::uint8_t>("tag")); tag) {
  case owner_tag:
    return read_owner_record(in);
  case effect_tag:
    return read_effect(in);
  case settled_tag:
    return settled_record{effect_id{TRY(in.number<std::uint32_t>("id"))}};
  default:
    return fail(errc::corrupt, "tag: {} is no record", tag);
  }
}

struct record_writer {
  std::string& out;
  void operator()(const owner_record& r) const {
    put(out, owner_tag);
    put(out, static_cast<std::uint32_t>(r.by.pid));
    put(out, r.by.start_time);
    put(out, static_cast<std::uint8_t>(r.roots.size()));
    for (const auto& [which, path] : r.roots)
      put_located(out, located{which, path});
  }
  void operator()(const effect_record& r) const {
    put(out, effect_tag);
    put(out, static_cast<std::uint32_t>(r.id));
    put(out, static_cast<std::uint8_t>(r.what.index() + 1));
    std::visit(effect_writer{out}, r.what);
  }
  void operator()(const settled_record& r) const {
    put(out, settled_tag);
    put(out, static_cast<std::uint32_t>(r.id));
  }
};

struct frame_view {
  boot_id boot{};
  std::string_view payload;
  std::size_t size = 0;
};

/// The whole length a frame at the start of `bytes` claims; nothing when it is no frame or the
/// claim itself is cut off.
std::optional<std::size_t> claimed_size(std::string_view bytes) {
  if (bytes.size() < frame_header_size || !bytes.starts_with(frame_magic))
    return std::nullopt;
  reader in{bytes.substr(frame_magic.size())};
  const auto version = in.number<std::uint16_t>("version");
  const auto length = in.number<std::uint16_t>("length");
  if (*version != frame_version || *length > max_payload)
    return std::nullopt;
  return frame_header_size + *length;
}

std::optional<frame_view> frame_at(std::string_view bytes) {
  const auto size = claimed_size(bytes);
  if (!size || *size > bytes.size())
    return std::nullopt;
  frame_view found;
  found.size = *size;
  found.payload = bytes.substr(frame_header_size, *size - frame_header_size);
  reader crc_field{bytes.substr(crc_offset)};
  const auto stored = crc_field.number<std::uint32_t>("crc");
  std::string covered{bytes.substr(0, crc_offset)};
  covered += found.payload;
  if (crc32c(covered) != *stored)
    return std::nullopt;
  for (std::size_t i = 0; i < found.boot.size(); ++i)
    found.boot[i] = static_cast<std::uint8_t>(bytes[8 + i]);
  return found;
}

std::size_t next_frame(std::string_view bytes, std::size_t from) {
  auto at = bytes.find(frame_magic, from);
  while (at != std::string_view::npos && !frame_at(bytes.substr(at)))
    at = bytes.find(frame_magic, at + 1);
  return at;
}

/// Whether `tail` is the beginning of a frame whose end was never written.
bool unfinished(std::string_view tail) {
  if (tail.size() < frame_header_size)
    return tail.substr(0, frame_magic.size()) == frame_magic.substr(0, tail.size());
  const auto size = claimed_size(tail);
  return size && *size > tail.size();
}

void note_damage(scan_result& result, std::size_t offset, std::string_view why) {
  if (!result.damage)
    result.damage = fail(errc::corrupt, "journal: damaged at offset {}: {}", offset, why).value();
}

} // namespace

std::string encode(const record& what) {
  std::string out;
  std::visit(record_writer{out}, what);
  return out;
}

outcome<record> decode(std::string_view payload) {
  reader in{payload};
  auto result = TRY(read_record(in));
  if (in.left() != 0)
    return fail(errc::corrupt, "{} bytes after the record", in.left());
  return result;
}

std::string frame(const boot_id& boot, std::string_view payload) {
  std::string out{frame_magic};
  put(out, frame_version);
  put(out, static_cast<std::uint16_t>(payload.size()));
  for (const auto byte : boot)
    put(out, byte);
  std::string covered{out};
  covered += payload;
  put(out, crc32c(covered));
  out += payload;
  return out;
}

scan_result scan(std::string_view bytes) {
  scan_result result;
  while (result.end < bytes.size()) {
    const auto found = frame_at(bytes.substr(result.end));
    if (found) {
      if (auto what = decode(found->payload))
        result.records.push_back({found->boot, *std::move(what)});
      else
        note_damage(result, result.end, what.error().text);
      result.end += found->size;
      continue;
    }
    const auto next = next_frame(bytes, result.end + 1);
    if (next == std::string_view::npos && unfinished(bytes.substr(result.end))) {
      result.torn = true;
      return result;
    }
    note_damage(result, result.end, "no sound frame");
    result.end = std::min(next, bytes.size());
  }
  return result;
}

} // namespace troupe::journal
