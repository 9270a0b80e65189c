#include "actors/container/prepare/prepare.hpp"

#include "actors/container/oci/bundle.hpp"
#include "actors/container/oci/parse.hpp"
#include "actors/container/oci/to_guest.hpp"
#include "actors/container/rootfs/rootfs.hpp"

namespace troupe::prepare {
namespace {

oci::annotation_map annotations_of(const grpc::Spec& spec) {
  return {spec.annotations().begin(), spec.annotations().end()};
}

outcome<shared_tree> root_tree(const create_task& task, const oci::bundle& bundle) {
  // Only this guest writes the root file system, so what it caches stays true.
  shared_tree out{oci::rootfs_name(task.container), {}, {false, true}};
  rootfs::mounted_root root;
  if (task.rootfs.empty()) {
    const auto directory = TRY(oci::open_root(bundle));
    root = TRY(rootfs::clone_root(directory.get(), bundle.spec.root().readonly()));
  } else {
    root = TRY(rootfs::mount_root(task.rootfs));
  }
  out.policy.read_only = root.read_only;
  out.tree = std::move(root.root);
  return out;
}

outcome<shared_tree> volume_tree(const oci::share_request& wanted) {
  const sharefs::share_policy policy{wanted.read_only, false};
  auto tree = sharefs::clone_mount(-1, wanted.source, wanted.recursive, policy);
  if (!tree)
    return within(wanted.field, tree.error());
  return shared_tree{wanted.name, std::move(*tree), policy};
}

} // namespace

outcome<prepared_container> container(const create_task& task, const prepare_options& options) {
  auto bundle = TRY(oci::open_bundle(task.bundle));
  const auto member = TRY(oci::classify(annotations_of(bundle.spec), task.container));
  prepared_container out;
  out.trees.push_back(TRY(root_tree(task, bundle)));
  oci::guest_options guest;
  guest.container = task.container;
  guest.kind = member.kind;
  guest.bundle = task.bundle;
  guest.disable_guest_seccomp = options.disable_guest_seccomp;
  auto rewritten = TRY(oci::to_guest(std::move(bundle.spec), guest));
  for (const auto& wanted : rewritten.shares)
    out.trees.push_back(TRY(volume_tree(wanted)));
  auto request = std::make_shared<grpc::CreateContainerRequest>();
  request->set_container_id(task.container.str());
  *request->mutable_oci() = std::move(rewritten.spec);
  request->mutable_oci()->mutable_process()->set_terminal(task.io.terminal);
  request->set_sandbox_pidns(rewritten.sandbox_pidns);
  out.request = std::move(request);
  out.notes = std::move(rewritten.notes);
  return out;
}

outcome<std::shared_ptr<const grpc::ExecProcessRequest>> process(const exec_process& exec) {
  auto request = std::make_shared<grpc::ExecProcessRequest>();
  request->set_container_id(exec.key.container.str());
  request->set_exec_id(exec.key.exec.str());
  *request->mutable_process() = oci::to_guest(TRY(oci::parse_process(exec.spec_json)));
  request->mutable_process()->set_terminal(exec.io.terminal);
  return request;
}

grpc::CreateSandboxRequest sandbox(const sandbox_id& id, const std::string& hostname) {
  grpc::CreateSandboxRequest out;
  out.set_sandbox_id(id.str());
  out.set_hostname(hostname);
  auto* share = out.add_storages();
  share->set_driver("virtio-fs");
  share->set_source(share_tag);
  share->set_fstype("virtiofs");
  share->set_mount_point(std::string{oci::guest_share_dir} + "/");
  share->add_options("nodev");
  auto* shm = out.add_storages();
  shm->set_driver("ephemeral");
  shm->set_source("shm");
  shm->set_fstype("tmpfs");
  shm->set_mount_point(std::string{oci::guest_shm_dir});
  for (const auto* option : {"noexec", "nosuid", "nodev", "mode=1777", "size=67108864"})
    shm->add_options(option);
  return out;
}

} // namespace troupe::prepare
