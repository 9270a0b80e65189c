#include "actors/supervision/fault_plan.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace troupe {

namespace {

/// Whether `text` matches `pattern`, in which `*` stands for any text. Linear in both: on a
/// mismatch only the last star is tried again.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return std::ranges::all_of(pattern.substr(p), [](char c) { return c == '*'; });
}

/// The first word of `text`, which loses it.
std::string_view take_word(std::string_view& text) {
  constexpr std::string_view blanks = " \t\r";
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  const auto word = text.substr(0, text.find_first_of(blanks));
  text.remove_prefix(word.size());
  return word;
}

template <class Number>
std::optional<Number> to_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

constexpr std::array<std::pair<std::string_view, int>, 14> errno_names{{
    {"EACCES", EACCES},
    {"EAGAIN", EAGAIN},
    {"EBUSY", EBUSY},
    {"EEXIST", EEXIST},
    {"EINTR", EINTR},
    {"EINVAL", EINVAL},
    {"EIO", EIO},
    {"EMFILE", EMFILE},
    {"ENODEV", ENODEV},
    {"ENOENT", ENOENT},
    {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC},
    {"EPERM", EPERM},
    {"ETIMEDOUT", ETIMEDOUT},
}};

outcome<failure> parse_failure(std::string_view name) {
  constexpr auto text = "failed by the fault plan";
  const auto known = std::ranges::find(errno_names, name, &std::pair<std::string_view, int>::first);
  if (known != errno_names.end())
    return failure{errc::host_io, text, known->second};
  for (std::uint8_t code = 1; code <= errc_count; ++code) {
    if (troupe::name(static_cast<errc>(code)) == name)
      return failure{static_cast<errc>(code), text, 0};
  }
  return fail(errc::invalid_argument, "fail({}): neither an errno nor an error code we know", name);
}

outcome<fault_action> parse_action(std::string_view text) {
  if (text == "kill")
    return fault_action{fault_kind::kill, {}, {}};
  if (text == "throw")
    return fault_action{fault_kind::throw_up, {}, {}};
  if (text == "drop")
    return fault_action{fault_kind::drop, {}, {}};
  const auto open = text.find('(');
  if (open == std::string_view::npos || !text.ends_with(')'))
    return fail(errc::invalid_argument, "action \"{}\"", text);
  const auto word = text.substr(0, open);
  const auto argument = text.substr(open + 1, text.size() - open - 2);
  if (word == "fail")
    return fault_action{fault_kind::fail, {}, TRY(parse_failure(argument))};
  const auto ms = to_number<std::uint32_t>(argument);
  if (word != "delay" || !ms || milliseconds{*ms} > max_fault_delay)
    return fail(errc::invalid_argument, "action \"{}\"", text);
  return fault_action{fault_kind::delay, milliseconds{*ms}, {}};
}

} // namespace

class fault_rule_parser {
public:
  static outcome<fault_plan::rule> parse(std::string_view line) {
    fault_plan::rule made;
    made.pattern = take_word(line);
    made.action = TRY(parse_action(take_word(line)));
    TRY(parse_when(take_word(line), made));
    TRY(parse_seed(line, made));
    if (!take_word(line).empty())
      return fail(errc::invalid_argument, "too many words");
    return made;
  }

private:
  static outcome<void> parse_when(std::string_view when, fault_plan::rule& made) {
    if (when.empty())
      return {};
    const auto bad = fail(errc::invalid_argument, "when \"{}\"", when);
    if (when.front() == '%') {
      made.probability = to_number<double>(when.substr(1));
      if (!made.probability || !(*made.probability >= 0.0 && *made.probability <= 1.0))
        return bad;
      return {};
    }
    const bool open_end = when.ends_with('+');
    if (open_end)
      when.remove_suffix(1);
    const auto hit =
        when.starts_with('@') ? to_number<std::uint64_t>(when.substr(1)) : std::nullopt;
    if (!hit || *hit == 0)
      return bad;
    made.first = *hit;
    made.last = open_end ? UINT64_MAX : *hit;
    return {};
  }

  static outcome<void> parse_seed(std::string_view& line, fault_plan::rule& made) {
    const auto word = take_word(line);
    if (word.empty())
      return {};
    const auto seed = to_number<std::uint32_t>(take_word(line));
    if (word != "seed" || !seed || !made.probability)
      return fail(errc::invalid_argument, "\"{}\": only \"seed NUMBER\" after a probability", word);
    made.dice.seed(*seed);
    return {};
  }
};

bool fault_plan::rule::acts() {
  ++hits;
  if (probability) {
    // Not a std distribution: a seed must mean the same with every standard library.
    const auto span = static_cast<double>(std::minstd_rand::max() - std::minstd_rand::min());
    return static_cast<double>(dice() - std::minstd_rand::min()) < *probability * span;
  }
  return hits >= first && hits <= last;
}

outcome<std::shared_ptr<fault_plan>> fault_plan::parse(std::span<const std::string> rules) {
  auto plan = std::make_shared<fault_plan>();
  std::size_t number = 0;
  for (const std::string_view line : rules) {
    ++number;
    auto rest = line;
    const auto word = take_word(rest);
    if (word.empty() || word.front() == '#')
      continue;
    if (plan->rules_.size() >= max_fault_rules)
      return fail(errc::resource_exhausted, "fault plan: {} rules are the most", max_fault_rules);
    auto rule = fault_rule_parser::parse(line);
    if (!rule)
      return within(fmt::format("fault plan: rule {}", number), std::move(rule).error());
    plan->rules_.push_back(*std::move(rule));
  }
  plan->armed_ = !plan->rules_.empty();
  return plan;
}

outcome<std::shared_ptr<fault_plan>> fault_plan::parse_text(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    lines.emplace_back(line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return parse(lines);
}

outcome<void> fault_plan::arm(std::string_view text) {
  auto made = TRY(parse_text(text));
  const std::lock_guard lock{mutex_};
  rules_ = std::move(made->rules_);
  armed_.store(!rules_.empty(), std::memory_order_relaxed);
  return {};
}

std::optional<fault_action> fault_plan::hit(std::string_view point) {
  const std::lock_guard lock{mutex_};
  std::optional<fault_action> acting;
  bool left = false;
  for (auto& rule : rules_) {
    if (matches(rule.pattern, point) && rule.acts() && !acting)
      acting = rule.action;
    left = left || rule.hits < rule.last;
  }
  armed_.store(left, std::memory_order_relaxed);
  if (acting && acting->kind == fault_kind::fail)
    acting->why.text = fmt::format("{}: {}", point, acting->why.text);
  return acting;
}

} // namespace troupe
