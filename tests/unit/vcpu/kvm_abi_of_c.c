/* What a C compiler makes of <linux/kvm.h>: the truth that kvm/abi.hpp is compared with. */
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

const unsigned long kvm_abi_of_c[] = {
    KVM_GET_MSR_INDEX_LIST,
    KVM_GET_SUPPORTED_CPUID,
    KVM_SET_GSI_ROUTING,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_SET_CPUID2,
    KVM_GET_CPUID2,
    KVM_GET_XSAVE,
    KVM_SET_XSAVE,
    KVM_GET_XSAVE2,
    offsetof(struct kvm_msr_list, indices),
    offsetof(struct kvm_cpuid2, entries),
    offsetof(struct kvm_msrs, entries),
    offsetof(struct kvm_irq_routing, entries),
    sizeof(struct kvm_run),
};

/* Numbers that C++ reads from the header itself, in the order of the test. */
const unsigned long kvm_plain_of_c[] = {
    KVM_CREATE_VM,       KVM_SET_USER_MEMORY_REGION,
    KVM_SET_TSS_ADDR,    KVM_CREATE_IRQCHIP,
    KVM_IRQ_LINE,        KVM_SIGNAL_MSI,
    KVM_IRQFD,           KVM_IOEVENTFD,
    KVM_CREATE_VCPU,     KVM_RUN,
    KVM_GET_REGS,        KVM_SET_REGS,
    KVM_GET_SREGS,       KVM_SET_SREGS,
    KVM_GET_FPU,         KVM_SET_FPU,
    KVM_GET_LAPIC,       KVM_SET_LAPIC,
    KVM_GET_MP_STATE,    KVM_SET_MP_STATE,
    KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
    KVM_GET_DEBUGREGS,   KVM_SET_DEBUGREGS,
    KVM_GET_XCRS,        KVM_SET_XCRS,
    KVM_TRANSLATE,       KVM_KVMCLOCK_CTRL,
    KVM_ENABLE_CAP,      KVM_CHECK_EXTENSION,
};
