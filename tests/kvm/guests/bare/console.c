/* Console: says a line, then waits for the host's answer to it. */
#include "virtio.h"

static struct queue receive;
static struct queue transmit;
static struct device console;
static char heard[64];

u32 guest_main(void) {
  CHECK(find_device(TYPE_CONSOLE, &console));
  agree(&console);
  set_up_queue(&console, &receive, 0);
  set_up_queue(&console, &transmit, 1);
  run_device(&console);
  const struct piece room = {heard, sizeof(heard), 1};
  CHECK(add_request(&receive, &room, 1) == 0);
  kick(&console, &receive);
  char line[] = "anybody there?\n";
  const struct piece word = {line, sizeof(line) - 1, 0};
  CHECK(add_request(&transmit, &word, 1) == 0);
  kick(&console, &transmit);
  CHECK(wait_used(&transmit, 0) == 0);
  u32 written = 0;
  CHECK(wait_used(&receive, &written) == 0);
  CHECK(written == 5);
  CHECK(same(heard, "here\n", 5));
  return 0;
}
