/*
 * The first program of a guest that is booted only to see what its kernel can do. Prints one
 * line a check, `ok NAME` or `missing NAME: why`, then `selfcheck: N missing`, and powers off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { text_capacity = 8192 };

static unsigned missing_count;

static void report(bool present, const char* name) {
  if (present) {
    printf("ok %s\n", name);
    return;
  }
  printf("missing %s: %s\n", name, strerror(errno));
  ++missing_count;
}

/* An fd or another non-negative number means the facility is there; the fd is closed. */
static void report_fd(long fd, const char* name) {
  report(fd >= 0, name);
  if (fd >= 0)
    close((int)fd);
}

/* The file's text, or "" and errno. The buffer is overwritten by the next call. */
static const char* text_of(const char* path) {
  static char text[text_capacity];
  text[0] = '\0';
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return text;
  size_t used = 0;
  ssize_t got = 0;
  while (used < sizeof text - 1 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0)
    used += (size_t)got;
  text[used] = '\0';
  close(fd);
  errno = ENOENT;
  return text;
}

static bool has_word(const char* text, const char* word) {
  const size_t length = strlen(word);
  for (const char* at = strstr(text, word); at; at = strstr(at + 1, word)) {
    const bool starts = at == text || strchr(" \t\n", at[-1]);
    if (starts && (at[length] == '\0' || strchr(" \t\n", at[length])))
      return true;
  }
  return false;
}

static void report_words(const char* path, const char* prefix, const char* const* words) {
  for (; *words; ++words) {
    char name[96];
    snprintf(name, sizeof name, "%s %s", prefix, *words);
    report(has_word(text_of(path), *words), name);
  }
}

static bool mounts(const char* type, const char* target, const char* options) {
  mkdir(target, 0755);
  return mount(type, target, type, MS_NOSUID, options) == 0;
}

static void mount_all(void) {
  report(mounts("proc", "/proc", NULL), "mount proc");
  report(mounts("sysfs", "/sys", NULL), "mount sysfs");
  report(mounts("devtmpfs", "/dev", NULL), "mount devtmpfs");
  report(mounts("tmpfs", "/run", "mode=755"), "mount tmpfs");
  report(mounts("devpts", "/dev/pts", "newinstance,ptmxmode=0666"), "mount devpts");
  report(mounts("mqueue", "/dev/mqueue", NULL), "mount mqueue");
  report(mounts("hugetlbfs", "/dev/hugepages", NULL), "mount hugetlbfs");
  report(mounts("cgroup2", "/sys/fs/cgroup", NULL), "mount cgroup2");
  report(mounts("binfmt_misc", "/proc/sys/fs/binfmt_misc", NULL), "mount binfmt_misc");
}

static void check_identity(void) {
  struct utsname name = {0};
  uname(&name);
  report(strstr(name.release, "-troupe") != NULL, "release ends in -troupe");
  printf("note release %s\n", name.release);
  report(strstr(text_of("/proc/cmdline"), "console=") != NULL, "command line");
  report(access("/sys/devices/system/cpu/cpu1", F_OK) == 0, "second processor");
}

static void check_file_systems(void) {
  static const char* const types[] = {"virtiofs", "fuse",  "overlay", "ext4",
                                      "erofs",    "tmpfs", NULL};
  report_words("/proc/filesystems", "file system", types);

  mkdir("/run/lower", 0755);
  mkdir("/run/upper", 0755);
  mkdir("/run/work", 0755);
  mkdir("/run/merged", 0755);
  const char* layers = "lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work";
  report(mount("overlay", "/run/merged", "overlay", 0, layers) == 0, "overlay mount");
  report_fd(open("/run/merged/file", O_CREAT | O_RDWR | O_CLOEXEC, 0644), "overlay write");
  report(access("/run/upper/file", F_OK) == 0, "overlay upper layer");
  report(setxattr("/run/upper", "trusted.troupe", "1", 1, 0) == 0, "tmpfs xattr");
  report(
      setxattr("/run/upper", "system.posix_acl_access",
               "\2\0\0\0\1\0\7\0\377\377\377\377\4\0\7\0\377\377\377\377\40\0\7\0\377\377\377\377",
               28, 0) == 0,
      "tmpfs access list");
  report_fd(syscall(SYS_open_tree, AT_FDCWD, "/run", OPEN_TREE_CLONE), "open_tree");
  report_fd(memfd_create("memory", MFD_CLOEXEC), "memfd");
}

