/* The first program of a test guest: says READY, then does what troupe.test=... asks. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

static void say(const char* text) {
  const ssize_t written = write(1, text, strlen(text));
  (void)written;
}

int main(void) {
  char line[4096];
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  mount("proc", "/proc", "proc", 0, NULL);
  const int console = open("/dev/console", O_RDWR);
  dup2(console, 0);
  dup2(console, 1);
  dup2(console, 2);
  const int file = open("/proc/cmdline", O_RDONLY);
  const ssize_t length = read(file, line, sizeof line - 1);
  line[length > 0 ? length : 0] = '\0';
  say("READY\n");
  if (strstr(line, "troupe.test=poweroff"))
    reboot(RB_POWER_OFF);
  if (strstr(line, "troupe.test=reset"))
    reboot(RB_AUTOBOOT);
  if (strstr(line, "troupe.test=panic"))
    return 3;
  if (strstr(line, "troupe.test=escape"))
    say("\033[2Jred\033[0m\n");
  for (;;)
    pause();
}
