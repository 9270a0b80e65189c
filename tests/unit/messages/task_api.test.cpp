#include "messages/task_api/codec.hpp"

#include "events.pb.h"
#include "events_service.pb.h"
#include "runtime_options.pb.h"
#include "task.pb.h"

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::task_api;
namespace v2 = containerd::task::v2;

namespace {

v2::CreateTaskRequest create_message() {
  v2::CreateTaskRequest m;
  m.set_id("c1");
  m.set_bundle("/run/bundle");
  m.set_stdout("/run/fifo/out");
  auto* mount = m.add_rootfs();
  mount->set_type("overlay");
  mount->set_source("overlay");
  mount->add_options("lowerdir=/a");
  return m;
}

process_key key(const char* container, const char* exec = nullptr) {
  return {*container_id::parse(container), exec ? *exec_id::parse(exec) : exec_id{}};
}

} // namespace

TEST_CASE("task codec: a create keeps its mounts, streams and configuration path") {
  auto m = create_message();
  runtimeoptions::v1::Options options;
  options.set_config_path("/etc/t.toml");
  m.mutable_options()->set_type_url("runtimeoptions.v1.Options");
  m.mutable_options()->set_value(options.SerializeAsString());
  const auto c = decode_create(m.SerializeAsString());
  REQUIRE(c);
  CHECK(c->container.str() == "c1");
  CHECK(c->bundle == "/run/bundle");
  CHECK(c->rootfs == std::vector<rootfs_mount>{{"overlay", "overlay", {"lowerdir=/a"}}});
  CHECK(c->io == stdio_paths{"", "/run/fifo/out", "", false});
  CHECK(c->config_path == "/etc/t.toml");
}

TEST_CASE("task codec: options of runc are let be") {
  auto m = create_message();
  m.mutable_options()->set_type_url("containerd.runc.v1.Options");
  m.mutable_options()->set_value("\x12\x03runc");
  CHECK(decode_create(m.SerializeAsString())->config_path.empty());
}

TEST_CASE("task codec: what is wrong with a create is named") {
  const auto text = [](auto change) {
    auto m = create_message();
    change(m);
    return decode_create(m.SerializeAsString()).error().text;
  };
  CHECK(text([](auto& m) { m.set_id("../c"); }).find("container id: ") == 0);
  CHECK(text([](auto& m) { m.set_bundle("b"); }) == "bundle: must be an absolute path");
  CHECK(text([](auto& m) { m.set_checkpoint("x"); }).find("checkpoint: ") == 0);
  CHECK(text([](auto& m) {
          m.mutable_options()->set_type_url("runtimeoptions.v1.Options");
          m.mutable_options()->set_value("\xff\xff");
        }) == "options: is not a runtimeoptions.v1.Options");
  CHECK(text([](auto& m) { m.mutable_options()->set_type_url("some.Options"); }) ==
        "options: of type 'some.Options', expected runtimeoptions.v1.Options");
  CHECK(text([](auto& m) {
          for (std::size_t i = 0; i < max_rootfs_mounts; ++i)
            m.add_rootfs();
        }) == "rootfs: 65 mounts, at most 64");
  CHECK(decode_create("\xff\xff").error().code == errc::invalid_argument);
}

TEST_CASE("task codec: an exec id that repeats the container's id means the init process") {
  v2::StateRequest m;
  m.set_id("c1");
  m.set_exec_id("c1");
  CHECK(decode_state(m.SerializeAsString())->key == key("c1"));
  m.set_exec_id("e1");
  CHECK(decode_state(m.SerializeAsString())->key == key("c1", "e1"));
}

TEST_CASE("task codec: an exec needs an id of its own and an OCI process") {
  v2::ExecProcessRequest m;
  m.set_id("c1");
  CHECK(decode_exec(m.SerializeAsString()).error().text ==
        "exec id: must not be empty nor the container's id");
  m.set_exec_id("e1");
  m.mutable_spec()->set_type_url("something/Else");
  CHECK(decode_exec(m.SerializeAsString()).error().text.find("spec: of type 'something/Else'") ==
        0);
  m.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  m.mutable_spec()->set_value("{}");
  CHECK(decode_exec(m.SerializeAsString())->spec_json == "{}");
}

TEST_CASE("task codec: signals are 1 to 64") {
  v2::KillRequest m;
  m.set_id("c1");
  CHECK(decode_kill(m.SerializeAsString()).error().text == "signal: 0 is not 1 ... 64");
  m.set_signal(65);
  CHECK_FALSE(decode_kill(m.SerializeAsString()));
  m.set_signal(9);
  m.set_all(true);
  CHECK(decode_kill(m.SerializeAsString())->all);
}

TEST_CASE("task codec: a live process reports Go's zero time, an ended one its own") {
  process_report report{key("c1", "e1"), "/b", 7, task_status::running, {}, {}};
  v2::StateResponse m;
  REQUIRE(m.ParseFromString(encode_state(report)));
  CHECK(m.status() == containerd::v1::types::RUNNING);
  CHECK(m.exited_at().seconds() == -62135596800);
  report.status = task_status::stopped;
  report.exit = exit_record{7, wall_time{std::chrono::milliseconds{1500}}};
  REQUIRE(m.ParseFromString(encode_state(report)));
  CHECK(m.exit_status() == 7);
  CHECK(m.exited_at().seconds() == 1);
  CHECK(m.exited_at().nanos() == 500000000);
  CHECK(m.exec_id() == "e1");
}

TEST_CASE("event codec: an exit travels with topic, namespace and bare type name") {
  const event::record record{*sandbox_id::parse("c1"), wall_time{std::chrono::seconds{9}},
                             event::process_exited{key("c1"), 7, {3, {}}}};
  containerd::services::events::ttrpc::v1::ForwardRequest request;
  REQUIRE(request.ParseFromString(encode_event(record, *namespace_id::parse("ns1"))));
  CHECK(request.envelope().topic() == "/tasks/exit");
  CHECK(request.envelope().namespace_() == "ns1");
  CHECK(request.envelope().event().type_url() == "containerd.events.TaskExit");
  containerd::events::TaskExit exit;
  REQUIRE(exit.ParseFromString(request.envelope().event().value()));
  CHECK(exit.id() == "c1"); // the init's exit repeats the container's id
  CHECK(exit.exit_status() == 3);
}

TEST_CASE("event codec: each event has its own topic") {
  CHECK(topic(event::task_created{}) == "/tasks/create");
  CHECK(topic(event::task_started{}) == "/tasks/start");
  CHECK(topic(event::exec_added{}) == "/tasks/exec-added");
  CHECK(topic(event::exec_started{}) == "/tasks/exec-started");
  CHECK(topic(event::process_exited{}) == "/tasks/exit");
  CHECK(topic(event::task_deleted{}) == "/tasks/delete");
  CHECK(topic(event::task_oom{}) == "/tasks/oom");
}