static void check_namespaces(void) {
  static const char* const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
    snprintf(name, sizeof name, "namespace %s", kinds[i]);
    report_fd(open(path, O_RDONLY | O_CLOEXEC), name);
  }
  const int all = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID |
                  CLONE_NEWUSER | CLONE_NEWUTS;
  const pid_t child = fork();
  if (child == 0)
    _exit(unshare(all) == 0 ? 0 : errno);
  int status = 0;
  waitpid(child, &status, 0);
  errno = WEXITSTATUS(status);
  report(status == 0, "unshare of every namespace");
}

/* A device program that allows everything: r0 = 1; exit. */
static void check_device_program(int cgroup) {
  struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
                            {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = 2};
  load.insns = (unsigned long)code;
  load.license = (unsigned long)"Apache-2.0";
  const long program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  report(program >= 0, "eBPF device program");
  union bpf_attr attach = {.attach_type = BPF_CGROUP_DEVICE};
  attach.target_fd = (unsigned)cgroup;
  attach.attach_bpf_fd = (unsigned)program;
  report(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) == 0, "eBPF on a cgroup");
  close((int)program);
  report(has_word(text_of("/proc/sys/net/core/bpf_jit_enable"), "1"), "eBPF compiler");
}

static void check_cgroups(void) {
  static const char* const controllers[] = {"cpu",  "cpuset",  "io", "memory",
                                            "pids", "hugetlb", NULL};
  report_words("/sys/fs/cgroup/cgroup.controllers", "controller", controllers);

  int control = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
  const char all[] = "+cpu +cpuset +io +memory +pids +hugetlb";
  report(write(control, all, sizeof all - 1) == sizeof all - 1, "controllers delegated");
  close(control);

  mkdir("/sys/fs/cgroup/pod", 0755);
  static const char* const files[] = {"cgroup.freeze",   "cgroup.kill", "cpu.max",
                                      "cpu.weight",      "cpuset.cpus", "io.max",
                                      "pids.max",        "memory.max",  "memory.events",
                                      "memory.swap.max", "io.stat",     "hugetlb.2MB.max"};
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
    char path[96], name[96];
    snprintf(path, sizeof path, "/sys/fs/cgroup/pod/%s", files[i]);
    snprintf(name, sizeof name, "cgroup file %s", files[i]);
    report(access(path, F_OK) == 0, name);
  }
  int cgroup = open("/sys/fs/cgroup/pod", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check_device_program(cgroup);
  close(cgroup);
}

