/* The least that a launcher can do: become another program. */
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    execv(argv[1], argv + 1);
    return 127;
}
