/* Files: finds the share's file by name, opens and reads it; a name that is not there is told. */
#include "virtio.h"

#include <linux/fuse.h>

#define ROOT 1
#define NOT_THERE (-2)

static struct queue urgent;
static struct queue requests;
static struct device fs;
static u8 request[512];
static u8 reply[4096];

/* Sends `body` or a name with its NUL; returns the error that is answered. */
static int ask(u32 opcode, u64 node, const void* body, u32 bytes) {
  static u64 last;
  struct fuse_in_header* head = (struct fuse_in_header*)request;
  memset(head, 0, sizeof(*head));
  head->len = (u32)sizeof(*head) + bytes;
  head->opcode = opcode;
  head->unique = ++last;
  head->nodeid = node;
  memcpy(request + sizeof(*head), body, bytes);
  memset(reply, 0, sizeof(reply));
  const struct piece pieces[2] = {{request, head->len, 0}, {reply, sizeof(reply), 1}};
  const u16 at = add_request(&requests, pieces, 2);
  kick(&fs, &requests);
  u32 written = 0;
  CHECK(wait_used(&requests, &written) == at);
  const struct fuse_out_header* answer = (const struct fuse_out_header*)reply;
  CHECK(written == answer->len);
  CHECK(answer->unique == last);
  return answer->error;
}

static const void* answered(void) {
  return reply + sizeof(struct fuse_out_header);
}

static u64 look_up(u64 parent, const char* name) {
  CHECK(ask(FUSE_LOOKUP, parent, name, (u32)length(name) + 1) == 0);
  return ((const struct fuse_entry_out*)answered())->nodeid;
}

u32 guest_main(void) {
  CHECK(find_device(TYPE_FS, &fs));
  agree(&fs);
  CHECK(same((const void*)(fs.at + REG_CONFIG), "bare-share", 10));
  set_up_queue(&fs, &urgent, 0);
  set_up_queue(&fs, &requests, 1);
  run_device(&fs);
  struct fuse_init_in init;
  memset(&init, 0, sizeof(init));
  init.major = 7;
  init.minor = 38;
  init.max_readahead = 65536;
  CHECK(ask(FUSE_INIT, 0, &init, sizeof(init)) == 0);
  CHECK(((const struct fuse_init_out*)answered())->major == 7);

  const u64 share = look_up(ROOT, "data");
  const u64 file = look_up(share, "greeting");
  CHECK(ask(FUSE_LOOKUP, share, "nothing", 8) == NOT_THERE);
  struct fuse_open_in open;
  memset(&open, 0, sizeof(open));
  CHECK(ask(FUSE_OPEN, file, &open, sizeof(open)) == 0);
  struct fuse_read_in read;
  memset(&read, 0, sizeof(read));
  read.fh = ((const struct fuse_open_out*)answered())->fh;
  read.size = 1024;
  CHECK(ask(FUSE_READ, file, &read, sizeof(read)) == 0);
  const char* text = "hello from the host\n";
  CHECK(((const struct fuse_out_header*)reply)->len ==
        sizeof(struct fuse_out_header) + length(text));
  CHECK(same(answered(), text, length(text)));
  return 0;
}
