/* in_child.h - runs a function that may die in a process of its own. */
#ifndef TESTS_CUDA_IN_CHILD_H
#define TESTS_CUDA_IN_CHILD_H

#include <functional>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_RIGHT = 0, CHILD_WRONG = 3 }; /* results of run; sanitizers exit with others */

/* What it returned, 0 to 255, or minus the signal that ended it. Its messages are dropped. */
static inline int in_child(const std::function<int()> &run)
{
    int status;
    fflush(nullptr);
    pid_t child = fork();
    if (child < 0) return -999;
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(255);
        _exit(run());
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* By a signal, or by a sanitizer that has caught one or found a mistake. */
static inline bool child_dies(const std::function<int()> &run)
{
    int r = in_child(run);
    return r != CHILD_RIGHT && r != CHILD_WRONG;
}

#endif
