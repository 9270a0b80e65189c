#include "actors/vcpu/kvm/system.hpp"

#include "actors/vcpu/kvm/abi.hpp"
#include "actors/vcpu/kvm/call.hpp"
#include "actors/vcpu/kvm/capabilities.hpp"

#include <fcntl.h>

#include <algorithm>

namespace troupe::kvm {
namespace {

using cpuid_list = abi::counted<abi::counted_head, kvm_cpuid_entry2>;
using msr_list = abi::counted<abi::list_head, std::uint32_t>;

int ask(int fd, int capability) noexcept {
  return std::max(0, ::ioctl(fd, KVM_CHECK_EXTENSION, capability));
}

// The kernel says E2BIG while the list is too short, so it is grown until it fits.
template <class List>
outcome<List> whole_list(std::string_view what, int fd, unsigned long request, std::size_t most) {
  for (std::size_t room = 256;; room *= 2) {
    List list{room};
    const auto got = call(what, fd, request, list.data());
    if (got)
      return list;
    if (got.error().os_error != E2BIG || room >= most)
      return tl::unexpected(got.error());
  }
}

} // namespace

outcome<system> system::open(const std::string& path) {
  unique_fd fd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  if (!fd && errno == ENOENT)
    return fail(errc::not_found, "there is no {}", path);
  if (!fd)
    return fail_errno(fmt::format("open {}", path), errno);
  const int version = TRY(call("KVM_GET_API_VERSION", fd.get(), KVM_GET_API_VERSION, 0));
  if (version != KVM_API_VERSION)
    return fail(errc::unimplemented, "KVM: API version {}, not {}", version, KVM_API_VERSION);
  TRY(check_capabilities([&](int capability) { return ask(fd.get(), capability); }));
  const int size = TRY(call("KVM_GET_VCPU_MMAP_SIZE", fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
  if (static_cast<std::size_t>(size) < sizeof(kvm_run))
    return fail(errc::peer_fault, "KVM_GET_VCPU_MMAP_SIZE: {} bytes, {} expected", size,
                sizeof(kvm_run));
  return system{std::move(fd), static_cast<std::size_t>(size)};
}

outcome<std::vector<kvm_cpuid_entry2>> system::supported_cpuid() const {
  return TRY(whole_list<cpuid_list>("KVM_GET_SUPPORTED_CPUID", fd_.get(), abi::get_supported_cpuid,
                                    max_cpuid_entries))
      .entries();
}

outcome<std::vector<std::uint32_t>> system::msr_indices() const {
  return TRY(whole_list<msr_list>("KVM_GET_MSR_INDEX_LIST", fd_.get(), abi::get_msr_index_list,
                                  max_msr_indices))
      .entries();
}

int system::check_extension(int capability) const noexcept {
  return ask(fd_.get(), capability);
}

outcome<unique_fd> system::create_vm() const {
  return unique_fd{TRY(call("KVM_CREATE_VM", fd_.get(), KVM_CREATE_VM, 0))};
}

} // namespace troupe::kvm
