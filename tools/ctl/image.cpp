#include "tools/ctl/image.hpp"

#include "messages/vocabulary/unique_fd.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <linux/openat2.h>
#include <nlohmann/json.hpp>
#include <sha256.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace troupe::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int extract_flags = ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                              ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS | ARCHIVE_EXTRACT_OWNER |
                              ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
                              ARCHIVE_EXTRACT_UNLINK;
constexpr std::size_t read_block = 65536;
constexpr std::string_view whiteout = ".wh.";
constexpr std::string_view opaque = ".wh..wh..opq";

struct free_reader {
  void operator()(archive* what) const { archive_read_free(what); }
};
struct free_writer {
  void operator()(archive* what) const { archive_write_free(what); }
};

failed bad_image(std::string_view what, archive* from) {
  const char* text = archive_error_string(from);
  return fail(errc::invalid_argument, "image: {}: {}", what, text != nullptr ? text : "damaged");
}

/// The working folder, for libarchive writes relative to it, and back again.
class inside {
public:
  explicit inside(const std::string& folder)
      : before_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
        folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        entered_(before_ && folder_ && ::fchdir(folder_.get()) == 0) {}
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;
  ~inside() {
    if (entered_ && ::fchdir(before_.get()) != 0)
      (void)::chdir("/");
  }
  [[nodiscard]] bool entered() const noexcept { return entered_; }
  [[nodiscard]] int folder() const noexcept { return folder_.get(); }

private:
  unique_fd before_;
  unique_fd folder_;
  bool entered_;
};

/// What one image may still use up, over all its layers.
struct allowance {
  byte_count bytes = max_image_size;
  std::size_t entries = max_image_entries;
  const std::function<bool()>& cancelled;

  outcome<void> take_entry() {
    if (cancelled())
      return fail(errc::cancelled, "image: called off");
    if (entries-- == 0)
      return fail(errc::resource_exhausted, "image: more than {} files", max_image_entries);
    return {};
  }
  outcome<void> take_bytes(byte_count n) {
    if (n > bytes)
      return fail(errc::resource_exhausted, "image: unpacks to more than {} bytes", max_image_size);
    bytes -= n;
    return {};
  }
};

/// One tar into one folder.
class unpacker {
public:
  unpacker(const std::string& folder, bool layer, allowance& left)
      : here_(folder), layer_(layer), left_(left) {}
  outcome<void> run(const std::string& tar);

private:
  outcome<void> entry(archive_entry* what);
  outcome<void> data();
  outcome<bool> take_away(const std::string& path);

  inside here_;
  bool layer_;
  allowance& left_;
  std::unique_ptr<archive, free_reader> from_{archive_read_new()};
  std::unique_ptr<archive, free_writer> to_{archive_write_disk_new()};
};

outcome<void> unpacker::run(const std::string& tar) {
  if (!here_.entered())
    return fail_errno("image: enter the folder", errno);
  archive_read_support_filter_all(from_.get());
  archive_read_support_format_tar(from_.get());
  archive_write_disk_set_options(to_.get(), extract_flags);
  if (archive_read_open_filename(from_.get(), tar.c_str(), read_block) != ARCHIVE_OK)
    return bad_image(tar, from_.get());
  for (;;) {
    archive_entry* what = nullptr;
    const int got = archive_read_next_header(from_.get(), &what);
    if (got == ARCHIVE_EOF)
      break;
    if (got < ARCHIVE_WARN)
      return bad_image(tar, from_.get());
    TRY(left_.take_entry());
    TRY(entry(what));
  }
  // Modes of folders are set last, when it closes.
  if (archive_write_close(to_.get()) != ARCHIVE_OK)
    return bad_image("finish", to_.get());
  return {};
}

outcome<void> unpacker::entry(archive_entry* what) {
  const char* path = archive_entry_pathname(what);
  if (path == nullptr)
    return fail(errc::invalid_argument, "image: an entry without a name");
  const auto type = archive_entry_filetype(what);
  if (type == AE_IFCHR || type == AE_IFBLK)
    return {};
  if (layer_ && TRY(take_away(path)))
    return {};
  if (archive_write_header(to_.get(), what) < ARCHIVE_WARN)
    return bad_image(path, to_.get());
  TRY(data());
  if (archive_write_finish_entry(to_.get()) < ARCHIVE_WARN)
    return bad_image(path, to_.get());
  return {};
}

outcome<void> unpacker::data() {
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(from_.get(), &block, &size, &offset);
    if (got == ARCHIVE_EOF)
      return {};
    if (got < ARCHIVE_WARN)
      return bad_image("read", from_.get());
    if (left_.cancelled())
      return fail(errc::cancelled, "image: called off");
    TRY(left_.take_bytes(size));
    if (archive_write_data_block(to_.get(), block, size, offset) < ARCHIVE_WARN)
      return bad_image("write", to_.get());
  }
}

/// A whiteout takes away what lower layers have: one name, or all in a folder. Whether it was one.
outcome<bool> unpacker::take_away(const std::string& path) {
  const fs::path name{path};
  const auto file = name.filename().string();
  if (!file.starts_with(whiteout))
    return false;
  const auto parent = name.has_parent_path() ? name.parent_path().string() : ".";
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const unique_fd folder{
      static_cast<int>(::syscall(SYS_openat2, here_.folder(), parent.c_str(), &how, sizeof how))};
  if (!folder && errno == ENOENT)
    return true;
  if (!folder)
    return fail(errc::invalid_argument, "image: whiteout {}: {}", path,
                fail_errno("open", errno).value().text);
  const auto victim = file.substr(whiteout.size());
  if (victim.empty() || victim == "." || victim == "..")
    return fail(errc::invalid_argument, "image: whiteout {}: takes away nothing of its own", path);
  // Through the open folder: its path was proven free of symlinks.
  const fs::path base = fmt::format("/proc/self/fd/{}/", folder.get());
  std::error_code error;
  if (file != opaque)
    fs::remove_all(base / victim, error);
  else
    for (const auto& entry : fs::directory_iterator{base, error})
      fs::remove_all(entry.path(), error);
  if (error)
    return fail(errc::host_io, "image: whiteout {}: {}", path, error.message());
  return true;
}

