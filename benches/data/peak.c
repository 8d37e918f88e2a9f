/* Runs a program and prints its peak resident memory in KiB. Its own is small, and the kernel counts what a process
 * had before exec too, so nothing larger may start the program. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    struct rusage usage;
    int status;
    pid_t child = fork();
    if (child == 0) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (wait4(child, &status, 0, &usage) != child || status != 0) return 1;
    printf("%ld\n", usage.ru_maxrss);
    return 0;
}
