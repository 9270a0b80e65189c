#include "actors/container/oci/parse.hpp"

#include "actors/container/oci/fields.hpp"

#include <set>

namespace troupe::oci {

namespace {

/// errno of a seccomp rule that names none. kata-agent would read an absent one as 0, and the
/// forbidden call would seem to succeed.
constexpr std::uint32_t default_errno = 1; // EPERM

outcome<void> read_user(const json_node& from, grpc::User& to) {
  to.set_uid(TRY(from.number_of<std::uint32_t>("uid")));
  to.set_gid(TRY(from.number_of<std::uint32_t>("gid")));
  to.set_username(TRY(from.text_of("username")));
  for (const auto& gid : TRY(from.list("additionalGids")))
    to.add_additional_gids(TRY(gid.number<std::uint32_t>()));
  return {};
}

/// "CAP_KILL" or "KILL", in any case, becomes "CAP_KILL".
outcome<std::string> capability(const json_node& from) {
  auto word = TRY(from.text());
  for (auto& c : word)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (!word.starts_with("CAP_"))
    word.insert(0, "CAP_");
  if (!contains(capability_words(), word))
    return from.bad("\"{}\" is no capability", word);
  return word;
}

outcome<void> read_capabilities(const json_node& from, grpc::LinuxCapabilities& to) {
  const auto read = [&](const char* name, texts& into) -> outcome<void> {
    for (const auto& each : TRY(from.list(name)))
      *into.Add() = TRY(capability(each));
    return {};
  };
  TRY(read("bounding", *to.mutable_bounding()));
  TRY(read("effective", *to.mutable_effective()));
  TRY(read("inheritable", *to.mutable_inheritable()));
  TRY(read("permitted", *to.mutable_permitted()));
  return read("ambient", *to.mutable_ambient());
}

outcome<void> read_rlimit(const json_node& from, grpc::POSIXRlimit& to) {
  to.set_type(TRY(word_of(from, "type", rlimit_words())));
  to.set_hard(TRY(from.number_of<std::uint64_t>("hard")));
  to.set_soft(TRY(from.number_of<std::uint64_t>("soft")));
  if (to.soft() > to.hard())
    return from.bad("the soft limit is above the hard one");
  return {};
}

outcome<void> read_process(const json_node& from, grpc::Process& to) {
  to.set_terminal(TRY(from.flag_of("terminal")));
  if (const auto box = TRY(from.child("consoleSize"))) {
    to.mutable_console_size()->set_height(TRY(box->number_of<std::uint32_t>("height")));
    to.mutable_console_size()->set_width(TRY(box->number_of<std::uint32_t>("width")));
  }
  if (const auto user = TRY(from.child("user")))
    TRY(read_user(*user, *to.mutable_user()));
  TRY(read_texts(from, "args", *to.mutable_args()));
  if (to.args().empty())
    return fail(errc::invalid_argument, "{}: must not be empty", member_path(from, "args"));
  TRY(read_texts(from, "env", *to.mutable_env()));
  to.set_cwd(TRY(absolute_path_of(from, "cwd")));
  if (const auto sets = TRY(from.child("capabilities")))
    TRY(read_capabilities(*sets, *to.mutable_capabilities()));
  for (const auto& limit : TRY(from.list("rlimits")))
    TRY(read_rlimit(limit, *to.add_rlimits()));
  to.set_no_new_privileges(TRY(from.flag_of("noNewPrivileges")));
  to.set_apparmor_profile(TRY(from.text_of("apparmorProfile")));
  to.set_selinux_label(TRY(from.text_of("selinuxLabel")));
  const auto adjust = TRY(from.number_of<std::int32_t>("oomScoreAdj"));
  if (adjust < -1000 || adjust > 1000)
    return fail(errc::invalid_argument, "{}: {} is not in -1000 ... 1000",
                member_path(from, "oomScoreAdj"), adjust);
  to.set_oom_score_adj(adjust);
  return {};
}

outcome<void> read_mount(const json_node& from, grpc::Mount& to) {
  to.set_destination(TRY(absolute_path_of(from, "destination")));
  to.set_type(TRY(from.text_of("type")));
  to.set_source(TRY(from.text_of("source")));
  return read_texts(from, "options", *to.mutable_options());
}

using hook_list = google::protobuf::RepeatedPtrField<grpc::Hook>;

outcome<void> read_hooks(const json_node& from, const char* name, hook_list& to) {
  for (const auto& each : TRY(from.list(name))) {
    auto& hook = *to.Add();
    hook.set_path(TRY(absolute_path_of(each, "path")));
    TRY(read_texts(each, "args", *hook.mutable_args()));
    TRY(read_texts(each, "env", *hook.mutable_env()));
    hook.set_timeout(TRY(each.number_of<std::int64_t>("timeout")));
  }
  return {};
}

outcome<void> read_all_hooks(const json_node& from, grpc::Hooks& to) {
  TRY(read_hooks(from, "prestart", *to.mutable_prestart()));
  TRY(read_hooks(from, "createRuntime", *to.mutable_create_runtime()));
  TRY(read_hooks(from, "createContainer", *to.mutable_create_container()));
  TRY(read_hooks(from, "startContainer", *to.mutable_start_container()));
  TRY(read_hooks(from, "poststart", *to.mutable_poststart()));
  return read_hooks(from, "poststop", *to.mutable_poststop());
}

outcome<void> read_id_mappings(const json_node& from, const char* name,
                               google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& to) {
  for (const auto& each : TRY(from.list(name))) {
    auto& mapping = *to.Add();
    mapping.set_container_id(TRY(each.number_of<std::uint32_t>("containerID")));
    mapping.set_host_id(TRY(each.number_of<std::uint32_t>("hostID")));
    mapping.set_size(TRY(each.number_of<std::uint32_t>("size")));
    if (mapping.size() == 0)
      return each.bad("size must not be 0");
  }
  return {};
}

outcome<void> read_namespaces(const json_node& from, grpc::Linux& to) {
  std::set<std::string> seen;
  for (const auto& each : TRY(from.list("namespaces"))) {
    auto& space = *to.add_namespaces();
    space.set_type(TRY(word_of(each, "type", namespace_words())));
    space.set_path(TRY(each.text_of("path")));
    if (!seen.insert(space.type()).second)
      return each.bad("the {} namespace is there twice", space.type());
  }
  return {};
}

outcome<void> read_device(const json_node& from, grpc::LinuxDevice& to) {
  to.set_path(TRY(absolute_path_of(from, "path")));
  to.set_type(TRY(word_of(from, "type", device_words())));
  to.set_major(TRY(from.number_of<std::int64_t>("major")));
  to.set_minor(TRY(from.number_of<std::int64_t>("minor")));
  to.set_file_mode(TRY(from.number_of<std::uint32_t>("fileMode")));
  to.set_uid(TRY(from.number_of<std::uint32_t>("uid")));
  to.set_gid(TRY(from.number_of<std::uint32_t>("gid")));
  return {};
}

outcome<void> read_syscall(const json_node& from, grpc::LinuxSyscall& to) {
  TRY(read_texts(from, "names", *to.mutable_names()));
  if (to.names().empty())
    return fail(errc::invalid_argument, "{}: must not be empty", member_path(from, "names"));
  to.set_action(TRY(word_of(from, "action", seccomp_action_words())));
  to.set_errnoret(TRY(from.number_of<std::uint32_t>("errnoRet", default_errno)));
  for (const auto& each : TRY(from.list("args"))) {
    auto& test = *to.add_args();
    test.set_index(TRY(each.number_of<std::uint64_t>("index")));
    if (test.index() > 5)
      return each.bad("index {} is not in 0 ... 5", test.index());
    test.set_value(TRY(each.number_of<std::uint64_t>("value")));
    test.set_value_two(TRY(each.number_of<std::uint64_t>("valueTwo")));
    test.set_op(TRY(word_of(each, "op", seccomp_operator_words())));
  }
  return {};
}

outcome<void> read_seccomp(const json_node& from, grpc::LinuxSeccomp& to) {
  to.set_default_action(TRY(word_of(from, "defaultAction", seccomp_action_words())));
  TRY(read_words(from, "architectures", seccomp_arch_words(), *to.mutable_architectures()));
  TRY(read_words(from, "flags", seccomp_flag_words(), *to.mutable_flags()));
  for (const auto& rule : TRY(from.list("syscalls")))
    TRY(read_syscall(rule, *to.add_syscalls()));
  return {};
}

outcome<void> read_linux(const json_node& from, grpc::Linux& to) {
  TRY(read_id_mappings(from, "uidMappings", *to.mutable_uid_mappings()));
  TRY(read_id_mappings(from, "gidMappings", *to.mutable_gid_mappings()));
  TRY(read_map(from, "sysctl", *to.mutable_sysctl()));
  if (const auto limits = TRY(from.child("resources")))
    TRY(read_resources(*limits, *to.mutable_resources()));
  to.set_cgroups_path(TRY(from.text_of("cgroupsPath")));
  TRY(read_namespaces(from, to));
  for (const auto& device : TRY(from.list("devices")))
    TRY(read_device(device, *to.add_devices()));
  if (const auto filter = TRY(from.child("seccomp")))
    TRY(read_seccomp(*filter, *to.mutable_seccomp()));
  if (!TRY(from.text_of("rootfsPropagation")).empty())
    to.set_rootfs_propagation(TRY(word_of(from, "rootfsPropagation", propagation_words())));
  TRY(read_texts(from, "maskedPaths", *to.mutable_masked_paths()));
  TRY(read_texts(from, "readonlyPaths", *to.mutable_readonly_paths()));
  to.set_mount_label(TRY(from.text_of("mountLabel")));
  return {};
}

outcome<void> read_spec(const json_node& from, grpc::Spec& to) {
  to.set_version(TRY(TRY(from.need("ociVersion")).text()));
  TRY(read_process(TRY(from.need("process")), *to.mutable_process()));
  const auto root = TRY(from.need("root"));
  to.mutable_root()->set_path(TRY(TRY(root.need("path")).text()));
  to.mutable_root()->set_readonly(TRY(root.flag_of("readonly")));
  to.set_hostname(TRY(from.text_of("hostname")));
  for (const auto& mount : TRY(from.list("mounts")))
    TRY(read_mount(mount, *to.add_mounts()));
  if (const auto hooks = TRY(from.child("hooks")))
    TRY(read_all_hooks(*hooks, *to.mutable_hooks()));
  TRY(read_map(from, "annotations", *to.mutable_annotations()));
  return read_linux(TRY(from.need("linux")), *to.mutable_linux());
}

} // namespace

outcome<grpc::Spec> parse_spec(std::string_view config_json) {
  const auto document = TRY(parse_json("config.json", config_json));
  grpc::Spec spec;
  TRY(read_spec(json_node(document, ""), spec));
  return spec;
}

outcome<grpc::Process> parse_process(std::string_view json) {
  const auto document = TRY(parse_json("process", json));
  grpc::Process process;
  TRY(read_process(json_node(document, "process"), process));
  return process;
}

outcome<grpc::LinuxResources> parse_resources(std::string_view json) {
  const auto document = TRY(parse_json("resources", json));
  grpc::LinuxResources resources;
  TRY(read_resources(json_node(document, "resources"), resources));
  return resources;
}

} // namespace troupe::oci