// -- OCI image layout

/// Opens a plain file of the layout, never through a symlink.
outcome<std::string> blob_path(const std::string& layout, const json& descriptor) {
  const auto digest = descriptor.value("digest", "");
  constexpr std::string_view kind = "sha256:";
  if (!digest.starts_with(kind) || digest.size() != kind.size() + 64 ||
      digest.find_first_not_of("0123456789abcdef", kind.size()) != std::string::npos)
    return fail(errc::invalid_argument, "image: digest \"{}\" is not a sha256", digest);
  const auto hex = digest.substr(kind.size());
  auto path = layout + "/blobs/sha256/" + hex;
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode))
    return fail(errc::invalid_argument, "image: blob {} is missing", digest);
  std::array<char, SHA256_DIGEST_STRING_LENGTH> found{};
  if (SHA256File(path.c_str(), found.data()) == nullptr)
    return fail_errno("image: read blob " + digest, errno);
  if (hex != found.data())
    return fail(errc::invalid_argument, "image: blob {} has other content", digest);
  return path;
}

outcome<json> read_json(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error || !fs::is_regular_file(fs::symlink_status(path, error)) || size > max_image_json)
    return fail(errc::invalid_argument, "image: {}: missing, or over {} bytes",
                fs::path{path}.filename().string(), max_image_json);
  std::ifstream file{path};
  auto out = json::parse(file, nullptr, false);
  if (!out.is_object())
    return fail(errc::invalid_argument, "image: {}: no JSON object",
                fs::path{path}.filename().string());
  return out;
}

/// The first image for this architecture; one that names none counts.
outcome<json> manifest_of(const std::string& layout) {
  auto found = TRY(read_json(layout + "/index.json"));
  constexpr int deepest_index = 3; // an index may name indexes, even itself
  for (int depth = 0; depth < deepest_index && found.contains("manifests"); ++depth) {
    std::optional<json> next;
    for (const auto& one : found["manifests"]) {
      const auto platform = one.value("platform", json::object());
      if (!next && platform.value("architecture", "amd64") == "amd64" &&
          platform.value("os", "linux") == "linux")
        next = one;
    }
    if (!next)
      return fail(errc::invalid_argument, "image: index.json: nothing for linux/amd64");
    found = TRY(read_json(TRY(blob_path(layout, *next))));
  }
  if (!found.contains("layers"))
    return fail(errc::invalid_argument, "image: the manifest has no layers");
  if (found["layers"].size() > max_image_layers)
    return fail(errc::resource_exhausted, "image: more than {} layers", max_image_layers);
  return found;
}

using words = std::vector<std::string>;

words words_of(const json& config, const char* key) {
  return config.contains(key) && config[key].is_array() ? config[key].get<words>() : words{};
}

outcome<image_defaults> defaults_of(const json& image) {
  const auto config = image.value("config", json::object());
  if (const auto user = config.value("User", ""); !user.empty() && user != "0" && user != "root")
    return fail(errc::unimplemented, "image: config.User: \"{}\", only root is supported", user);
  image_defaults out;
  out.env = words_of(config, "Env");
  out.command = words_of(config, "Entrypoint");
  for (auto& word : words_of(config, "Cmd"))
    out.command.push_back(std::move(word));
  out.cwd = config.value("WorkingDir", "");
  return out;
}

outcome<image_defaults> unpack_layout(const std::string& layout, const std::string& rootfs,
                                      allowance& left) {
  const auto manifest = TRY(manifest_of(layout));
  for (const auto& layer : manifest["layers"]) {
    const auto blob = TRY(blob_path(layout, layer));
    TRY((unpacker{rootfs, true, left}.run(blob)));
    ::unlink(blob.c_str());
  }
  if (!manifest.contains("config"))
    return image_defaults{};
  return defaults_of(TRY(read_json(TRY(blob_path(layout, manifest["config"])))));
}

outcome<image_defaults> unpack(const std::string& tar, const std::string& folder,
                               std::string& rootfs, const std::function<bool()>& cancelled) {
  const auto all = folder + "/image";
  if (::mkdir(all.c_str(), 0755) != 0)
    return fail_errno("mkdir " + all, errno);
  allowance left{.cancelled = cancelled};
  TRY((unpacker{all, false, left}.run(tar)));
  struct stat about {};
  rootfs = all;
  if (::lstat((all + "/oci-layout").c_str(), &about) != 0)
    return image_defaults{};
  rootfs = folder + "/rootfs";
  if (::mkdir(rootfs.c_str(), 0755) != 0)
    return fail_errno("mkdir " + rootfs, errno);
  return unpack_layout(all, rootfs, left);
}

} // namespace

outcome<image_defaults> unpack_image(const std::string& tar, const std::string& folder,
                                     std::string& rootfs, const std::function<bool()>& cancelled) {
  try {
    return unpack(fs::absolute(tar).string(), folder, rootfs, cancelled);
  } catch (const json::exception& error) { // a member of another type than the format's
    return fail(errc::invalid_argument, "image: {}", error.what());
  } catch (const fs::filesystem_error& error) {
    return fail(errc::host_io, "image: {}", error.what());
  }
}

} // namespace troupe::ctl
