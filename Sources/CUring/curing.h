#pragma once

/* <sys/types.h> and <sys/select.h> come first: a clean build otherwise fails on fd_set inside <liburing.h>. */
#include <sys/types.h>
#include <sys/select.h>
#include <liburing.h>