static void check_terminals(void) {
  int lead = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  report(lead >= 0, "ptmx");
  int unlock = 0;
  report(ioctl(lead, TIOCSPTLCK, &unlock) == 0, "terminal unlock");
  report_fd(ioctl(lead, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "terminal peer");
  close(lead);
  errno = EEXIST;
  report(access("/dev/ptyp0", F_OK) != 0, "no legacy terminals");
}

static void check_waiting(void) {
  sigset_t signals;
  sigemptyset(&signals);
  report_fd(epoll_create1(EPOLL_CLOEXEC), "epoll");
  report_fd(signalfd(-1, &signals, SFD_CLOEXEC), "signalfd");
  report_fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");
  report_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
  report_fd(inotify_init1(IN_CLOEXEC), "inotify");
  report_fd(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, 0), "fanotify");
  report_fd(syscall(SYS_pidfd_open, getpid(), 0), "pidfd");
  report_fd(syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
  unsigned char ring[128] = {0}; /* struct io_uring_params, all zero */
  report_fd(syscall(SYS_io_uring_setup, 4, ring), "io_uring");
  aio_context_t context = 0;
  report(syscall(SYS_io_setup, 4, &context) == 0, "aio");
}

static void check_processes(void) {
  static const char* const actions[] = {"kill_process", "kill_thread", "trap",  "errno",
                                        "user_notif",   "trace",       "allow", NULL};
  report_words("/proc/sys/kernel/seccomp/actions_avail", "seccomp", actions);
  report_fd(mq_open("/queue", O_CREAT | O_RDWR | O_CLOEXEC, 0600, NULL), "message queue");
  report(shmget(IPC_PRIVATE, 4096, 0600) >= 0, "System V memory");
  report(syscall(SYS_keyctl, 0, -3, 1) > 0, "keyrings");
  report(syscall(SYS_membarrier, 0, 0, 0) > 0, "membarrier");
  report(access("/proc/1/task/1/children", F_OK) == 0, "children of a task");
  report(access("/proc/self/timens_offsets", F_OK) == 0, "time offsets");
}

static void check_sockets(void) {
  static const struct {
    int family, type, protocol;
    const char* name;
  } kinds[] = {
      {AF_UNIX, SOCK_STREAM, 0, "socket unix"},   {AF_INET, SOCK_STREAM, 0, "socket inet"},
      {AF_INET6, SOCK_STREAM, 0, "socket inet6"}, {AF_PACKET, SOCK_RAW, 0, "socket packet"},
      {AF_VSOCK, SOCK_STREAM, 0, "socket vsock"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
    report_fd(socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol),
              kinds[i].name);

  int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_vm any = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 1024};
  report(bind(listener, (struct sockaddr*)&any, sizeof any) == 0 && listen(listener, 1) == 0,
         "vsock listener");
  close(listener);
}

/* Makes a network interface of that kind by rtnetlink; the kernel chooses its name. */
static void check_link(const char* kind) {
  struct {
    struct nlmsghdr head;
    struct ifinfomsg info;
    char room[64];
  } request = {0};
  request.head.nlmsg_type = RTM_NEWLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
  struct rtattr* outer = (struct rtattr*)request.room;
  struct rtattr* inner = RTA_DATA(outer);
  inner->rta_type = IFLA_INFO_KIND;
  inner->rta_len = (unsigned short)RTA_LENGTH(strlen(kind));
  memcpy(RTA_DATA(inner), kind, strlen(kind));
  outer->rta_type = IFLA_LINKINFO;
  outer->rta_len = (unsigned short)RTA_LENGTH(RTA_ALIGN(inner->rta_len));
  request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.info) + RTA_ALIGN(outer->rta_len);

  struct {
    struct nlmsghdr head;
    struct nlmsgerr result;
    char room[256];
  } answer = {0};
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  send(netlink, &request, request.head.nlmsg_len, 0);
  const bool answered = recv(netlink, &answer, sizeof answer, 0) > 0;
  if (answered)
    errno = -answer.result.error;
  close(netlink);
  char name[32];
  snprintf(name, sizeof name, "link %s", kind);
  report(answered && answer.result.error == 0, name);
}

static void check_network(void) {
  check_sockets();
  check_link("veth");
  check_link("bridge");
  check_link("dummy");
  int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  report(tun >= 0 && ioctl(tun, TUNSETIFF, &request) == 0, "tap");
  close(tun);
}

/* The words `devices=a,b` of the command line name the virtio drivers that must have a device. */
static void check_devices(void) {
  const char* at = strstr(text_of("/proc/cmdline"), "devices=");
  if (!at)
    return;
  char list[256];
  snprintf(list, sizeof list, "%s", at + strlen("devices="));
  list[strcspn(list, " \n")] = '\0';
  for (char* driver = strtok(list, ","); driver; driver = strtok(NULL, ",")) {
    char path[96], name[96];
    bool bound = false;
    for (int number = 0; number < 16 && !bound; ++number) {
      snprintf(path, sizeof path, "/sys/bus/virtio/drivers/%s/virtio%d", driver, number);
      bound = access(path, F_OK) == 0;
    }
    snprintf(name, sizeof name, "device %s", driver);
    report(bound, name);
  }
}

static void check_hot_plug(void) {
  report(has_word(text_of("/sys/devices/system/memory/auto_online_blocks"), "online"),
         "memory goes online by itself");
  if (access("/sys/bus/pci", F_OK) == 0) {
    report(access("/sys/bus/pci/drivers/pcieport", F_OK) == 0, "PCI Express ports");
    report(access("/sys/bus/pci/slots", F_OK) == 0, "PCI slots");
  }
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("selfcheck: init\n");
  mount_all();
  check_identity();
  check_file_systems();
  check_namespaces();
  check_cgroups();
  check_terminals();
  check_waiting();
  check_processes();
  check_network();
  check_devices();
  check_hot_plug();
  printf("selfcheck: %u missing\n", missing_count);
  fflush(stdout);
  reboot(RB_POWER_OFF);
  reboot(RB_AUTOBOOT);
  return 1;
}
