#pragma once

/* libnl's own headers, and what the kernel's rtnetlink headers define beside them. */

#include <netlink/netlink.h>
