#include "tools/bench/image.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <nlohmann/json.hpp>
#include <sha256.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>

namespace troupe::bench {
namespace {

constexpr const char* busybox = "/bin/busybox";

/// A tar in memory.
class tar_writer {
public:
  tar_writer() : archive_(::archive_write_new(), ::archive_write_free) {
    ::archive_write_set_format_pax_restricted(archive_.get());
    ::archive_write_set_bytes_in_last_block(archive_.get(), 1);
    ::archive_write_open(archive_.get(), &bytes_, nullptr, &tar_writer::append, nullptr);
  }
  void folder(const char* path) { add(path, AE_IFDIR, 0755, {}, nullptr); }
  void link(const char* path, const char* target) { add(path, AE_IFLNK, 0777, {}, target); }
  void file(const std::string& path, mode_t mode, std::string_view data) {
    add(path.c_str(), AE_IFREG, mode, data, nullptr);
  }
  /// Nothing when anything of it failed.
  [[nodiscard]] std::string finish() {
    good_ = ::archive_write_close(archive_.get()) == ARCHIVE_OK && good_;
    return good_ ? std::move(bytes_) : std::string{};
  }

private:
  static la_ssize_t append(archive*, void* to, const void* data, std::size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }
  void add(const char* path, mode_t type, mode_t mode, std::string_view data, const char* target) {
    const std::unique_ptr<archive_entry, decltype(&::archive_entry_free)> entry{
        ::archive_entry_new(), ::archive_entry_free};
    ::archive_entry_set_pathname(entry.get(), path);
    ::archive_entry_set_filetype(entry.get(), type);
    ::archive_entry_set_perm(entry.get(), mode);
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(data.size()));
    if (target != nullptr)
      ::archive_entry_set_symlink(entry.get(), target);
    good_ = good_ && ::archive_write_header(archive_.get(), entry.get()) == ARCHIVE_OK &&
            ::archive_write_data(archive_.get(), data.data(), data.size()) ==
                static_cast<la_ssize_t>(data.size());
  }

  std::string bytes_;
  bool good_ = true;
  std::unique_ptr<archive, decltype(&::archive_write_free)> archive_;
};

std::string sha256_hex(std::string_view text) {
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())),
               text.size());
  std::array<char, SHA256_DIGEST_STRING_LENGTH> hex{};
  return SHA256End(&context, hex.data());
}

std::string layer_of(std::string_view program) {
  tar_writer tar;
  for (const char* folder : {"bin", "dev", "etc", "proc", "sys", "tmp"})
    tar.folder(folder);
  tar.file("bin/busybox", 0755, program);
  for (const char* applet : {"bin/sh", "bin/sleep", "bin/true"})
    tar.link(applet, "busybox");
  tar.file("etc/passwd", 0644, "root:x:0:0:root:/:/bin/sh\n");
  return tar.finish();
}

nlohmann::json descriptor(const char* kind, std::string_view blob) {
  return {{"mediaType", std::string{"application/vnd.oci.image."} + kind},
          {"digest", "sha256:" + sha256_hex(blob)},
          {"size", blob.size()}};
}

std::string config_of(std::string_view layer) {
  const nlohmann::json config{
      {"architecture", "amd64"},
      {"os", "linux"},
      {"config", {{"Env", {"PATH=/bin"}}, {"Cmd", {"true"}}}},
      {"rootfs", {{"type", "layers"}, {"diff_ids", {"sha256:" + sha256_hex(layer)}}}}};
  return config.dump();
}

std::string archive_of(std::string_view layer) {
  const auto config = config_of(layer);
  const nlohmann::json manifest{{"schemaVersion", 2},
                                {"config", descriptor("config.v1+json", config)},
                                {"layers", {descriptor("layer.v1.tar", layer)}}};
  const auto manifest_text = manifest.dump();
  auto entry = descriptor("manifest.v1+json", manifest_text);
  entry["annotations"] = {{"io.containerd.image.name", image_name}};
  const nlohmann::json index{{"schemaVersion", 2}, {"manifests", {entry}}};
  tar_writer tar;
  tar.file("oci-layout", 0644, R"({"imageLayoutVersion":"1.0.0"})");
  tar.file("index.json", 0644, index.dump());
  for (const std::string_view blob :
       {layer, std::string_view{config}, std::string_view{manifest_text}})
    tar.file("blobs/sha256/" + sha256_hex(blob), 0644, blob);
  return tar.finish();
}

} // namespace

outcome<void> write_image(const std::string& path) {
  std::ifstream file{busybox, std::ios::binary};
  std::ostringstream program;
  if (!(program << file.rdbuf()))
    return fail(errc::not_found, "{}: cannot be read", busybox);
  const auto archive = archive_of(layer_of(program.view()));
  std::ofstream out{path, std::ios::binary};
  if (archive.empty() || !(out << archive).flush())
    return fail(errc::host_io, "write {}", path);
  return {};
}

} // namespace troupe::bench
