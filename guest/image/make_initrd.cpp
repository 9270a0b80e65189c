#include "guest/image/initrd.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace {

using namespace troupe;

outcome<void> make(const std::string& agent, const std::string& out,
                   const std::vector<std::string>& additions) {
  auto entries = image::standard_layout(TRY(image::read_file(agent)));
  for (const auto& words : additions)
    TRY(image::add(entries, TRY(image::added_file(words))));
  return image::replace_file(out, TRY(image::to_cpio(entries)));
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes the guest's initrd: an uncompressed cpio with AGENT as /init.",
               "make_initrd");
  std::string agent;
  std::string out;
  std::vector<std::string> additions;
  app.add_option("AGENT", agent, "static program that becomes /init")->required();
  app.add_option("OUT", out, "archive to write")->required();
  app.add_option("--add", additions, "SOURCE:DESTINATION[:MODE], one more file")
      ->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);

  if (const auto made = make(agent, out, additions); !made) {
    fmt::print(stderr, "make_initrd: {}\n", made.error().to_string());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
