#pragma once

/* A terminal's line discipline and window (termios(3), ioctl_tty(2)), and the stop that job control asks for. */

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* How the terminal was, to be given back. */
struct clinux_terminal_modes {
    struct termios modes;
};

static inline int clinux_terminal_modes_of(int fd, struct clinux_terminal_modes *now)
{
    return tcgetattr(fd, &now->modes) < 0 ? -errno : 0;
}

/* Keys come one by one and are not shown; Ctrl-C and Ctrl-Z stay signals, and Ctrl-S and Ctrl-Q become keys. */
static inline int clinux_terminal_take_keys(int fd, const struct clinux_terminal_modes *before)
{
    struct termios modes = before->modes;
    modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    modes.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    modes.c_cc[VMIN] = 1;
    modes.c_cc[VTIME] = 0;
    return tcsetattr(fd, TCSANOW, &modes) < 0 ? -errno : 0;
}

/* With SIGTTOU blocked, or one in the background would be stopped here instead of ending. */
static inline int clinux_terminal_give_back(int fd, const struct clinux_terminal_modes *before)
{
    sigset_t output, old;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output, &old);
    int answer = tcsetattr(fd, TCSANOW, &before->modes) < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return answer;
}

/* Either is 0 where nobody has told the terminal. */
static inline int clinux_terminal_window(int fd, int *columns, int *rows)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

/* Stops this process as SIGTSTP does where nobody blocks it, and returns once it goes on. Where nobody could have it go on
 * (an orphaned process group), the kernel does not stop it. */
static inline void clinux_stop_until_continued(void)
{
    sigset_t stop, old;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, &old);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
