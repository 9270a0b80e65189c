/* Sockets: calls a host port, sends, gets the same back, hangs up; a port nobody serves resets. */
#include "virtio.h"

enum { OP_REQUEST = 1, OP_RESPONSE = 2, OP_RESET = 3, OP_SHUTDOWN = 4, OP_DATA = 5 };

struct header {
  u64 source_cid;
  u64 target_cid;
  u32 source_port;
  u32 target_port;
  u32 bytes;
  u16 type;
  u16 op;
  u32 flags;
  u32 room;
  u32 forwarded;
} __attribute__((packed));

#define HOST 2
#define OUR_PORT 1234
#define BUFFERS 4
#define BUFFER 4096

static struct queue receive;
static struct queue transmit;
static struct queue events;
static struct device vsock;
static u64 our_cid;
static struct header outgoing;
static u8 packets[BUFFERS][BUFFER];
static u32 forwarded;

static void give_buffer(u32 which) {
  const struct piece room = {packets[which], BUFFER, 1};
  receive.next_descriptor = (u16)which;
  CHECK(add_request(&receive, &room, 1) == which);
}

static void send(u16 op, u32 port, const char* text) {
  const u32 bytes = (u32)length(text);
  outgoing =
      (struct header){our_cid, HOST, OUR_PORT, port, bytes, 1, op, 0, BUFFERS * BUFFER, forwarded};
  if (op == OP_SHUTDOWN)
    outgoing.flags = 3;
  const struct piece pieces[2] = {{&outgoing, sizeof(outgoing), 0}, {(void*)text, bytes, 0}};
  const u16 head = add_request(&transmit, pieces, bytes > 0 ? 2 : 1);
  kick(&vsock, &transmit);
  CHECK(wait_used(&transmit, 0) == head);
}

/* The next packet of `op`; others but data are passed over. Its buffer has to be given again. */
static u32 await(u16 op) {
  for (;;) {
    const u32 head = wait_used(&receive, 0);
    const struct header* it = (const struct header*)packets[head];
    CHECK(it->source_cid == HOST);
    CHECK(it->target_cid == our_cid);
    CHECK(it->target_port == OUR_PORT);
    if (it->op == op)
      return head;
    CHECK(it->op != OP_DATA);
    CHECK(it->op != OP_RESET);
    give_buffer(head);
    kick(&vsock, &receive);
  }
}

static void expect_echo(const char* text) {
  const u32 bytes = (u32)length(text);
  u32 got = 0;
  while (got < bytes) {
    const u32 head = await(OP_DATA);
    const struct header* it = (const struct header*)packets[head];
    CHECK(it->bytes <= bytes - got);
    CHECK(same(packets[head] + sizeof(*it), text + got, it->bytes));
    got += it->bytes;
    forwarded += it->bytes;
    give_buffer(head);
    kick(&vsock, &receive);
  }
}

u32 guest_main(void) {
  CHECK(find_device(TYPE_VSOCK, &vsock));
  agree(&vsock);
  set_up_queue(&vsock, &receive, 0);
  set_up_queue(&vsock, &transmit, 1);
  set_up_queue(&vsock, &events, 2);
  run_device(&vsock);
  our_cid = get32(vsock.at + REG_CONFIG);
  CHECK(our_cid == parameter("cid", 0));
  for (u32 i = 0; i < BUFFERS; ++i)
    give_buffer(i);
  kick(&vsock, &receive);

  const u32 port = (u32)parameter("port", 0);
  send(OP_REQUEST, port, "");
  give_buffer(await(OP_RESPONSE));
  send(OP_DATA, port, "one word");
  expect_echo("one word");
  send(OP_DATA, port, "and another");
  expect_echo("and another");
  send(OP_SHUTDOWN, port, "");
  give_buffer(await(OP_RESET));

  send(OP_REQUEST, port + 1, "");
  give_buffer(await(OP_RESET));
  return 0;
}
